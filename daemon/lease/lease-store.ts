import { DecodeError } from '../../conf/errors.ts'
import {
  formatLeaseKey,
  formatLeaseValue,
  type LeaseAttrs,
  parseLeaseKey,
} from '../../conf/lease.ts'
import type { ByFamily } from '../../ip/by-family.ts'
import type { Prefix } from '../../ip/prefix.ts'
import { limited } from '../../log/limited.ts'
import type { Logger } from '../../log/logger.ts'
import { type Entry, type Store, StoreError } from '../../store/store.ts'
import { type Lease, readLease } from './lease.ts'

/** All leases at one moment. */
export interface LeaseList {
  readonly clusterId: string
  readonly revision: number
  readonly leases: readonly Lease[]
  /** Subnets that are taken by leases whose values nobody can read. */
  readonly unreadable: readonly { readonly key: string; readonly subnets: ByFamily<Prefix> }[]
}

export type LeaseEvent =
  | { readonly type: 'put'; readonly lease: Lease }
  | { readonly type: 'delete'; readonly key: string; readonly revision: number }
  /** A value that nobody can read was written. */
  | { readonly type: 'unreadable'; readonly key: string; readonly revision: number }
  | { readonly type: 'resync' }

const MOST_COMPLAINTS = 1_000
/** After so long a list is quicker. */
const CATCH_UP_MS = 2_000

/** The leases in a store: its keys and values read and written as flannel does. */
export class LeaseStore {
  readonly name: string
  /** Keys that we wrote and have not looked since who else has their subnets. */
  readonly unproven = new Set<string>()
  readonly #store: Store
  readonly #prefix: string
  readonly #ttlSeconds: number
  readonly #log: Logger
  readonly #relieve: (() => void) | undefined
  /** Revisions of the values that were complained of, by key; the newest ones. */
  readonly #complained = new Map<string, number>()

  constructor(
    store: Store,
    options: {
      readonly prefix: string
      readonly ttlSeconds: number
      readonly log: Logger
      /** Called for each lease of a list; see sys/heap.ts. */
      readonly relieve?: () => void
    },
  ) {
    this.name = store.name
    this.#store = store
    this.#prefix = `${options.prefix}/subnets/`
    this.#ttlSeconds = options.ttlSeconds
    this.#log = limited(options.log)
    this.#relieve = options.relieve
  }

  async list(): Promise<LeaseList> {
    const { entries, revision, clusterId } = await this.#store.list(this.#prefix)
    const leases: Lease[] = []
    const unreadable: { key: string; subnets: ByFamily<Prefix> }[] = []
    for (const entry of entries) {
      this.#relieve?.()
      const lease = this.#read(entry)
      const key = this.#short(entry.key)
      const subnets = lease ? undefined : parseLeaseKey(key)
      if (lease) leases.push(lease)
      if (subnets) unreadable.push({ key, subnets })
    }
    return { clusterId, revision, leases, unreadable }
  }

  /**
   * All leases as they were when `written`, which came after `list`, was written: what has happened
   * since the list is read where the store tells it in order, else there is another list.
   */
  async listUpTo(written: Lease, list: LeaseList): Promise<readonly Lease[]> {
    if (this.#store.isOrdered) {
      const leases = new Map(list.leases.map((lease) => [lease.key, lease]))
      const limit = AbortSignal.timeout(CATCH_UP_MS)
      for await (const event of this.watch(list.revision, limit)) {
        if (event.type === 'resync') break
        if (event.type === 'delete') leases.delete(event.key)
        if (event.type !== 'put') continue
        leases.set(event.lease.key, event.lease)
        if (event.lease.revision >= written.revision) return [...leases.values()]
      }
    }
    return (await this.list()).leases
  }

  /** Whether the store answers within `ms`. */
  async answers(ms: number): Promise<boolean> {
    const late = new Promise<false>((resolve) => void setTimeout(() => resolve(false), ms).unref())
    // Any key will do.
    const asked = this.#store.get(this.#prefix).then(
      () => true,
      () => false,
    )
    return Promise.race([asked, late])
  }

  /** One lease. A value nobody can read is StoreError `corrupt`: not ours, and not free. */
  async get(key: string): Promise<Lease | undefined> {
    const entry = await this.#store.get(this.#prefix + key)
    try {
      return entry && readLease(entry, this.#prefix)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      throw new StoreError('corrupt', this.name, `${this.#prefix}${key}: ${error.message}`, error)
    }
  }

  /** Takes subnets that nobody has under this very key; undefined if somebody has. */
  async create(subnets: ByFamily<Prefix>, attrs: LeaseAttrs): Promise<Lease | undefined> {
    const key = this.#prefix + formatLeaseKey(subnets)
    const options = { ttlSeconds: this.#ttlSeconds }
    const entry = await this.#store.create(key, formatLeaseValue(attrs), options)
    return entry && readLease(entry, this.#prefix)
  }

  /**
   * Takes subnets that nobody has under this very key, for as long as an operator wants; undefined if
   * somebody has.
   */
  async reserve(subnets: ByFamily<Prefix>, attrs: LeaseAttrs): Promise<Lease | undefined> {
    const key = this.#prefix + formatLeaseKey(subnets)
    const entry = await this.#store.create(key, formatLeaseValue(attrs))
    return entry && readLease(entry, this.#prefix)
  }

  /** Renews a lease with new attributes if it is as we know it. A reserved one stays reserved. */
  async put(
    lease: Pick<Lease, 'key' | 'reserved' | 'revision'>,
    attrs: LeaseAttrs,
  ): Promise<Lease | undefined> {
    const options = lease.reserved ? {} : { ttlSeconds: this.#ttlSeconds }
    const key = this.#prefix + lease.key
    const entry = await this.#store.put(key, formatLeaseValue(attrs), lease.revision, options)
    return entry && readLease(entry, this.#prefix)
  }

  /**
   * Writes this host's lease over a value that nobody can read, which names no other holder;
   * undefined: it is not there, or somebody has written it since.
   */
  async mend({ key, reserved }: Lease, attrs: LeaseAttrs): Promise<Lease | undefined> {
    const entry = await this.#store.get(this.#prefix + key)
    if (!entry || this.#read(entry)) return undefined
    return this.put({ key, reserved, revision: entry.revision }, attrs)
  }

  async delete(lease: Lease): Promise<boolean> {
    return this.#store.delete(this.#prefix + lease.key, lease.revision)
  }

  /** Changes after `from`. */
  async *watch(from: number, signal: AbortSignal): AsyncGenerator<LeaseEvent> {
    for await (const event of this.#store.watch(this.#prefix, from, signal)) {
      if (event.type === 'delete') {
        this.#complained.delete(event.key)
        yield { ...event, key: this.#short(event.key) }
      } else if (event.type === 'resync') yield event
      else {
        const { entry } = event
        const lease = this.#read(entry)
        if (lease) yield { type: 'put', lease }
        else yield { type: 'unreadable', key: this.#short(entry.key), revision: entry.revision }
      }
    }
  }

  #short(key: string): string {
    return key.slice(this.#prefix.length)
  }

  /** Says once for each broken value what is wrong with it. */
  #read(entry: Entry): Lease | undefined {
    try {
      const lease = readLease(entry, this.#prefix)
      this.#complained.delete(entry.key)
      return lease
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      if (this.#complained.get(entry.key) !== entry.revision) {
        const key = cut(entry.key)
        this.#log.warn('lease skipped', { key, error: cut(error.message) })
        if (this.#complained.size >= MOST_COMPLAINTS) this.#complained.clear()
        this.#complained.set(entry.key, entry.revision)
      }
      return undefined
    }
  }
}

/** Anybody may have written it, at any length. */
function cut(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}
