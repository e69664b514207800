import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../../log/logger.ts'
import type { Keyspace, Listing, Stored, Update } from '../keyspace/keyspace.ts'
import { openKeyspaceStore } from '../keyspace/keyspace-store.ts'
import { type Revision, type Store, StoreError } from '../store.ts'
import { checkTlsFiles } from '../tls-files.ts'
import { type ConsulAnswer, ConsulHttp, type ConsulOptions } from './consul-http.ts'

/**
 * A store on Consul, version 1.8 or later, over its HTTP API. Nothing is connected before the first
 * call. `root` is a key under which ours are: `store-id` there tells this store from one made anew.
 * Throws `StoreError` for options that cannot work.
 *
 * A key loses its first slash, as in Consul's own tools, and its value is there as it is. The time
 * to live is kept in the flags, in decimal: our four digits, four that differ from write to write,
 * and eight of seconds, 0 for none. A key with other flags is somebody else's and does not expire.
 */
export function openConsulStore(options: ConsulOptions, root: string, log: Logger): Store {
  const name = `consul:${options.endpoints.join(',')}`
  if (options.endpoints.length === 0) throw new StoreError('unsupported', name, 'No end points')
  checkTlsFiles(options.tls, name)
  const keyspace = new ConsulKeyspace(name, new ConsulHttp(name, options))
  return openKeyspaceStore(keyspace, { idKey: `${root}/store-id`, log })
}

/** How long a query may wait for something to change. */
const WAIT_SECONDS = 30
/** Consul waits a sixteenth longer at random. */
const LONGEST_WAIT_MS = WAIT_SECONDS * 1000 * (1 + 1 / 16)
/** Every answer has all that is under the prefix: when much changes, several changes share one. */
const SPACING_MS = 25

/** A key as Consul tells of it. The value is in base64. */
interface Pair {
  readonly Key: string
  readonly Value: string | null
  readonly Flags: number
  readonly ModifyIndex: number
}

/** Under any prefix, nobody's. */
const NO_KEY = '.heddle-no-such-key'

const TTL_RANGE = 100_000_000
const MARKER_RANGE = 10_000
/** `HD` in ASCII: whoever sets flags of their own must not have their keys deleted. */
const OUR_DIGITS = 7268

class ConsulKeyspace implements Keyspace {
  readonly name: string
  readonly #http: ConsulHttp

  constructor(name: string, http: ConsulHttp) {
    this.name = name
    this.#http = http
  }

  async read(key: string): Promise<Stored | undefined> {
    const [pair] = (await this.#transact([{ Verb: 'get', Key: consulKey(key) }])) ?? []
    return pair && storedOf(pair)
  }

  async list(prefix: string): Promise<Listing> {
    const revision = await this.#newest(prefix)
    return { entries: (await this.#tree(prefix)).entries, revision }
  }

  async write(
    { key, value, ttlSeconds = 0 }: Omit<Stored, 'revision'>,
    expected: Revision,
  ): Promise<Revision | undefined> {
    const pair = {
      Verb: 'cas' as const,
      Key: consulKey(key),
      Value: Buffer.from(value).toString('base64'),
      Index: expected,
    }
    // A write that changes nothing gets no new index, so the flags have something of the last.
    for (let marker = expected; ; marker += 1) {
      const [written] =
        (await this.#transact([{ ...pair, Flags: flagsOf(ttlSeconds, marker) }])) ?? []
      if (written?.ModifyIndex !== expected) return written?.ModifyIndex
    }
  }

  async remove(key: string, expected: Revision): Promise<boolean> {
    // Not `delete-cas`, which calls it a success when there is no such key.
    const answer = await this.#transact([
      { Verb: 'check-index', Key: consulKey(key), Index: expected },
      { Verb: 'delete', Key: consulKey(key) },
    ])
    return answer !== undefined
  }

  async *follow(prefix: string, signal: AbortSignal): AsyncGenerator<Update> {
    const newest = await this.#newest(prefix)
    const first = await this.#tree(prefix)
    yield wholeUpdate(first.entries, newest)
    for (let { index } = first; !signal.aborted; ) {
      const wait = { query: `&index=${index}&wait=${WAIT_SECONDS}s`, signal }
      const next = await this.#tree(prefix, wait)
      // It can go back: when Consul forgets what was deleted, and when it was put back from a copy.
      if (next.index < index) return
      if (next.index > index) yield wholeUpdate(next.entries, next.index)
      index = next.index
      await sleep(SPACING_MS, undefined, { signal }).catch(() => {})
    }
  }

  close(): void {
    this.#http.close()
  }

  /** Everything under a prefix, and the index to wait from; with `wait`, once it has changed. */
  async #tree(
    prefix: string,
    wait?: { readonly query: string; readonly signal: AbortSignal },
  ): Promise<{ entries: Stored[]; index: number }> {
    const { status, index, body } = await this.#http.ask({
      method: 'GET',
      path: `/v1/kv/${pathOf(prefix)}?recurse&consistent${wait?.query ?? ''}`,
      repeatable: true,
      ...(wait && { waitMs: LONGEST_WAIT_MS, signal: wait.signal }),
    })
    const pairs = status === 404 ? [] : this.#parse(body)
    if (!isListOf(pairs, isPair)) throw this.#rubbish(body)
    const entries = pairs.map(storedOf).filter(({ key }) => key.startsWith(prefix))
    // An index of 0 would be answered at once.
    return { entries, index: Math.max(index, 1) }
  }

  /**
   * The newest index of all keys: what a key that does not exist has. The index of a prefix can go
   * back, since Consul forgets deleted keys after a quarter of an hour.
   */
  async #newest(prefix: string): Promise<Revision> {
    const path = `/v1/kv/${pathOf(prefix)}${NO_KEY}?consistent`
    return (await this.#http.ask({ method: 'GET', path, repeatable: true })).index
  }

  /**
   * All of the operations or, as one of them does not find what it expects, none: `undefined`. What
   * each found or made, but for those that delete.
   */
  async #transact(operations: readonly Operation[]): Promise<readonly Pair[] | undefined> {
    const answer: ConsulAnswer = await this.#http.ask({
      method: 'PUT',
      path: '/v1/txn?consistent',
      body: JSON.stringify(operations.map((operation) => ({ KV: operation }))),
      repeatable: operations.every(({ Verb }) => Verb === 'get'),
    })
    const told = this.#parse(answer.body)
    if (!isTxnAnswer(told)) throw this.#rubbish(answer.body)
    if (answer.status === 200) {
      const pairs = (told.Results ?? []).map(({ KV }) => KV)
      const answered = operations.filter(({ Verb }) => Verb !== 'delete')
      if (pairs.length === answered.length) return pairs
      // What we may not read is left out of the answer, which is not to say that it is not there.
      const keys = answered.map(({ Key }) => Key).join(', ')
      throw new StoreError('denied', this.name, `Consul: permission denied to read ${keys}`)
    }
    const text = told.Errors?.map(({ What }) => What).join('; ') ?? ''
    if (/doesn't exist|index is stale|failed to check index|current modify index/.test(text)) {
      return undefined
    }
    const reason = /permission denied|ACL not found/i.test(text) ? 'denied' : 'unavailable'
    throw new StoreError(reason, this.name, `Consul refused a change: ${text}`)
  }

  #parse(body: string): unknown {
    try {
      return JSON.parse(body)
    } catch (error) {
      throw this.#rubbish(body, error)
    }
  }

  #rubbish(body: string, cause?: unknown): StoreError {
    const text = `${this.name} does not answer like Consul: ${JSON.stringify(body.slice(0, 100))}`
    return new StoreError('corrupt', this.name, text, cause)
  }
}

type Operation =
  | { readonly Verb: 'get' | 'delete'; readonly Key: string }
  | { readonly Verb: 'check-index'; readonly Key: string; readonly Index: number }
  | {
      readonly Verb: 'cas'
      readonly Key: string
      readonly Value: string
      readonly Index: number
      readonly Flags: number
    }

function wholeUpdate(entries: readonly Stored[], revision: Revision): Update {
  return { entries, revision, isWhole: true, gone: [] }
}

/** Consul's tools and pages have no way to keys that start with a slash. */
function consulKey(key: string): string {
  return key.replace(/^\//, '')
}

/**
 * A prefix as a path. It ends before what the server would not take in one (control characters) or
 * would rewrite (`//`, `/./`): more is listed then.
 */
function pathOf(prefix: string): string {
  const key = consulKey(prefix).toWellFormed()
  const end = key.search(/\p{Cc}|\/\/|(?<![^/])\.{1,2}(?![^/])/u)
  const plain = end < 0 ? key : key.slice(0, end)
  return plain.split('/').map(encodeURIComponent).join('/')
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function isListOf<T>(value: unknown, isOne: (one: unknown) => one is T): value is readonly T[] {
  return Array.isArray(value) && value.every(isOne)
}

function isPair(value: unknown): value is Pair {
  return (
    isObject(value) &&
    typeof value['Key'] === 'string' &&
    (value['Value'] === null || typeof value['Value'] === 'string') &&
    typeof value['Flags'] === 'number' &&
    Number.isSafeInteger(value['ModifyIndex'])
  )
}

interface TxnAnswer {
  readonly Results?: readonly { readonly KV: Pair }[] | null
  readonly Errors?: readonly { readonly What: string }[] | null
}

function isTxnAnswer(value: unknown): value is TxnAnswer {
  if (!isObject(value)) return false
  const { Results = null, Errors = null } = value
  return (
    ('Results' in value || 'Errors' in value) &&
    (Results === null || isListOf(Results, isResult)) &&
    (Errors === null || isListOf(Errors, isRefusal))
  )
}

function isResult(value: unknown): value is { readonly KV: Pair } {
  return isObject(value) && isPair(value['KV'])
}

function isRefusal(value: unknown): value is { readonly What: string } {
  return isObject(value) && typeof value['What'] === 'string'
}

function storedOf({ Key, Value, Flags, ModifyIndex }: Pair): Stored {
  const isOurs = Math.floor(Flags / TTL_RANGE / MARKER_RANGE) === OUR_DIGITS
  const ttlSeconds = isOurs ? Flags % TTL_RANGE : 0
  return {
    key: `/${Key}`,
    value: Buffer.from(Value ?? '', 'base64').toString(),
    revision: ModifyIndex,
    ...(ttlSeconds > 0 && { ttlSeconds }),
  }
}

function flagsOf(ttlSeconds: number, marker: number): number {
  if (ttlSeconds < TTL_RANGE) {
    return (OUR_DIGITS * MARKER_RANGE + (marker % MARKER_RANGE)) * TTL_RANGE + ttlSeconds
  }
  throw new RangeError(`Cannot use ${ttlSeconds} as a time to live: it is more than three years`)
}
