import type { Revision } from '../store.ts'

/** A key as such a server keeps it. */
export interface Stored {
  readonly key: string
  readonly value: string
  readonly revision: Revision
  /** What is written down with the value; nobody but us keeps to it. Absent: it does not expire. */
  readonly ttlSeconds?: number
}

/** What is under a prefix, in the order of the keys' UTF-8 bytes. */
export interface Listing {
  readonly entries: readonly Stored[]
  /** Nothing up to this revision, of whatever key, is missing. Entries may be newer. */
  readonly revision: Revision
}

/** What a watch finds each time it looks, in any order. */
export interface Update extends Listing {
  /** Whether `entries` is everything under the prefix, and not only what may have changed. */
  readonly isWhole: boolean
  /** Keys that are missing; empty if `isWhole`. */
  readonly gone: readonly string[]
}

/**
 * A server with compare-and-set and some way to learn of changes, but with neither times to live
 * nor a history for watches: `openKeyspaceStore` makes a `Store` of it. Keys start with a slash.
 * Every method may throw `StoreError`; reads see all writes that were answered before.
 */
export interface Keyspace {
  readonly name: string
  read(key: string): Promise<Stored | undefined>
  list(prefix: string): Promise<Listing>

  /**
   * Writes if the key's revision is `expected`, 0 for a key that does not exist. Its new revision,
   * a higher one even for the same value; `undefined`: it was another.
   */
  write(stored: Omit<Stored, 'revision'>, expected: Revision): Promise<Revision | undefined>

  /** Deletes the key if its revision is `expected`; tells whether it did. */
  remove(key: string, expected: Revision): Promise<boolean>

  /**
   * Everything under the prefix, then what changes; no change is missed, several may be one. Ends
   * when it is best begun anew, and when `signal` aborts.
   */
  follow(prefix: string, signal: AbortSignal): AsyncGenerator<Update>

  /** Ends every call with StoreError `closed`. */
  close(): void
}
