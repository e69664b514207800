/**
 * Records what nft and iptables-nft send to the kernel, and what the kernel tells nft, as the
 * vectors of this folder. Run as root on a machine with nft, iptables and strace:
 *
 *     node test/vectors/nftables/capture.ts
 *
 * Works in network namespaces that end with the commands.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeMessages } from '../../../netlink/codec/message.ts'
import { renderTable } from '../../../netlink/nftables/render.ts'
import { createTable } from '../../../netlink/nftables/table-spec.ts'
import { daemonSample, pluginSample, portsSample, richRules } from './samples.ts'

const scratch = mkdtempSync(join(tmpdir(), 'heddle-vectors-'))
const trace = join(scratch, 'trace')

/** Runs a shell script in a namespace of its own; `$TRACE` before a command records it. */
function inNamespace(script: string, record: 'send' | 'receive'): void {
  const calls = record === 'send' ? 'sendmsg' : 'recvmsg'
  const dump = record === 'send' ? 'write=all' : 'read=all'
  const strace = `strace -o ${trace} -e trace=${calls} -e ${dump}`
  execFileSync('unshare', ['-n', 'sh', '-ec', script], {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', TRACE: strace },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

/** The datagrams in strace's hex dump. */
function datagrams(): string[] {
  const found: string[] = []
  for (const line of readFileSync(trace, 'utf8').split('\n')) {
    if (line.startsWith(' * ')) found.push('')
    const bytes = /^ \| [0-9a-f]{5} ((?: {1,2}[0-9a-f]{2}){1,16})/.exec(line)?.[1]
    if (bytes) found.push(`${found.pop() ?? ''}${bytes.replaceAll(' ', '')}`)
  }
  return found
}

function write(name: string, vector: Record<string, unknown>): void {
  const text = JSON.stringify(vector, undefined, 2)
  writeFileSync(join(import.meta.dirname, `${name}.json`), `${text}\n`)
}

function captureTable(name: string, rules: string): void {
  const file = join(import.meta.dirname, `${name}.nft`)
  writeFileSync(file, rules)
  inNamespace(`$TRACE nft -f ${file}`, 'send')
  const sent = datagrams()
  inNamespace(`nft -f ${file}; $TRACE nft list ruleset`, 'receive')
  write(name, { tool: version('nft'), command: `nft -f ${name}.nft`, sent, received: datagrams() })
}

function captureIptables(name: string, command: string): void {
  inNamespace(`$TRACE ${command}`, 'send')
  write(name, { tool: version('iptables'), command, sent: datagrams() })
}

function version(tool: string): string {
  const options = { encoding: 'utf8', env: { PATH: '/usr/sbin:/usr/bin' } } as const
  return execFileSync(tool, ['--version'], options).trim()
}

try {
  captureTable('daemon', `${renderTable(daemonSample)}\n`)
  captureTable('plugin', `${renderTable(pluginSample)}\n`)
  captureTable('ports', `${renderTable(portsSample)}\n`)
  captureTable('rich', richRules)
  captureIptables('iptables', 'iptables -A FORWARD -s 10.244.0.0/16 -j ACCEPT')
  captureIptables('ip6tables', 'ip6tables -A FORWARD -d fc00:0:0:8000::/49 -j ACCEPT')
  const ours = [daemonSample, pluginSample, portsSample].map((table) =>
    Buffer.from(encodeMessages(createTable(table), 1, 0)).toString('hex'),
  )
  write('approved', { command: 'createTable of the samples', sent: ours })
} finally {
  rmSync(scratch, { recursive: true })
}
