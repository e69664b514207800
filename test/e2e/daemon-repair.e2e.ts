import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { readLease } from '../../scripts/lab/heddle.ts'
import type { Host } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import type { Command } from '../../scripts/lab/run.ts'
import { networkConfig } from '../../scripts/lab/store.ts'
import { changes } from './cni-support.ts'
import { untilNoneWrong } from './lease-writer.ts'
import { hostsFor, nth, startCluster } from './support.ts'

/** After a list of the leases nothing is deleted for so long, and a little more. */
const graceMs = 5_500

/** What the daemon keeps in a host's kernel. Indexes are left out: a device made anew has another. */
async function kept(host: Host): Promise<readonly string[]> {
  const commands: readonly Command[] = [
    ['ip', '-d', 'link', 'show', 'type', 'vxlan'],
    ['ip', 'address', 'show', 'type', 'vxlan'],
    ['ip', '-4', 'route', 'show', 'proto', '104'],
    ['ip', '-6', 'route', 'show', 'proto', '104'],
    ['ip', 'neigh', 'show', 'nud', 'permanent'],
    ['/usr/sbin/nft', 'list', 'table', 'inet', 'heddle-net-default'],
  ]
  const texts: string[] = []
  for (const command of commands) texts.push(await runAt(host, command).catch(String))
  const fdb = (await runAt(host, ['bridge', 'fdb'])).split('\n')
  return [...texts.join('\n').split('\n'), ...fdb.filter((line) => line.includes(' dst '))]
    .map((line) => line.replace(/^\d+: /, '').replace(' tentative', ''))
    .toSorted()
}

test('heddled puts back whatever of its own is deleted or changed', async (t) => {
  const hosts = await hostsFor(t, { name: 'repair', count: 2 })
  const config = networkConfig({ Type: 'vxlan' }, { ipv6: true })
  await startCluster(t, hosts, { store: 'sqlite', config, flags: ['--ip-masq'] })
  const [host, peer] = [nth(hosts, 0), nth(hosts, 1)]
  const { subnet, ipv6Subnet = '' } = readLease(peer)
  const before = await kept(host)
  t.is(before.filter((line) => line.includes('onlink') || line.includes(' dst ')).length, 4)
  // Until then a lease that explains an entry may still turn up.
  await sleep(graceMs)
  const damage: readonly string[] = [
    'ip link delete flannel.1',
    'ip link delete flannel-v6.1',
    'ip link set flannel.1 down',
    'ip link set flannel.1 mtu 1300',
    'ip link set flannel-v6.1 address 0e:00:00:00:00:01',
    'ip link set eth0 down; ip link set eth0 up',
    'ip address flush dev flannel.1 scope global',
    'ip address add 10.244.99.99/32 dev flannel.1',
    `ip route delete ${subnet}`,
    `ip route replace ${subnet} via 10.244.0.9 dev flannel.1 onlink proto 104`,
    `ip -6 route delete ${ipv6Subnet}`,
    'ip route add 10.244.77.0/24 via 10.244.0.9 dev flannel.1 onlink',
    'ip neigh flush dev flannel.1 nud permanent',
    'bridge fdb flush dev flannel-v6.1',
    'bridge fdb add 0e:00:00:00:00:02 dev flannel.1 dst 10.100.0.99',
    '/usr/sbin/nft flush ruleset',
    '/usr/sbin/nft flush chain inet heddle-net-default postrouting',
  ]
  for (const command of damage) {
    await runAt(host, ['sh', '-c', command])
    const look = async () => changes(before, await kept(host))
    t.deepEqual(await untilNoneWrong(look, 2_000), [], command)
  }
})
