import type { DaemonStatus, OwnLeaseStatus, PeerStatus } from '../conf/daemon-status.ts'
import { formatAddress } from '../ip/address.ts'
import { type ByFamily, valuesOf } from '../ip/by-family.ts'
import { formatPrefix } from '../ip/prefix.ts'
import type { Backend, Uplink } from './backend/backend.ts'
import type { PeerPlan } from './backend/plan-peer.ts'
import { type Clock, readBootId } from './clock.ts'
import type { Lease } from './lease.ts'
import type { Held } from './lease-book.ts'
import type { StatusFile } from './subnet-file.ts'

/** What is known once the network is being brought up. */
export interface NetworkView {
  readonly backend: Backend
  readonly uplinks: ByFamily<Uplink>
  readonly own: {
    readonly lease: Lease
    readonly heldUntil: number
    readonly problem?: string | undefined
  }
  readonly peers: ReadonlyMap<string, Held>
  readonly plans: ReadonlyMap<string, PeerPlan>
  /** What is wrong, the worst first. */
  readonly problems: readonly string[]
}

export interface BoardOptions {
  readonly version: string
  readonly instance: string
  readonly nodeId: string
  readonly subnetFile: string
  readonly store: { readonly name: string; readonly local: boolean }
  readonly clock: Clock
}

/**
 * How the daemon is, told in two places: the status file, which the plugin reads, and the socket,
 * which the operator's tool asks.
 */
export class StatusBoard {
  readonly #options: BoardOptions
  readonly #file: StatusFile
  readonly #started = new Date().toISOString()
  readonly #bootId = readBootId()
  #waiting: string | undefined
  #ready = false
  #warnings: readonly string[] = []
  #view: (() => NetworkView) | undefined

  constructor(options: BoardOptions, file: StatusFile) {
    this.#options = options
    this.#file = file
  }

  /** The first peers are in the kernel, and nothing has gone wrong with the lease. */
  get isReady(): boolean {
    return this.#ready && this.#view?.().own.problem === undefined
  }

  /**
   * The start waits for something; undefined when it goes on. What an earlier run wrote into the
   * status file holds until there is something to wait for.
   */
  waitFor(what: string | undefined): void {
    this.#waiting = what
    if (what !== undefined) this.publish()
  }

  warn(warnings: readonly string[]): void {
    this.#warnings = [...this.#warnings, ...warnings]
  }

  /** From now on `view` tells how the network is. */
  show(view: () => NetworkView): void {
    this.#view = view
    this.#waiting = undefined
  }

  ready(): void {
    this.#ready = true
    this.publish()
  }

  /** Writes the status file if anything in it is other than before. */
  publish(): void {
    const own = this.#view?.().own
    this.#file.write({
      ready: this.isReady,
      error: this.#error(),
      // A lease that went to another host is over, whatever was promised.
      ...(own && {
        held: { expires: own.problem === undefined ? own.heldUntil : 0, bootId: this.#bootId },
      }),
    })
  }

  status(store: { readonly reachable: boolean }): DaemonStatus {
    const { version, instance, nodeId, subnetFile } = this.#options
    const error = this.#error()
    const view = this.#view?.()
    return {
      v: 1,
      version,
      instance,
      pid: process.pid,
      started: this.#started,
      ready: this.isReady,
      ...(error !== undefined && { error }),
      warnings: this.#warnings,
      store: { ...this.#options.store, ...store },
      nodeId,
      subnetFile,
      ...(view && { lease: this.#lease(view) }),
      peers: view ? [...view.peers.values()].map((held) => peerStatus(held, view)) : [],
    }
  }

  #error(): string | undefined {
    const view = this.#view?.()
    return view?.own.problem ?? this.#waiting ?? view?.problems[0]
  }

  #lease({ own, backend, uplinks }: NetworkView): OwnLeaseStatus {
    const { boot, wall } = this.#options.clock()
    return {
      ...leaseWords(own.lease),
      interfaces: [...new Set(valuesOf(uplinks).map(({ name }) => name))],
      mtu: backend.mtu,
      expires: new Date(own.heldUntil - boot + wall).toISOString(),
    }
  }
}

function peerStatus({ lease, dropAt }: Held, { plans }: NetworkView): PeerStatus {
  const plan = plans.get(lease.key)
  const { nodeId } = lease.attrs
  return {
    ...(nodeId !== undefined && { nodeId }),
    ...leaseWords(lease),
    state: dropAt === undefined ? (plan?.state ?? 'skipped') : 'leaving',
    ...(plan?.problem !== undefined && { problem: plan.problem }),
  }
}

function leaseWords({ subnets, attrs }: Lease): {
  subnets: string[]
  publicIPs: string[]
  backend: string
} {
  return {
    subnets: valuesOf(subnets).map(formatPrefix),
    publicIPs: valuesOf(attrs.publicIP).map(formatAddress),
    backend: attrs.backendType,
  }
}
