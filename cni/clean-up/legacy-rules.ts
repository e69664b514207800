import type { Call } from '../call.ts'
import { readUnlessMissing } from '../files.ts'

/** One attachment, and which of the reference plugins may have written something for it. */
export interface LegacyAttachment {
  readonly network: string
  readonly containerId: string
  /** `ipMasq` of bridge or ptp. */
  readonly masquerade: boolean
  /** portmap. */
  readonly ports: boolean
}

/** The programs of a family, and where the kernel names the tables that they have made. */
const families = [
  { program: 'iptables', tables: '/proc/net/ip_tables_names' },
  { program: 'ip6tables', tables: '/proc/net/ip6_tables_names' },
] as const

/** The longest name of a chain in iptables, as the plugins have it. */
const CHAIN_LENGTH = 28

const timeoutMs = 20_000

/**
 * Removes what the reference plugins wrote for an attachment where iptables is the older one, whose
 * rules netlink does not reach: by its own programs. Starts none where it has no nat table.
 */
export function removeLegacyRules(call: Call, attachment: LegacyAttachment): void {
  const { network, containerId, masquerade, ports } = attachment
  for (const { program, tables } of families) {
    if (!readUnlessMissing(tables)?.split('\n').includes('nat')) continue
    const hash = call.deps.sha512Hex(`${network}${containerId}`)
    const prefixes = [...(masquerade ? ['CNI-'] : []), ...(ports ? ['CNI-DN-'] : [])]
    const chains = prefixes.map((prefix) => `${prefix}${hash}`.slice(0, CHAIN_LENGTH))
    const saved = run(call, `${program}-legacy-save`, ['-t', 'nat'])
    const script = removalScript(saved, chains)
    if (script !== '') run(call, `${program}-legacy-restore`, ['--noflush', '--wait'], script)
  }
}

/**
 * What to tell iptables-restore to remove chains and every jump to them, out of what iptables-save
 * printed of the nat table. Empty when there is nothing.
 */
export function removalScript(saved: string, chains: readonly string[]): string {
  const lines = saved.split('\n')
  const there = chains.filter((chain) => lines.some((line) => line.startsWith(`:${chain} `)))
  if (there.length === 0) return ''
  const jumps = lines.filter(
    (line) => line.startsWith('-A ') && there.some((chain) => line.endsWith(` -j ${chain}`)),
  )
  return [
    '*nat',
    ...jumps.map((line) => line.replace('-A', '-D')),
    ...there.map((chain) => `-F ${chain}`),
    ...there.map((chain) => `-X ${chain}`),
    'COMMIT\n',
  ].join('\n')
}

/** Runs a program to its end; what it printed. One that fails is told of, and has printed nothing. */
function run({ deps, env }: Call, program: string, args: readonly string[], input = ''): string {
  // Only here, since loading it takes longer than detaching a container does.
  const { spawnSync } = process.getBuiltinModule('node:child_process')
  const { error, status, stdout, stderr } = spawnSync(program, args, {
    env: { ...env, PATH: `${env['PATH'] ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin` },
    input,
    encoding: 'utf8',
    timeout: timeoutMs,
  })
  if (!error && status === 0) return stdout
  const reason = error?.message ?? `exit ${status}: ${stderr.trim()}`
  deps.log.warn('rules of the reference plugins may be left in iptables-legacy', {
    program,
    reason,
  })
  return ''
}
