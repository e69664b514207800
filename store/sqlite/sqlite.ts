import { rmSync, statSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'
import type { Logger } from '../../log/logger.ts'
import { Pulse } from '../pulse.ts'
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
import { type MachineClock, machineClock } from './sqlite-clock.ts'
import {
  compact,
  expireDue,
  needsUpkeep,
  nextExpiry,
  readEntries,
  readEntry,
  readEvents,
  readMeta,
  recordDelete,
  recordPut,
  settleClock,
} from './sqlite-history.ts'
import { openDatabase, sqliteError, storeName } from './sqlite-schema.ts'
import { Senses } from './sqlite-senses.ts'

/** A few megabytes at most. */
const DEFAULT_HISTORY_LENGTH = 10_000

export interface SqliteOptions {
  /** How many of the newest events are kept for watches that fall behind. */
  readonly historyLength?: number
  readonly clock?: MachineClock
}

/**
 * Opens the embedded store: one SQLite file shared by every process of this machine, each with its
 * own connection. Made if missing. Keys expire when any open store looks; one with watches looks
 * when the time has come. All users must see the same boot clock (no time namespaces). Throws
 * `StoreError`.
 */
export function openSqliteStore(path: string, log: Logger, options: SqliteOptions = {}): Store {
  return new SqliteStore(path, log, options)
}

/** One connection and the inodes of its files, by which a replaced file is told. */
interface Connection {
  readonly db: DatabaseSync
  readonly inode: string
  readonly walInode: string
}

class SqliteStore implements Store {
  readonly name: string
  readonly isOrdered = true
  readonly #path: string
  readonly #log: Logger
  readonly #clock: MachineClock
  readonly #historyLength: number
  readonly #changes = new Pulse()
  readonly #senses: Senses
  /** Missing after a file that replaced ours could not be opened, and when closed. */
  #connection: Connection | undefined
  /** Counts the files that have stood at this path; a watch ends when it changes. */
  #generation = 0
  #closed = false
  #watches = 0
  #failing = false

  constructor(path: string, log: Logger, options: SqliteOptions) {
    this.name = storeName(path)
    this.#path = path
    this.#log = log
    this.#clock = options.clock ?? machineClock()
    this.#historyLength = options.historyLength ?? DEFAULT_HISTORY_LENGTH
    this.#connection = connect(path)
    this.#senses = new Senses(`${path}-wal`, log, {
      onChange: () => this.#changes.beat(),
      msToNextExpiry: () => this.#msToNextExpiry(),
    })
  }

  async get(key: string): Promise<Entry | undefined> {
    return this.#read((db) => readEntry(db, key))
  }

  async list(prefix: string): Promise<Snapshot> {
    return this.#read((db) => {
      const { revision, clusterId } = readMeta(db)
      return { entries: readEntries(db, prefix), revision, clusterId }
    })
  }

  async create(key: string, value: string, options?: WriteOptions): Promise<Entry | undefined> {
    const ttlSeconds = ttlOf(options)
    return this.#write((db, nowMs) =>
      readEntry(db, key) ? undefined : recordPut(db, { key, value, ttlSeconds, nowMs }),
    )
  }

  async put(
    key: string,
    value: string,
    expected: Revision,
    options?: WriteOptions,
  ): Promise<Entry | undefined> {
    const ttlSeconds = ttlOf(options)
    return this.#write((db, nowMs) =>
      readEntry(db, key)?.revision === expected
        ? recordPut(db, { key, value, ttlSeconds, nowMs })
        : undefined,
    )
  }

  async delete(key: string, expected: Revision): Promise<boolean> {
    return this.#write((db) => {
      if (readEntry(db, key)?.revision !== expected) return false
      recordDelete(db, key)
      return true
    })
  }

  async *watch(prefix: string, from: Revision, signal: AbortSignal): AsyncGenerator<StoreEvent> {
    const wake = () => this.#changes.beat()
    signal.addEventListener('abort', wake)
    this.#countWatches(1)
    const generation = this.#generation
    let after = from
    try {
      while (!signal.aborted && !this.#closed) {
        const changed = this.#changes.next
        const { events, position } = this.#eventsAfter(after, prefix, generation)
        for (const event of events) {
          if (signal.aborted || this.#closed) return
          yield event
          if (event.type === 'resync') return
        }
        if (position === after) await changed
        after = position
      }
    } finally {
      signal.removeEventListener('abort', wake)
      this.#countWatches(-1)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    this.#changes.beat()
    this.#senses.rest()
    this.#connection?.db.close()
    this.#connection = undefined
  }

  #eventsAfter(
    after: Revision,
    prefix: string,
    generation: number,
  ): { events: StoreEvent[]; position: Revision } {
    try {
      const page = this.#read((db) => readEvents(db, prefix, after))
      this.#failing = false
      return generation === this.#generation
        ? page
        : { events: [{ type: 'resync' }], position: after }
    } catch (error) {
      const passing = error instanceof StoreError && /^(unavailable|full)$/.test(error.reason)
      if (!passing) throw error
      if (!this.#failing) this.#log.warn('store does not work, trying on', { error: error.message })
      this.#failing = true
      return { events: [], position: after }
    }
  }

  #countWatches(change: 1 | -1): void {
    const before = this.#watches
    this.#watches += change
    if (before === 0 && !this.#closed) this.#senses.wake()
    if (this.#watches === 0) this.#senses.rest()
  }

  #msToNextExpiry(): number {
    if (!this.#connection) return Number.POSITIVE_INFINITY
    try {
      const next = nextExpiry(this.#connection.db) ?? Number.POSITIVE_INFINITY
      return next - this.#clock.wallMs()
    } catch {
      // The watches that are woken find the same failure and know what to do about it.
      return Number.POSITIVE_INFINITY
    }
  }

  /** All of `body` sees one moment, in which nothing is overdue. */
  #read<T>(body: (db: DatabaseSync) => T): T {
    const before = this.#current()
    const overdue = this.#transaction(before, 'BEGIN', () => needsUpkeep(before, this.#clock))
    if (overdue) this.#write(() => {})
    const db = this.#current()
    return this.#transaction(db, 'BEGIN', () => body(db))
  }

  #write<T>(body: (db: DatabaseSync, nowMs: number) => T): T {
    const db = this.#current()
    const answer = this.#transaction(db, 'BEGIN IMMEDIATE', () => {
      settleClock(db, this.#clock)
      const nowMs = this.#clock.wallMs()
      expireDue(db, nowMs)
      const result = body(db, nowMs)
      compact(db, this.#historyLength)
      return result
    })
    this.#changes.beat()
    this.#senses.reschedule()
    return answer
  }

  #transaction<T>(db: DatabaseSync, begin: 'BEGIN' | 'BEGIN IMMEDIATE', body: () => T): T {
    try {
      db.exec(begin)
      const result = body()
      db.exec('COMMIT')
      return result
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK')
      throw sqliteError(error, this.name)
    }
  }

  /** A deleted file still works for whoever has it open, and nobody else sees what is written. */
  #current(): DatabaseSync {
    if (this.#closed) throw new StoreError('closed', this.name, `${this.name} is closed`)
    const { inode, db } = this.#connection ?? {}
    return db && inodeOf(this.#path) === inode ? db : this.#reopen()
  }

  #reopen(): DatabaseSync {
    const old = this.#connection
    this.#connection = undefined
    this.#senses.rest()
    if (old) {
      this.#log.warn('store file was replaced, opening the new one', { store: this.name })
      this.#generation += 1
      // Closed before: both share locks on a left-over -shm, and closing would drop the new one's.
      old.db.close()
      removeLeftovers(this.#path, old)
    }
    try {
      this.#connection = connect(this.#path)
    } finally {
      // Also when it failed: watches have to look again.
      if (this.#watches > 0) this.#senses.wake()
    }
    this.#changes.beat()
    return this.#connection.db
  }
}

function connect(path: string): Connection {
  const db = openDatabase(path)
  return { db, inode: inodeOf(path), walInode: inodeOf(`${path}-wal`) }
}

/**
 * Removes what a replaced database has left beside the new one, which would be damaged by it. Once
 * the log there is another one, the new database's users have made theirs.
 */
function removeLeftovers(path: string, old: Connection): void {
  const walInode = inodeOf(`${path}-wal`)
  if (walInode === '' || walInode !== old.walInode) return
  for (const suffix of ['-wal', '-shm']) rmSync(path + suffix, { force: true })
}

/** Device and inode of the file at the path; empty if there is none to be seen. */
function inodeOf(path: string): string {
  try {
    const { dev, ino } = statSync(path)
    return `${dev}:${ino}`
  } catch {
    // Whatever the reason is, opening the database will meet it too and name it.
    return ''
  }
}
