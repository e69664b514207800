import type {
  DaemonStatus,
  OwnLeaseStatus,
  PeerStatus,
  RecentMessage,
} from '../conf/daemon-status.ts'
import { table } from './table.ts'

const MOST_PROBLEMS = 10

/** The status as an operator reads it. `now` is ms since the epoch. */
export function showStatus(status: DaemonStatus, now: number): string {
  const { lease, store, peers } = status
  const reach = store.reachable ? 'reachable' : 'NOT REACHABLE'
  const scope = store.local ? `this machine only, ${reach}` : reach
  const facts: [string, string][] = [
    ['daemon', `heddled ${status.version}, instance ${status.instance}, process ${status.pid}`],
    ['state', status.ready ? (status.error ? 'degraded' : 'ready') : 'not ready'],
    ...problemsOf(status).map((problem): [string, string] => ['problem', problem]),
    ...status.warnings.map((warning): [string, string] => ['warning', warning]),
    ['store', `${store.name} (${scope})`],
    ['node', status.nodeId],
  ]
  if (lease) {
    facts.push(
      ['subnet', lease.subnets.join(', ')],
      ['public IP', `${lease.publicIPs.join(', ')} on ${lease.interfaces.join(', ')}`],
      ['backend', `${lease.backend}, MTU ${lease.mtu}`],
      ['lease', describeLease(lease, now)],
    )
  }
  const repairs = Object.entries(status.repairs ?? {}).filter(([, count]) => count > 0)
  if (repairs.length > 0) {
    facts.push(['repairs', repairs.map(([kind, count]) => `${count} ${kind}`).join(', ')])
  }
  facts.push(['subnet file', status.subnetFile])
  const width = Math.max(...facts.map(([name]) => name.length))
  const head = facts.map(([name, value]) => `${name.padEnd(width)}  ${value}`)
  return `${[...head, '', ...showPeers(peers), ...showRecent(status.recent ?? [])].join('\n')}\n`
}

/** One line each; where everything is wrong, the worst of it. */
function problemsOf({ error, problems }: DaemonStatus): readonly string[] {
  const all = problems ?? (error === undefined ? [] : [error])
  const more = all.length - MOST_PROBLEMS
  const rest = more > 0 ? [`and ${more} more: --format json has them all`] : []
  return [...all.slice(0, MOST_PROBLEMS), ...rest]
}

function describeLease({ expires, reserved }: OwnLeaseStatus, now: number): string {
  if (reserved) return 'reserved: it has no end'
  return `held until ${expires} (${duration(Date.parse(expires) - now)})`
}

function showRecent(messages: readonly RecentMessage[]): string[] {
  if (messages.length === 0) return []
  const lines = messages.map(({ time, level, message, count }) => {
    const times = count > 1 ? ` (${count} times)` : ''
    return `${time}  ${level.padEnd(5)}  ${message}${times}`
  })
  return ['', 'last warnings and errors', ...lines]
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

/** `23 h 59 min`, `4 min 10 s`, `ended`. */
function duration(ms: number): string {
  if (ms <= 0) return 'ended'
  const seconds = Math.floor(ms / 1000)
  const hours = Math.floor(seconds / 3600)
  const minutes = Math.floor((seconds % 3600) / 60)
  if (hours > 0) return `${hours} h ${minutes} min left`
  return minutes > 0 ? `${minutes} min ${seconds % 60} s left` : `${seconds} s left`
}
