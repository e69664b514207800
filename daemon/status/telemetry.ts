import type { StoreErrorReason } from '../../store/store.ts'

/** How often each of a few kinds of things has happened since the start. */
export class Tally<Kind extends string> {
  readonly #counts: Map<Kind, number>

  /** Every kind there is: one that has not happened yet counts 0 and is told as such. */
  constructor(kinds: readonly Kind[]) {
    this.#counts = new Map(kinds.map((kind) => [kind, 0]))
  }

  get counts(): ReadonlyMap<Kind, number> {
    return this.#counts
  }

  add(kind: Kind, by = 1): void {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + by)
  }
}

/** How long something took, each time: a histogram. */
export class Durations {
  /** The upper bounds of the buckets in seconds, ascending. */
  readonly bounds: readonly number[]
  readonly #buckets: number[]
  #sum = 0

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.#buckets = Array.from({ length: bounds.length + 1 }, () => 0)
  }

  /** How many fell into each bucket, those over the last bound at the end; not cumulative. */
  get buckets(): readonly number[] {
    return this.#buckets
  }

  /** All of them together, in seconds. */
  get sum(): number {
    return this.#sum
  }

  observe(seconds: number): void {
    const over = this.bounds.findIndex((bound) => seconds <= bound)
    const bucket = over < 0 ? this.bounds.length : over
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1
    this.#sum += seconds
  }
}

/** What is put back after something other than the daemon changed it. */
export type RepairKind = 'device' | 'address' | 'neighbour' | 'fdb' | 'route' | 'ruleset'

/** `taken`: got at the start, or in place of one that was gone. `lost`: to another host. */
export type Renewal = 'renewed' | 'taken' | 'lost' | 'failed'

/** The calls of a store that have an end. */
export const storeCalls = ['get', 'list', 'create', 'put', 'delete'] as const
export type StoreCall = (typeof storeCalls)[number]

export type NetlinkProtocol = 'route' | 'netfilter'

/**
 * What the daemon counts about itself, from the start of the process. Plain numbers in memory: who
 * counts knows nothing of who reads. metrics.ts makes metrics of them.
 */
export interface Telemetry {
  /** One for each object that was put back or set right; not what a lease's change brought. */
  readonly repairs: Tally<RepairKind>
  /** Changes of leases seen on the watch, of this host's and of peers'. */
  readonly leaseEvents: Tally<'put' | 'delete'>
  /** Lists made anew because the watch could not go on. */
  readonly resyncs: Tally<'watch'>
  /** What came of each try to renew this host's lease. */
  readonly renewals: Tally<Renewal>
  /** Changes of the network configuration in the store. */
  readonly configChanges: Tally<'applied' | 'refused'>
  /** Calls of the store that failed, and why. */
  readonly storeErrors: Tally<StoreErrorReason>
  /** How long the store's calls took, the failed ones too. */
  readonly storeSeconds: ReadonlyMap<StoreCall, Durations>
  /** From a peer's event on the watch to its entries in the kernel. */
  readonly eventToKernelSeconds: Durations
  readonly netlinkMessages: Tally<NetlinkProtocol>
  /** Dumps of whole tables; nothing happens in a quiet network, so none are made. */
  readonly netlinkDumps: Tally<NetlinkProtocol>
}

const STORE_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const KERNEL_BOUNDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]

/** Counts from zero. */
export function newTelemetry(): Telemetry {
  return {
    repairs: new Tally(['device', 'address', 'neighbour', 'fdb', 'route', 'ruleset']),
    leaseEvents: new Tally(['put', 'delete']),
    resyncs: new Tally(['watch']),
    renewals: new Tally(['renewed', 'taken', 'lost', 'failed']),
    configChanges: new Tally(['applied', 'refused']),
    storeErrors: new Tally(['unavailable', 'denied', 'full', 'corrupt', 'unsupported', 'closed']),
    storeSeconds: new Map(storeCalls.map((call) => [call, new Durations(STORE_BOUNDS)])),
    eventToKernelSeconds: new Durations(KERNEL_BOUNDS),
    netlinkMessages: new Tally(['route', 'netfilter']),
    netlinkDumps: new Tally(['route', 'netfilter']),
  }
}
