import { Alarm } from '../../daemon/alarm.ts'
import {
  type Entry,
  type Snapshot,
  type Store,
  StoreError,
  type StoreEvent,
  type WriteOptions,
} from '../../store/store.ts'

/** A store in memory for tests: nothing expires, and it can be away, cut off and set back. */
export class MemoryStore implements Store {
  readonly name = 'memory'
  readonly isOrdered?: true
  clusterId = 'one'
  /** Every call fails while set. */
  isAway = false
  /** How often each call was made. */
  readonly calls = { get: 0, list: 0, create: 0, put: 0, delete: 0, watch: 0 }
  #entries = new Map<string, Entry>()
  #events: StoreEvent[] = []
  #revision = 1
  /** A change ends every watch from before it with `resync`. */
  #era = 0
  readonly #watches = new Set<Alarm>()

  constructor({ isOrdered = true } = {}) {
    if (isOrdered) this.isOrdered = true
  }

  async get(key: string): Promise<Entry | undefined> {
    this.#call('get')
    return this.#entries.get(key)
  }

  async list(prefix: string): Promise<Snapshot> {
    this.#call('list')
    const entries = [...this.#entries.values()].filter(({ key }) => key.startsWith(prefix))
    entries.sort((a, b) => (a.key < b.key ? -1 : 1))
    return { entries, revision: this.#revision, clusterId: this.clusterId }
  }

  async create(key: string, value: string, options?: WriteOptions): Promise<Entry | undefined> {
    this.#call('create')
    return this.#entries.has(key) ? undefined : this.#write(key, value, options)
  }

  async put(
    key: string,
    value: string,
    expected: number,
    options?: WriteOptions,
  ): Promise<Entry | undefined> {
    this.#call('put')
    if (this.#entries.get(key)?.revision !== expected) return undefined
    return this.#write(key, value, options)
  }

  async delete(key: string, expected: number): Promise<boolean> {
    this.#call('delete')
    if (this.#entries.get(key)?.revision !== expected) return false
    this.#entries.delete(key)
    this.#revision++
    this.#tell({ type: 'delete', key, revision: this.#revision })
    return true
  }

  async *watch(prefix: string, from: number, signal: AbortSignal): AsyncGenerator<StoreEvent> {
    this.#call('watch')
    const alarm = new Alarm()
    const era = this.#era
    this.#watches.add(alarm)
    try {
      for (let seen = 0; !signal.aborted; ) {
        if (this.#era !== era) return yield { type: 'resync' }
        const event = this.#events[seen]
        if (!event) {
          await alarm.wait(Number.POSITIVE_INFINITY, signal)
          continue
        }
        seen++
        const [key, revision] = where(event)
        if (revision > from && key.startsWith(prefix)) yield event
      }
    } finally {
      this.#watches.delete(alarm)
    }
  }

  /** Ends all watches as after a compaction: what happens in `meanwhile` is seen by no event. */
  cut(meanwhile: () => void = () => {}): void {
    meanwhile()
    this.#era++
    this.#events = []
    for (const watch of this.#watches) watch.ring()
  }

  /** What `restore` takes. */
  snapshot(): { readonly entries: Map<string, Entry>; readonly revision: number } {
    return { entries: new Map(this.#entries), revision: this.#revision }
  }

  /** Sets the store back, as a restored backup does. */
  restore({ entries, revision }: ReturnType<MemoryStore['snapshot']>): void {
    this.cut(() => {
      this.#entries = new Map(entries)
      this.#revision = revision
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut()
  }

  #call(name: keyof MemoryStore['calls']): void {
    if (this.isAway) throw new StoreError('unavailable', this.name, 'memory is away')
    this.calls[name]++
  }

  #write(key: string, value: string, options: WriteOptions = {}): Entry {
    this.#revision++
    const leased = options.ttlSeconds !== undefined
    const entry = { key, value, revision: this.#revision, leased }
    this.#entries.set(key, entry)
    this.#tell({ type: 'put', entry })
    return entry
  }

  #tell(event: StoreEvent): void {
    this.#events.push(event)
    for (const watch of this.#watches) watch.ring()
  }
}

function where(event: StoreEvent): [key: string, revision: number] {
  if (event.type === 'resync') return ['', 0]
  return event.type === 'put'
    ? [event.entry.key, event.entry.revision]
    : [event.key, event.revision]
}
