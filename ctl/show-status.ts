import type { DaemonStatus, PeerStatus } from '../conf/daemon-status.ts'

/** The status as an operator reads it. `now` is ms since the epoch. */
export function showStatus(status: DaemonStatus, now: number): string {
  const { lease, store, peers } = status
  const scope = store.local ? 'this machine only' : store.reachable ? 'reachable' : 'NOT REACHABLE'
  const facts: [string, string][] = [
    ['daemon', `heddled ${status.version}, instance ${status.instance}, process ${status.pid}`],
    ['state', status.ready ? (status.error ? 'degraded' : 'ready') : 'not ready'],
    ...(status.error ? [['problem', status.error] as [string, string]] : []),
    ...status.warnings.map((warning): [string, string] => ['warning', warning]),
    ['store', `${store.name} (${scope})`],
    ['node', status.nodeId],
  ]
  if (lease) {
    facts.push(
      ['subnet', lease.subnets.join(', ')],
      ['public IP', `${lease.publicIPs.join(', ')} on ${lease.interfaces.join(', ')}`],
      ['backend', `${lease.backend}, MTU ${lease.mtu}`],
      ['lease', `held until ${lease.expires} (${duration(Date.parse(lease.expires) - now)})`],
    )
  }
  facts.push(['subnet file', status.subnetFile])
  const width = Math.max(...facts.map(([name]) => name.length))
  const head = facts.map(([name, value]) => `${name.padEnd(width)}  ${value}`)
  return `${[...head, '', ...showPeers(peers)].join('\n')}\n`
}

function showPeers(peers: readonly PeerStatus[]): string[] {
  if (peers.length === 0) return ['no peers']
  const rows = peers.map((peer) => [
    peer.nodeId?.slice(0, 8) ?? '-',
    peer.publicIPs.join(','),
    peer.subnets.join(','),
    peer.backend || '-',
    peer.problem === undefined ? peer.state : `${peer.state}: ${peer.problem}`,
  ])
  return table([['NODE', 'PUBLIC IP', 'SUBNET', 'BACKEND', 'STATE'], ...rows])
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    rows.reduce((widest, row) => Math.max(widest, row[column]?.length ?? 0), 0),
  )
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

/** `23 h 59 min`, `4 min 10 s`, `ended`. */
function duration(ms: number): string {
  if (ms <= 0) return 'ended'
  const seconds = Math.floor(ms / 1000)
  const hours = Math.floor(seconds / 3600)
  const minutes = Math.floor((seconds % 3600) / 60)
  if (hours > 0) return `${hours} h ${minutes} min left`
  return minutes > 0 ? `${minutes} min ${seconds % 60} s left` : `${seconds} s left`
}
