import { type Container, dist, type Lease } from './lab/heddle.ts'
import type { Host } from './lab/lab.ts'
import type { PairResult } from './lab/mesh.ts'
import { netnsPath } from './lab/names.ts'

/** What a demo came to. */
export interface Report {
  readonly title: string
  readonly hosts: readonly {
    readonly host: Host
    readonly lease: Lease
    readonly backend: string
  }[]
  readonly containers: readonly Container[]
  readonly pings: readonly PairResult[]
  /** Whether every echo request was answered. */
  readonly ok: boolean
}

/** The report for programs: one JSON object, one line. Fields are only ever added. */
export function renderJson({ hosts, pings, ok }: Report): string {
  const leases = hosts.map(({ host, lease, backend }) => ({
    name: host.name,
    publicIP: host.publicIP,
    subnet: lease.subnet,
    ...(lease.ipv6Subnet === undefined ? {} : { ipv6Subnet: lease.ipv6Subnet }),
    backend,
  }))
  const results = pings.map(({ from, to, family, sent, received, rttMs }) => {
    return { from, to, family, sent, received, rttMs }
  })
  return `${JSON.stringify({ hosts: leases, pings: results, ok })}\n`
}

/** The same object for a demo that did not get as far as pinging. */
export function renderFailure(error: Error): string {
  return `${JSON.stringify({ hosts: [], pings: [], ok: false, error: error.message })}\n`
}

/** The report for people: the hosts with their leases, then a matrix of pings for each family. */
export function renderTables(report: Report): string {
  const { title, hosts, containers, pings } = report
  const dual = hosts.some(({ lease }) => lease.ipv6Subnet !== undefined)
  const hostRows = hosts.map(({ host, lease, backend }) => [
    host.name,
    host.publicIP,
    lease.subnet,
    ...(dual ? [lease.ipv6Subnet ?? ''] : []),
    backend,
    ...containers
      .filter((c) => c.host === host)
      .map((c) => `${c.name.replace(/.*\//, '')} ${c.addresses.join(' ')}`),
  ])
  const head = ['HOST', 'PUBLIC IP', 'SUBNET', ...(dual ? ['IPV6 SUBNET'] : []), 'BACKEND']
  const sections = [title, table([[...head, 'CONTAINERS'], ...hostRows])]
  for (const family of [4, 6] as const) {
    const ofFamily = pings.filter((pair) => pair.family === family)
    if (ofFamily.length > 0) sections.push(matrix(family, containers, ofFamily))
  }
  return `${[...sections, summary(pings)].join('\n\n')}\n`
}

function matrix(
  family: 4 | 6,
  containers: readonly Container[],
  pings: readonly PairResult[],
): string {
  const cells = new Map(pings.map((pair) => [`${pair.from} ${pair.to}`, cell(pair)]))
  const names = containers.map(({ name }) => name)
  const rows = names.map((from) => [from, ...names.map((to) => cells.get(`${from} ${to}`) ?? '-')])
  return `IPv${family}: round trip in ms and loss, from the row's container to the column's
${table([['', ...names], ...rows])}`
}

function cell({ sent, received, rttMs }: PairResult): string {
  const loss = Math.round((100 * (sent - received)) / sent)
  return `${rttMs === null ? 'none' : rttMs.toFixed(2)} ${loss}%`
}

function summary(pings: readonly PairResult[]): string {
  const total = (key: 'sent' | 'received') => pings.reduce((sum, pair) => sum + pair[key], 0)
  const [sent, received] = [total('sent'), total('received')]
  return `${pings.length} pairs, ${sent} pings sent, ${received} answered, ${sent - received} lost`
}

/** Columns padded to their widest cell. */
function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows) {
    for (const [i, text] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, text.length)
  }
  return rows
    .map((row) =>
      row
        .map((text, i) => text.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Commands to try in a demo that stays up. */
export function lookAround({ hosts, containers }: Report, name: string): string {
  const enter = (host: Host) => host.enter.slice(0, -1).join(' ')
  const first = hosts[0]?.host
  const last = containers.at(-1)
  const [from] = containers
  if (!first || !from || !last) return ''
  return `
The demo stays up. As root:

this host's lease and its peers
  ${enter(first)} ${dist}/heddlectl status
any command on a host (${hosts.map(({ host }) => `${host.name} ${host.anchor}`).join(', ')})
  ${enter(first)} ip route
  ${enter(first)} bridge fdb show dev flannel.1
from container to container
  ${enter(first)} ip netns exec ${from.path.replace(/.*\//, '')} ping ${last.addresses[0]}
the packets on the switch
  nsenter --net=${netnsPath(name, 'switch')} tcpdump -ni br0
what heddled says
  tail ${first.lab.directory}/*/heddled.log
take it down
  scripts/demo --down${name === 'demo' ? '' : ` --name ${name}`}`
}
