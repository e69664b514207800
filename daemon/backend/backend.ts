import type { BackendConfig } from '../../conf/network-config.ts'
import type { Address } from '../../ip/address.ts'
import type { ByFamily } from '../../ip/by-family.ts'
import type { Mac } from '../../ip/mac.ts'
import type { Prefix } from '../../ip/prefix.ts'
import type { Command, PeerCommands } from './command.ts'
import type { Entry, VxlanDevice } from './kernel-state.ts'

/** The interface that carries the traffic between hosts, for one family. */
export interface Uplink {
  readonly index: number
  readonly name: string
  readonly mtu: number
  /** This host's address on it. */
  readonly address: Address
  /** Where peers reach this host: the same, unless the operator says otherwise (NAT). */
  readonly publicIP: Address
}

/** How the kernel would send to an address: over which device, and through a gateway or not. */
export interface Path {
  readonly device: string
  readonly onLink: boolean
}

/**
 * Asks the kernel how it would send to an address; undefined if it would not now. `no host`: it is
 * an address of this host's own, or of a whole network.
 */
export type FindPath = (address: Address) => Path | 'no host' | undefined

/** One family of a peer's lease, checked as far as all backends agree. */
export interface Target {
  readonly subnet: Prefix
  readonly publicIP: Address
  /** The peer's BackendData for this family, unread. */
  readonly data: unknown
}

/**
 * What is wanted in the kernel for one target, or why it cannot be reached. `none`: nothing is, and
 * that is as it should be.
 */
export type TargetPlan =
  | { readonly state: 'tunnel' | 'direct' | 'none'; readonly entries: readonly Entry[] }
  | { readonly state: 'skipped'; readonly problem: string }

/** The networks of the cluster and this host's subnets in them, for each family in use. */
export interface OwnPart {
  readonly networks: ByFamily<Prefix>
  readonly subnets: ByFamily<Prefix>
}

/** How a backend works that has commands run and writes nothing itself. */
export interface CommandBackend {
  /** What it prints is this host's lease data; before there is a lease. */
  readonly prepare: Command | undefined
  /** What the lease tells of that. */
  readonly leaseData: (printed: string) => ByFamily<unknown>
  /** Run when this host has its subnets, before anything is run for a peer. */
  own(part: OwnPart): Command | undefined
  /** What is run when a peer comes and when it goes, or why it cannot be. */
  peer(targets: ByFamily<Target>): PeerCommands | { readonly problem: string }
}

/**
 * Turns leases into wanted kernel state and does nothing itself. A new backend is one file with a
 * function that makes this, and a line in create-backend.ts.
 */
export interface Backend {
  readonly type: string
  /** `BackendType` of leases: the type, or for some of flannel's backends nothing. */
  readonly leaseType: string
  /** FLANNEL_MTU: what fits through in every family in use. */
  readonly mtu: number
  /** `BackendData` and `BackendV6Data` of this host's lease. */
  readonly leaseData: ByFamily<unknown>
  /** Devices of our own; everything in their tables is ours. */
  readonly devices: readonly VxlanDevice[]
  /** Whether a plan depends on how the kernel reaches the peer. */
  readonly usesPaths: boolean
  /** What is odd in its configuration and does not stop it. */
  readonly warnings: readonly string[]
  /** Absent where peers are reached by entries. */
  readonly commands?: CommandBackend
  /** What is wanted whoever the peers are, given this host's own subnets. */
  own(subnets: ByFamily<Prefix>): readonly Entry[]
  peer(target: Target, findPath: FindPath): TargetPlan
}

/** What a backend is made of. */
export interface BackendInput {
  readonly config: BackendConfig
  /** For each family in use. */
  readonly uplinks: ByFamily<Uplink>
  /** The MAC for a device of our own; the same whenever it is asked. */
  readonly macFor: (device: string) => Mac
}
