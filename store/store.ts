/**
 * A position in a store's history. Every write of any key takes a higher one. Revisions of stores
 * with different cluster ids cannot be compared.
 */
export type Revision = number

/** One key as it was at `revision`, the write that gave it this value. */
export interface Entry {
  readonly key: string
  readonly value: string
  readonly revision: Revision
  /** Whether the key has a time to live; without one it stays until it is deleted. */
  readonly leased: boolean
  /**
   * When the key expires, in milliseconds since the epoch on this host's clock. Only where the
   * store tells without another request: the embedded store always does, etcd only for what
   * `create` and `put` have just written.
   */
  readonly expiresAt?: number
}

/** Every entry under a prefix at one moment. */
export interface Snapshot {
  /** Ordered by the UTF-8 bytes of the key. */
  readonly entries: Entry[]
  /** The store's newest revision at that moment: watch from here and nothing is missed. */
  readonly revision: Revision
  /** Names the store's history. A different id means another store, or one made anew. */
  readonly clusterId: string
}

export interface WriteOptions {
  /** Whole seconds, at least 1. Absent: the key does not expire. */
  readonly ttlSeconds?: number
}

/**
 * `resync` is always the last event of a watch: events between the watch's position and now are
 * gone, or the store is not the one that was listed. List again and watch from there.
 */
export type StoreEvent =
  | { readonly type: 'put'; readonly entry: Entry }
  | { readonly type: 'delete'; readonly key: string; readonly revision: Revision }
  | { readonly type: 'resync' }

/**
 * A key-value store with revisions, times to live and watches: what lease logic needs and no more.
 * Keys and values are text, stored as UTF-8; keys start with a slash. Every method may throw
 * `StoreError`; a write that fails as `unavailable` may have happened, or not, or may yet: read
 * before trying again.
 *
 * Promised: a write is atomic and durable when its promise resolves; reads see all writes resolved
 * before; a time to live runs on when its writer is gone, and ends at the earliest after
 * `ttlSeconds`, normally within a second, later while the store itself is away.
 *
 * Not promised: transactions over several keys, the values in between two reads, or that a watch
 * is connected at this moment. Act on the state that results, never on a single event alone.
 */
export interface Store extends AsyncDisposable {
  /** Watches tell the changes of different keys in the order of their revisions, all of them. */
  readonly isOrdered?: true
  /** For messages: `sqlite:/var/lib/heddle/store.db`, `etcd:http://10.0.0.1:2379`. */
  readonly name: string

  get(key: string): Promise<Entry | undefined>

  /** Every key that starts with these characters; `''` lists everything. */
  list(prefix: string): Promise<Snapshot>

  /** Writes a key that does not exist. `undefined`: it exists, and was left alone. */
  create(key: string, value: string, options?: WriteOptions): Promise<Entry | undefined>

  /**
   * Replaces value and time to live if the key's revision is still `expected`. `undefined`: it was
   * changed, deleted or has expired since. Never creates a key.
   */
  put(
    key: string,
    value: string,
    expected: Revision,
    options?: WriteOptions,
  ): Promise<Entry | undefined>

  /** Deletes the key if its revision is still `expected`; tells whether it did. */
  delete(key: string, expected: Revision): Promise<boolean>

  /**
   * Every change under `prefix` after the revision `from`, in order, each once, own writes
   * included; an expired key is a `delete`. Ends without error after `resync`, when `signal`
   * aborts and when the store is closed. A lost connection is not an error: it is logged, made
   * again without a limit, and no event is lost or seen twice. Throws only what waiting cannot
   * mend: `denied`, `corrupt`, `unsupported`.
   *
   * A store without a history (Consul, ZooKeeper) only knows the revisions of this handle's own
   * lists of the same prefix, and answers any other with `resync`. It leaves out what a key was
   * between two looks, which may be in another order than the revisions of different keys; deleted
   * keys have the revision of the look that missed them. A look that lacks much of what was there is
   * a `resync`, since only who lists can judge a loss.
   */
  watch(prefix: string, from: Revision, signal: AbortSignal): AsyncIterable<StoreEvent>

  /** Ends all watches and lets go of every handle. Keys with a time to live keep it. */
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * - `unavailable`: not reachable or no answer in time; trying later may help
 * - `denied`: credentials, a certificate or file permissions were refused
 * - `full`: no space left in the store
 * - `corrupt`: the store's data cannot be read
 * - `unsupported`: a newer format, or a server that does not speak this protocol
 * - `closed`: the store was closed by its owner
 */
export type StoreErrorReason =
  | 'unavailable'
  | 'denied'
  | 'full'
  | 'corrupt'
  | 'unsupported'
  | 'closed'

export class StoreError extends Error {
  override readonly name = 'StoreError'
  readonly reason: StoreErrorReason
  /** The `name` of the store that failed. */
  readonly store: string

  constructor(reason: StoreErrorReason, store: string, message: string, cause?: unknown) {
    super(message, { cause })
    this.reason = reason
    this.store = store
  }
}

/** The time to live asked for, if any. Throws `RangeError` if it is not a whole second or more. */
export function ttlOf({ ttlSeconds }: WriteOptions = {}): number | undefined {
  if (ttlSeconds !== undefined && !(Number.isSafeInteger(ttlSeconds) && ttlSeconds >= 1)) {
    throw new RangeError(`Cannot use ${ttlSeconds} as a time to live: whole seconds are needed`)
  }
  return ttlSeconds
}
