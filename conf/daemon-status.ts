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
  /** What is wrong now; absent when nothing is. */
  readonly error?: string
  /** What the operator should know and nothing is wrong with. */
  readonly warnings: readonly string[]
  readonly store: {
    readonly name: string
    /** Only this machine can see it. */
    readonly local: boolean
    /** Whether the last list or watch succeeded. */
    readonly reachable: boolean
  }
  readonly nodeId: string
  readonly subnetFile: string
  readonly lease?: OwnLeaseStatus
  readonly peers: readonly PeerStatus[]
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
}

export interface PeerStatus {
  readonly nodeId?: string
  readonly subnets: readonly string[]
  readonly publicIPs: readonly string[]
  readonly backend: string
  /**
   * `tunnel` and `direct`: reached through the backend's device, or by a plain route. `leaving`: its
   * lease is gone from the store and its entries will follow. `skipped`: not reached, see `problem`.
   */
  readonly state: 'tunnel' | 'direct' | 'leaving' | 'skipped'
  readonly problem?: string
}

/** Where the daemon of an instance answers. */
export function statusSocketPath(instance: string): string {
  return `/run/heddle/${instance}.sock`
}
