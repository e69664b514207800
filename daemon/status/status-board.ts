import type {
  ConfigStatus,
  DaemonStatus,
  OwnLeaseStatus,
  PeerStatus,
} from '../../conf/daemon-status.ts'
import { formatAddress } from '../../ip/address.ts'
import { type ByFamily, valuesOf } from '../../ip/by-family.ts'
import { formatPrefix } from '../../ip/prefix.ts'
import type { RecentLog } from '../../log/recent.ts'
import type { Backend, Uplink } from '../backend/backend.ts'
import type { Entry } from '../backend/kernel-state.ts'
import { type Clock, readBootId } from '../host/clock.ts'
import type { StatusFile } from '../host/subnet-file.ts'
import type { PeerOutcome } from '../kernel/data-path.ts'
import { describeSubnets, type Lease } from '../lease/lease.ts'
import type { Held } from '../lease/lease-book.ts'
import type { Gauges } from './metric-rows.ts'
import type { Telemetry } from './telemetry.ts'

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
  readonly plans: ReadonlyMap<string, PeerOutcome>
  /** Everything that is wanted in the kernel's tables. */
  readonly entries: Iterable<Entry>
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
  readonly telemetry: Telemetry
  readonly log: RecentLog
}

/** Who has something to warn of. */
export type WarningSource = 'config' | 'network' | 'overlap'

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
  readonly #warnings = new Map<WarningSource, readonly string[]>()
  readonly #otherProblems: (() => string | undefined)[] = []
  #config: ConfigStatus = {}
  #view: (() => NetworkView) | undefined
  #listener: ((line: string) => void) | undefined

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

  /** In place of what this source warned of before. */
  warn(source: WarningSource, warnings: readonly string[]): void {
    this.#warnings.set(source, warnings)
  }

  /** Also wrong is what `problem` says whenever it is asked. */
  addProblem(problem: () => string | undefined): void {
    this.#otherProblems.push(problem)
  }

  /** The text of the configuration that the network is made by, if it is. */
  get inForce(): string | undefined {
    return this.#config.inForce
  }

  /** The network is made by this configuration now. */
  configInForce(text: string, from: 'store' | 'remembered'): void {
    this.#config = { ...this.#config, inForce: text, from }
  }

  /** The store has another configuration than the one in force, and why it is not taken. */
  configRefused(refused: { readonly text?: string; readonly reason: string } | undefined): void {
    const { refused: before, ...rest } = this.#config
    const since = before?.reason === refused?.reason ? before?.since : undefined
    this.#config = refused
      ? { ...rest, refused: { ...refused, since: since ?? new Date().toISOString() } }
      : rest
    this.publish()
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

  /** `listener` is told in one line how the daemon is, whenever that may have changed. */
  onPublish(listener: (line: string) => void): void {
    this.#listener = listener
    listener(this.#line(this.#view?.()))
  }

  /** Writes the status file if anything in it is other than before. */
  publish(): void {
    const view = this.#view?.()
    const own = view?.own
    this.#listener?.(this.#line(view))
    this.#file.write({
      ready: this.isReady,
      error: this.#troubles(view)[0],
      // A lease that went to another host is over, whatever was promised.
      ...(own && {
        held: { expires: own.problem === undefined ? own.heldUntil : 0, bootId: this.#bootId },
      }),
    })
  }

  status(store: { readonly reachable: boolean }): DaemonStatus {
    const { version, instance, nodeId, subnetFile } = this.#options
    const { telemetry, log } = this.#options
    const view = this.#view?.()
    const problems = this.#problems(view)
    const [error] = problems
    return {
      v: 1,
      version,
      instance,
      pid: process.pid,
      started: this.#started,
      ready: this.isReady,
      ...(error !== undefined && { error, problems }),
      warnings: [...this.#warnings.values()].flat(),
      store: { ...this.#options.store, ...store },
      nodeId,
      subnetFile,
      ...(view && { lease: this.#lease(view) }),
      peers: view ? [...view.peers.values()].map((held) => peerStatus(held, view)) : [],
      config: this.#config,
      repairs: Object.fromEntries(telemetry.repairs.counts),
      recent: log.recent,
    }
  }

  /** For metrics: as `status`, in numbers. */
  gauges(store: { readonly reachable: boolean }): Gauges {
    const view = this.#view?.()
    const peers = { tunnel: 0, direct: 0, commands: 0, none: 0, leaving: 0, skipped: 0 }
    const entries = { neighbour: 0, fdb: 0, route: 0, address: 0 }
    for (const held of view?.peers.values() ?? []) peers[stateOf(held, view)] += 1
    for (const { kind } of view?.entries ?? []) entries[kind] += 1
    const heldUntil = view?.own.heldUntil
    return {
      isReady: this.isReady,
      isStoreReachable: store.reachable,
      isConfigRefused: this.#config.refused !== undefined,
      ...(heldUntil !== undefined && {
        leaseHeldSeconds: (heldUntil - this.#options.clock().boot) / 1000,
      }),
      peers,
      entries,
      problems: this.#problems(view).length,
    }
  }

  #line(view: NetworkView | undefined): string {
    const [trouble] = this.#troubles(view)
    if (!view || !this.#ready) return trouble === undefined ? 'starting' : `waiting: ${trouble}`
    const words = `${describeSubnets(view.own.lease.subnets)}, ${view.peers.size} peers`
    return trouble === undefined ? words : `${words}; ${trouble}`
  }

  /** What is wrong, the worst first. */
  #problems(view: NetworkView | undefined): string[] {
    const { refused } = this.#config
    const troubles = this.#troubles(view)
    return refused
      ? [...troubles, `the configuration in the store is not in force: ${refused.reason}`]
      : troubles
  }

  /** What containers may suffer from; the runtimes hear of it through the status file. */
  #troubles(view: NetworkView | undefined): string[] {
    const others = this.#otherProblems.map((problem) => problem())
    return [view?.own.problem, this.#waiting, ...others, ...(view?.problems ?? [])].filter(
      (one) => one !== undefined,
    )
  }

  #lease({ own, backend, uplinks }: NetworkView): OwnLeaseStatus {
    const { boot, wall } = this.#options.clock()
    return {
      ...leaseWords(own.lease),
      interfaces: [...new Set(valuesOf(uplinks).map(({ name }) => name))],
      mtu: backend.mtu,
      reserved: own.lease.reserved,
      expires: new Date(own.heldUntil - boot + wall).toISOString(),
    }
  }
}

function stateOf({ lease, dropAt }: Held, view: NetworkView | undefined): PeerStatus['state'] {
  return dropAt === undefined ? (view?.plans.get(lease.key)?.state ?? 'skipped') : 'leaving'
}

function peerStatus(held: Held, view: NetworkView): PeerStatus {
  const { lease } = held
  const plan = view.plans.get(lease.key)
  const { nodeId } = lease.attrs
  return {
    ...(nodeId !== undefined && { nodeId }),
    ...leaseWords(lease),
    state: stateOf(held, view),
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
