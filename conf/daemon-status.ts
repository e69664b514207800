/** What `GET /status` on the daemon's socket answers, and `heddlectl status --format json` prints. */
export interface DaemonStatus {
  readonly v: 1
  readonly version: string
  readonly instance: string
  readonly pid: number
  /** ISO 8601, UTC. */
  readonly started: string
  /** The subnet file is written and the first peers are in the kernel. */
  readonly ready: boolean
  /** What is wrong now; absent when nothing is. The worst of `problems`. */
  readonly error?: string
  /** What the operator should know and nothing is wrong with. */
  readonly warnings: readonly string[]
  readonly store: {
    readonly name: string
    /** Only this machine can see it. */
    readonly local: boolean
    /** Whether it answers. */
    readonly reachable: boolean
  }
  readonly nodeId: string
  readonly subnetFile: string
  readonly lease?: OwnLeaseStatus
  readonly peers: readonly PeerStatus[]
  // A daemon that was started before an upgrade answers without what follows.
  /** All that is wrong now, the worst first; absent when nothing is. */
  readonly problems?: readonly string[]
  readonly config?: ConfigStatus
  /** How often each kind of object in the kernel was put back since the start. */
  readonly repairs?: Readonly<Record<string, number>>
  /** The newest warnings and errors of the log, the newest last. */
  readonly recent?: readonly RecentMessage[]
}

/** The network's configuration as this daemon has it. */
export interface ConfigStatus {
  /** The text it works by. */
  readonly inForce?: string
  /** `remembered`: from an earlier run, while the store is away. */
  readonly from?: 'store' | 'remembered'
  /** What the store has now and why it is not taken; `since` is ISO 8601, UTC. */
  readonly refused?: { readonly text?: string; readonly reason: string; readonly since: string }
}

/** A message of the log; said several times it is told once, with the last time and its values then. */
export interface RecentMessage {
  readonly level: 'warn' | 'error'
  readonly message: string
  /** ISO 8601, UTC. */
  readonly time: string
  readonly count: number
}

export interface OwnLeaseStatus {
  /** CIDRs, IPv4 first. */
  readonly subnets: readonly string[]
  readonly publicIPs: readonly string[]
  readonly backend: string
  /** Names of the interfaces that carry the traffic between hosts. */
  readonly interfaces: readonly string[]
  readonly mtu: number
  /** When the lease ends unless renewed: ISO 8601, UTC. */
  readonly expires: string
  /** Whether an operator reserved it: in the store it has no end. */
  readonly reserved?: boolean
}

export interface PeerStatus {
  readonly nodeId?: string
  readonly subnets: readonly string[]
  readonly publicIPs: readonly string[]
  readonly backend: string
  /**
   * `tunnel` and `direct`: reached through the backend's device, or by a plain route. `commands`:
   * commands see to it. `none`: nothing is to be done for it. `leaving`: its lease is gone from the
   * store and its entries will follow. `skipped`: not reached, see `problem`.
   */
  readonly state: 'tunnel' | 'direct' | 'commands' | 'none' | 'leaving' | 'skipped'
  readonly problem?: string
}

/** Where the daemon of an instance answers. */
export function statusSocketPath(instance: string): string {
  return `/run/heddle/${instance}.sock`
}
