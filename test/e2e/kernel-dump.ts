import { subnetFile } from '../../scripts/lab/heddle.ts'
import type { Host } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import type { Command } from '../../scripts/lab/run.ts'

/** Everything of a host that a restart of the daemon could touch, byte for byte as the tools print it. */
export async function kernelDump(host: Host): Promise<readonly string[]> {
  const commands: readonly Command[] = [
    ['ip', '-o', 'link'],
    ['ip', '-o', '-d', 'link', 'show', 'type', 'vxlan'],
    ['ip', '-o', 'address'],
    ['ip', '-d', '-4', 'route', 'show', 'table', 'all'],
    ['ip', '-d', '-6', 'route', 'show', 'table', 'all'],
    ['ip', '-d', 'neigh', 'show', 'nud', 'permanent'],
    ['/usr/sbin/nft', '-a', 'list', 'ruleset'],
    ['cat', subnetFile],
  ]
  const texts = await Promise.all(commands.map((command) => runAt(host, command)))
  // Entries that a bridge has learned come and go by themselves.
  const fdb = (await runAt(host, ['bridge', '-d', 'fdb'])).split('\n')
  return [...texts.join('\n').split('\n'), ...fdb.filter((line) => line.includes('permanent'))]
}
