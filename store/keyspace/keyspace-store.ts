import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../../log/logger.ts'
import { machineClock } from '../sqlite/sqlite-clock.ts'
import {
  type Entry,
  type Revision,
  type Snapshot,
  type Store,
  StoreError,
  type StoreEvent,
  ttlOf,
  type WriteOptions,
} from '../store.ts'
import type { Keyspace, Stored } from './keyspace.ts'
import { Sightings } from './sightings.ts'
import { copyOf, entryOf, mergeStates, newestOf, type State, takeUpdate } from './state-changes.ts'

export interface KeyspaceStoreOptions {
  /** A key of ours with a random value, which tells this store from one made anew. */
  readonly idKey: string
  readonly log: Logger
  /** For tests; else the machine's. */
  readonly bootMs?: () => number
}

/**
 * A `Store` on a server without times to live and history. Expired keys are deleted, if unchanged,
 * by whoever notices: anyone who reads or lists them, and everyone who watches.
 */
export function openKeyspaceStore(keyspace: Keyspace, options: KeyspaceStoreOptions): Store {
  return new KeyspaceStore(keyspace, options)
}

/** What a list has shown, for a watch to start from. */
interface Remembered {
  readonly prefix: string
  readonly revision: Revision
  readonly clusterId: string
  readonly state: State
}

/** Enough for everyone who lists and then watches. */
const REMEMBERED_LISTS = 4
const MIN_PAUSE_MS = 100
const MAX_PAUSE_MS = 5000
/** All who watch see a key expire at once; the first of them to delete it spares the others that. */
const REAP_SPREAD_MS = 300
const REAP_RETRY_MS = 1000
/** So often the store's id is asked for when it is neither there nor can be made. */
const MAX_ID_TRIES = 20
const ID_PAUSE_MS = 50

class KeyspaceStore implements Store {
  readonly name: string
  readonly #keyspace: Keyspace
  readonly #idKey: string
  readonly #log: Logger
  readonly #sightings: Sightings
  readonly #closing = new AbortController()
  #remembered: Remembered[] = []
  /** Keys with a time to live that we have written and not deleted. */
  readonly #ours = new Set<string>()
  /** Where the watches are. */
  readonly #places = new Set<Place>()
  #reapTimer: NodeJS.Timeout | undefined
  #reapAtMs = Number.POSITIVE_INFINITY
  readonly #bootMs: () => number

  constructor(keyspace: Keyspace, { idKey, log, bootMs }: KeyspaceStoreOptions) {
    this.name = keyspace.name
    this.#keyspace = keyspace
    this.#idKey = idKey
    this.#log = log
    const clock = machineClock()
    this.#bootMs = bootMs ?? (() => clock.bootMs())
    this.#sightings = new Sightings(this.#bootMs)
  }

  async get(key: string): Promise<Entry | undefined> {
    const stored = await this.#read(key)
    return stored && entryOf(stored)
  }

  async list(prefix: string): Promise<Snapshot> {
    const { moment } = this.#sightings
    const [clusterId, listing] = await Promise.all([this.#identify(), this.#keyspace.list(prefix)])
    const { entries } = listing
    const revision = newestOf(listing)
    for (const stored of entries) this.#sightings.see(stored)
    const overdue = entries.filter((one) => this.#sightings.isOverdue(one.key, one.revision))
    if (overdue.length > 0) {
      for (const { key, revision } of overdue) await this.#keyspace.remove(key, revision)
      // No key of the next list can be overdue: those that were have gone or changed.
      return this.list(prefix)
    }
    const seen = new Map(entries.map((one) => [one.key, one.revision]))
    this.#sightings.missOthers(prefix, seen, moment)
    this.#remember({ prefix, revision, clusterId, state: { seen, written: new Map() } })
    return { entries: entries.map(entryOf), revision, clusterId }
  }

  async create(key: string, value: string, options?: WriteOptions): Promise<Entry | undefined> {
    return (
      (await this.#write(key, value, 0, options)) ??
      // What is in the way may have expired.
      ((await this.#read(key)) ? undefined : this.#write(key, value, 0, options))
    )
  }

  async put(
    key: string,
    value: string,
    expected: Revision,
    options?: WriteOptions,
  ): Promise<Entry | undefined> {
    ttlOf(options)
    if (expected < 1 || (await this.#expired(key, expected))) return undefined
    return this.#write(key, value, expected, options)
  }

  async delete(key: string, expected: Revision): Promise<boolean> {
    if (expected < 1 || (await this.#expired(key, expected))) return false
    const isGone = await this.#keyspace.remove(key, expected)
    if (isGone) this.#ours.delete(key)
    return isGone
  }

  async *watch(prefix: string, from: Revision, signal: AbortSignal): AsyncGenerator<StoreEvent> {
    const ending = AbortSignal.any([signal, this.#closing.signal])
    if (ending.aborted) return
    const start = this.#remembered.find((one) => one.prefix === prefix && one.revision === from)
    if (!start) {
      yield { type: 'resync' }
      return
    }
    const place: Place = { ...start, state: copyOf(start.state), position: from }
    this.#places.add(place)
    this.#scheduleReaping()
    try {
      for await (const event of this.#events(place, ending)) {
        if (ending.aborted) return
        yield event
        if (event.type === 'resync') return
      }
    } finally {
      this.#places.delete(place)
      if (this.#places.size === 0) this.#stopReaping()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    this.#stopReaping()
    this.#keyspace.close()
  }

  async *#events(place: Place, ending: AbortSignal): AsyncGenerator<StoreEvent> {
    let failures = 0
    while (!ending.aborted) {
      try {
        for await (const events of this.#follow(place, ending)) {
          if (failures > 0) this.#log.info('store is back', { store: this.name })
          failures = 0
          yield* events
        }
      } catch (error) {
        if (ending.aborted) return
        const passing = error instanceof StoreError && /^(unavailable|full)$/.test(error.reason)
        if (!passing) throw error
        if (failures === 0) this.#log.warn('store cannot be reached', { error: error.message })
        failures += 1
      }
      const pauseMs = Math.min(MIN_PAUSE_MS * 2 ** failures, MAX_PAUSE_MS)
      await sleep(pauseMs, undefined, { signal: ending }).catch(() => {})
    }
  }

  /** The events of each look, until the connection is lost. */
  async *#follow(place: Place, ending: AbortSignal): AsyncGenerator<StoreEvent[]> {
    let isFirst = true
    for await (const update of this.#keyspace.follow(place.prefix, ending)) {
      const wentBack = isFirst && newestOf(update) < place.position
      if (wentBack || (isFirst && (await this.#identify()) !== place.clusterId)) {
        yield [{ type: 'resync' }]
        return
      }
      isFirst = false
      place.position = Math.max(place.position, newestOf(update))
      const how = { deletedAt: place.position, ours: this.#ours }
      const events = takeUpdate(place.state, update, how)
      for (const stored of update.entries) this.#sightings.see(stored)
      for (const event of events) {
        if (event.type !== 'delete') continue
        this.#sightings.miss(event.key)
        this.#ours.delete(event.key)
      }
      this.#scheduleReaping()
      yield events
    }
  }

  /** The key, if it has not expired. */
  async #read(key: string): Promise<Stored | undefined> {
    const { moment } = this.#sightings
    const stored = await this.#keyspace.read(key)
    if (!stored) this.#sightings.miss(key, moment)
    if (!stored) return undefined
    this.#sightings.see(stored)
    return (await this.#expired(key, stored.revision)) ? this.#read(key) : stored
  }

  /** Deletes a key that has expired, unless it changed; whether it had expired. */
  async #expired(key: string, revision: Revision): Promise<boolean> {
    if (!this.#sightings.isOverdue(key, revision)) return false
    await this.#keyspace.remove(key, revision)
    return true
  }

  async #write(
    key: string,
    value: string,
    expected: Revision,
    options: WriteOptions | undefined,
  ): Promise<Entry | undefined> {
    const ttlSeconds = ttlOf(options)
    const sentAt = Date.now()
    const written = { key, value, ...(ttlSeconds !== undefined && { ttlSeconds }) }
    const revision = await this.#keyspace.write(written, expected)
    if (revision === undefined) return undefined
    const stored = { ...written, revision }
    this.#sightings.see(stored)
    if (ttlSeconds === undefined) this.#ours.delete(key)
    else this.#ours.add(key)
    for (const { prefix, state } of [...this.#remembered, ...this.#places]) {
      if (key.startsWith(prefix) && !state.seen.has(key)) state.written.set(key, revision)
    }
    const expires = ttlSeconds !== undefined && { expiresAt: sentAt + ttlSeconds * 1000 }
    return { ...entryOf(stored), ...expires }
  }

  /** The name of this store's history, given to it if it has none. */
  async #identify(): Promise<string> {
    const key = this.#idKey
    for (let attempt = 1; attempt <= MAX_ID_TRIES; attempt += 1) {
      const stored = await this.#keyspace.read(key)
      if (stored) return stored.value
      const value = randomUUID()
      // Else somebody was quicker, and the next look finds theirs.
      if ((await this.#keyspace.write({ key, value }, 0)) !== undefined) return value
      await sleep(ID_PAUSE_MS)
    }
    const text = `${this.name}: the key ${key} can be neither read nor made`
    throw new StoreError('unavailable', this.name, text)
  }

  #remember(list: Remembered): void {
    const { prefix, revision, clusterId, state } = list
    const twin = this.#remembered.find((one) => one.prefix === prefix && one.revision === revision)
    const others = this.#remembered.filter((one) => one !== twin)
    // Of two histories nobody knows which one a watch from that revision means: neither.
    const isSplit = twin !== undefined && twin.clusterId !== clusterId
    const merged = twin ? { ...list, state: mergeStates(twin.state, state) } : list
    this.#remembered = isSplit ? others : [merged, ...others].slice(0, REMEMBERED_LISTS)
  }

  #scheduleReaping(atLeastMs = 0): void {
    if (this.#places.size === 0 || this.#closing.signal.aborted) return
    const waitMs = Math.max(this.#sightings.msToNext, atLeastMs)
    const atMs = this.#bootMs() + waitMs
    if (waitMs === Number.POSITIVE_INFINITY || (this.#reapTimer && this.#reapAtMs <= atMs)) return
    clearTimeout(this.#reapTimer)
    this.#reapAtMs = atMs
    const spreadMs = Math.random() * REAP_SPREAD_MS
    // A timer cannot wait for longer than 24 days; it may look for nothing.
    const delayMs = Math.min(waitMs + spreadMs, 2 ** 31 - 1)
    const timer = setTimeout(() => void this.#reap(timer), delayMs)
    this.#reapTimer = timer
  }

  #stopReaping(): void {
    clearTimeout(this.#reapTimer)
    this.#reapTimer = undefined
  }

  /** `timer`: what calls it. */
  async #reap(timer: NodeJS.Timeout): Promise<void> {
    let pauseMs = 0
    try {
      for (const { key, revision } of this.#sightings.overdue()) {
        const { moment } = this.#sightings
        await this.#keyspace.remove(key, revision)
        this.#sightings.miss(key, moment)
      }
      // Finds out when the next one expires.
      this.#sightings.overdue()
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      this.#log.debug('expired key not deleted yet', { error: text })
      pauseMs = REAP_RETRY_MS
    }
    // All watches may have ended meanwhile, and another one set a timer of its own.
    if (this.#reapTimer !== timer) return
    this.#reapTimer = undefined
    this.#scheduleReaping(pauseMs)
  }
}

/** Where a watch has got to. */
interface Place extends Remembered {
  position: Revision
}
