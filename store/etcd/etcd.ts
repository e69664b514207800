import type { Logger } from '../../log/logger.ts'
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
import { checkTlsFiles, type TlsFiles } from '../tls-files.ts'
import { EtcdChannel } from './etcd-channel.ts'
import { parseEndpoint } from './etcd-endpoint.ts'
import {
  COMPARE_MOD,
  COMPARE_VERSION,
  keyRange,
  methods,
  prefixRange,
  type TxnRequest,
  type TxnResponse,
} from './etcd-messages.ts'
import { type Change, entryOf, watchKeys } from './etcd-watch.ts'

export interface EtcdOptions {
  /** `http://HOST:PORT` or `https://HOST:PORT`, members of one cluster. */
  readonly endpoints: readonly string[]
  readonly tls?: TlsFiles
  /** Together with `password`. */
  readonly username?: string
  readonly password?: string
}

/**
 * A store on etcd, version 3.3 or later, over gRPC. Nothing is connected before the first call.
 * Throws `StoreError` for options that cannot work.
 *
 * A time to live is an etcd lease of the key's own, never kept alive; replacing or deleting the key
 * revokes it. If etcd does not answer in between, a lease without a key may be left until it ends.
 */
export function openEtcdStore(options: EtcdOptions, log: Logger): Store {
  const name = `etcd:${options.endpoints.join(',')}`
  const { tls, username, password = '' } = options
  if (options.endpoints.length === 0) throw new StoreError('unsupported', name, 'No end points')
  checkTlsFiles(tls, name)
  const endpoints = options.endpoints.map((text) => parseEndpoint(text, tls, name))
  const credentials = username === undefined ? undefined : { username, password }
  return new EtcdStore(new EtcdChannel(name, endpoints, credentials, log), log)
}

/** An etcd lease, and when it ends at the earliest by this host's clock. */
interface Granted {
  readonly id: bigint
  readonly expiresAt: number
}

/** What came of a write. */
interface Written {
  readonly answer: TxnResponse
  readonly granted: Granted | undefined
}

class EtcdStore implements Store {
  readonly name: string
  readonly isOrdered = true
  readonly #channel: EtcdChannel
  readonly #log: Logger
  readonly #closing = new AbortController()
  /** The cluster of the last list, which the revisions our callers hold belong to. */
  #clusterId: string | undefined
  /** The newest entry of the last list of each prefix. */
  readonly #last = new Map<string, Change | undefined>()

  constructor(channel: EtcdChannel, log: Logger) {
    this.name = channel.name
    this.#channel = channel
    this.#log = log
  }

  async get(key: string): Promise<Entry | undefined> {
    const { kvs } = await this.#channel.call(methods.range, keyRange(key))
    return kvs?.[0] && entryOf(kvs[0])
  }

  async list(prefix: string): Promise<Snapshot> {
    const { kvs = [], header } = await this.#channel.call(methods.range, prefixRange(prefix))
    const clusterId = String(header?.clusterId)
    this.#clusterId = clusterId
    const entries = kvs.map(entryOf)
    this.#last.set(prefix, newestOf(entries))
    return { entries, revision: header?.revision ?? 0, clusterId }
  }

  async create(key: string, value: string, options?: WriteOptions): Promise<Entry | undefined> {
    const done = await this.#write(options, (lease) => ({
      compare: [{ target: COMPARE_VERSION, key, version: 0 }],
      success: [{ put: { key, value, ...lease } }],
    }))
    return done && written(key, value, done)
  }

  async put(
    key: string,
    value: string,
    expected: Revision,
    options?: WriteOptions,
  ): Promise<Entry | undefined> {
    // Revision 0 stands for a key that does not exist.
    if (expected < 1) return undefined
    const done = await this.#write(options, (lease) => ({
      compare: [{ target: COMPARE_MOD, key, modRevision: expected }],
      success: [{ put: { key, value, prevKv: true, ...lease } }],
    }))
    if (!done) return undefined
    await this.#retire(done.answer.responses?.[0]?.put?.prevKv?.lease)
    return written(key, value, done)
  }

  async delete(key: string, expected: Revision): Promise<boolean> {
    if (expected < 1) return false
    const { succeeded = false, responses } = await this.#channel.call(methods.txn, {
      compare: [{ target: COMPARE_MOD, key, modRevision: expected }],
      success: [{ deleteRange: { key, prevKv: true } }],
    })
    if (succeeded) await this.#retire(responses?.[0]?.deleteRange?.prevKvs?.[0]?.lease)
    return succeeded
  }

  watch(prefix: string, from: Revision, signal: AbortSignal): AsyncIterable<StoreEvent> {
    const last = this.#last.get(prefix)
    const isKnown = last !== undefined && last.revision <= from
    const start = { prefix, from, clusterId: this.#clusterId, last: isKnown ? last : undefined }
    return watchKeys(this.#channel, start, AbortSignal.any([signal, this.#closing.signal]))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    this.#channel.close()
  }

  /** A write with an etcd lease of its own, which is not left behind when nothing is written. */
  async #write(
    options: WriteOptions | undefined,
    request: (lease: { readonly lease?: bigint }) => TxnRequest,
  ): Promise<Written | undefined> {
    const granted = await this.#grant(options)
    try {
      const answer = await this.#channel.call(
        methods.txn,
        request(granted ? { lease: granted.id } : {}),
      )
      if (answer.succeeded) return { answer, granted }
    } catch (error) {
      // Should the key have been written all the same, it must not go away with its lease.
      const isOpen = error instanceof StoreError && error.reason === 'unavailable'
      if (granted && !isOpen) void this.#revoke(granted.id)
      throw error
    }
    if (granted) await this.#revoke(granted.id)
    return undefined
  }

  async #grant(options: WriteOptions | undefined): Promise<Granted | undefined> {
    const ttl = ttlOf(options)
    if (ttl === undefined) return undefined
    const sentAt = Date.now()
    const answer = await this.#channel.call(methods.leaseGrant, { ttl })
    return { id: answer.id ?? 0n, expiresAt: sentAt + (answer.ttl ?? ttl) * 1000 }
  }

  /**
   * Revokes the lease a key had before, which etcd has detached from it. Revoking deletes every key
   * a lease still has, and others may have bound several to one.
   */
  async #retire(lease: bigint | undefined): Promise<void> {
    if (!lease) return
    try {
      const { keys } = await this.#channel.call(methods.leaseTimeToLive, { id: lease, keys: true })
      if (keys === undefined) await this.#channel.call(methods.leaseRevoke, { id: lease })
    } catch (error) {
      this.#ignore(lease, error)
    }
  }

  async #revoke(lease: bigint): Promise<void> {
    try {
      await this.#channel.call(methods.leaseRevoke, { id: lease })
    } catch (error) {
      this.#ignore(lease, error)
    }
  }

  /** A lease that is left over ends by itself, so it is not worth failing for. */
  #ignore(lease: bigint, error: unknown): void {
    const text = error instanceof Error ? error.message : String(error)
    this.#log.debug('etcd lease not revoked', { lease: lease.toString(16), error: text })
  }
}

function newestOf(entries: readonly Entry[]): Change | undefined {
  const newest = entries.reduce<Entry | undefined>(
    (most, one) => (most && most.revision > one.revision ? most : one),
    undefined,
  )
  return newest && { key: newest.key, revision: newest.revision, value: newest.value }
}

function written(key: string, value: string, { answer, granted }: Written): Entry {
  const revision = answer.header?.revision ?? 0
  const expiresAt = granted && { expiresAt: granted.expiresAt }
  return { key, value, revision, leased: granted !== undefined, ...expiresAt }
}
