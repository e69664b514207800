import { stableHash } from '../../ip/hash.ts'
import type { Logger } from '../../log/logger.ts'
import type { Keyspace, Listing, Stored, Update } from '../keyspace/keyspace.ts'
import { openKeyspaceStore } from '../keyspace/keyspace-store.ts'
import { Pulse } from '../pulse.ts'
import { type Revision, type Store, StoreError } from '../store.ts'
import { checkTlsFiles } from '../tls-files.ts'
import { ZookeeperChannel, type ZookeeperOptions } from './zookeeper-channel.ts'
import { type Change, codes } from './zookeeper-codec.ts'
import { folderOf, formatData, keyOf, parentOf, parseData, pathOf } from './zookeeper-node.ts'
import { ZookeeperSession } from './zookeeper-session.ts'

/**
 * A store on ZooKeeper, version 3.6 or later. Nothing is connected before the first call. `root` is
 * a key under which ours are: `store-id` there tells this store from one made anew. Throws
 * `StoreError` for options that cannot work.
 *
 * A key is a path and its value the node's data, after a line with the time to live if it has one.
 * A node without data (`null`, as the parents that are made for a key) is no key.
 */
export function openZookeeperStore(options: ZookeeperOptions, root: string, log: Logger): Store {
  const name = `zookeeper:${options.endpoints.join(',')}`
  if (options.endpoints.length === 0) throw new StoreError('unsupported', name, 'No end points')
  checkTlsFiles(options.tls, name)
  const keyspace = new ZookeeperKeyspace(new ZookeeperChannel(name, options), options, root)
  return openKeyspaceStore(keyspace, { idKey: `${root}/store-id`, log })
}

const GUARDS = 128n
/** A change that others keep getting ahead of is given up after so many times. */
const MAX_ATTEMPTS = 20
/** So often a list is made when something is written meanwhile. */
const MAX_LISTS = 3

class ZookeeperKeyspace implements Keyspace {
  readonly name: string
  readonly #channel: ZookeeperChannel
  /** Where the guards are, see `#guardOf`. */
  readonly #guards: string
  readonly #acl: 'anyone' | 'creator'

  constructor(channel: ZookeeperChannel, options: ZookeeperOptions, root: string) {
    this.name = channel.name
    this.#channel = channel
    this.#guards = pathOf(`${root}/store-guards`)
    this.#acl = options.login ? 'creator' : 'anyone'
  }

  async read(key: string): Promise<Stored | undefined> {
    const path = pathOf(key)
    const { node } = await this.#reading((session) => session.read(path))
    return node?.data ? storedOf(key, node.data, node.mzxid) : undefined
  }

  list(prefix: string): Promise<Listing> {
    return this.#reading((session) => listUnder(session, prefix))
  }

  async write(
    { key, value, ttlSeconds }: Omit<Stored, 'revision'>,
    expected: Revision,
  ): Promise<Revision | undefined> {
    const path = pathOf(key)
    const data = formatData(value, ttlSeconds)
    const guard = this.#guardOf(path)
    return this.#attempt(async (session) => {
      const { node, guardVersion } = await session.readGuarded(path, guard)
      if ((node?.data ? node.mzxid : 0) !== expected) return { answer: undefined }
      if (guardVersion === undefined) return this.#make(session, guard)
      const change: Change[] = node
        ? [
            { op: 'check', path: guard, version: guardVersion },
            { op: 'setData', path, data, version: node.version },
          ]
        : [
            { op: 'setData', path: guard, data: null, version: -1 },
            { op: 'create', path, data, acl: this.#acl },
          ]
      const results = await session.change(change)
      const isMade = results.every(({ error }) => error === codes.ok)
      // One of the two is a `setData`, and both have the same transaction.
      if (isMade) return { answer: results.find(({ mzxid }) => mzxid)?.mzxid }
      const isOrphan = !node && results[1]?.error === codes.noNode
      return isOrphan ? this.#make(session, parentOf(path)) : undefined
    })
  }

  async remove(key: string, expected: Revision): Promise<boolean> {
    const path = pathOf(key)
    const guard = this.#guardOf(path)
    const done = await this.#attempt(async (session) => {
      const { node, guardVersion } = await session.readGuarded(path, guard)
      if (!node?.data || node.mzxid !== expected) return { answer: undefined }
      if (guardVersion === undefined) return this.#make(session, guard)
      const { version, children } = node
      const [, result] = await session.change([
        { op: 'check', path: guard, version: guardVersion },
        // Other keys may be below this one.
        children > 0
          ? { op: 'setData', path, data: null, version }
          : { op: 'delete', path, version },
      ])
      return result?.error === codes.ok ? { answer: true } : undefined
    })
    return done ?? false
  }

  async *follow(prefix: string, signal: AbortSignal): AsyncGenerator<Update> {
    const session = await this.#session()
    const changed = new Set<string>()
    const pulse = new Pulse()
    const beat = () => pulse.beat()
    const forget = this.#channel.listen((path) => {
      if (!keyOf(path)?.startsWith(prefix)) return
      changed.add(path)
      beat()
    })
    signal.addEventListener('abort', beat)
    void session.lost.then(beat)
    try {
      await session.watch(folderOf(prefix))
      yield { ...(await listUnder(session, prefix)), isWhole: true, gone: [] }
      while (!signal.aborted) {
        const next = pulse.next
        if (changed.size > 0) yield await readChanged(session, changed)
        else if (session.isOpen) await next
        else throw await session.lost
      }
    } finally {
      signal.removeEventListener('abort', beat)
      forget()
    }
  }

  close(): void {
    this.#channel.close()
  }

  /**
   * A node that is written to whenever the node at this path is made. The version of a node begins
   * anew when it is deleted and made again, so it alone does not tell whether the node is the one we
   * know; together with its guard's it does. Several nodes share a guard, but not many: who changes
   * one begins again when another is made meanwhile.
   */
  #guardOf(path: string): string {
    return `${this.#guards}/${stableHash(path) % GUARDS}`
  }

  async #session(): Promise<ZookeeperSession> {
    return new ZookeeperSession(this.#channel, await this.#channel.connect())
  }

  /** Reads once more, over another connection, when the connection was lost. */
  async #reading<T>(read: (session: ZookeeperSession) => Promise<T>): Promise<T> {
    const session = await this.#session()
    try {
      return await read(session)
    } catch (error) {
      if (session.isOpen) throw error
      return read(await this.#session())
    }
  }

  /** Tries a change until it has an answer: `undefined` in place of one is to try again. */
  async #attempt<T>(
    change: (session: ZookeeperSession) => Promise<{ answer: T | undefined } | undefined>,
  ): Promise<T | undefined> {
    const session = await this.#session()
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      const done = await change(session)
      if (done) return done.answer
    }
    throw new StoreError('unavailable', this.name, `${this.name}: others keep writing`)
  }

  /** Makes a node without data, and its parents. */
  async #make(session: ZookeeperSession, path: string): Promise<undefined> {
    const names = path.split('/')
    for (let count = 2; count <= names.length; count += 1) {
      const ancestor = names.slice(0, count).join('/')
      await session.change([{ op: 'create', path: ancestor, data: null, acl: this.#acl }])
    }
  }
}

/** As many lists as it takes to find none written to meanwhile, within reason. */
async function listUnder(session: ZookeeperSession, prefix: string): Promise<Listing> {
  const folder = folderOf(prefix)
  for (let attempt = 1; ; attempt += 1) {
    const entries: Stored[] = []
    const isWanted = (path: string) => keyOf(path)?.startsWith(prefix) ?? false
    const { since, isTorn } = await session.walk(folder, isWanted, (path, { data, mzxid }) => {
      const key = keyOf(path)
      if (key !== undefined) entries.push(storedOf(key, data, mzxid))
    })
    const newest = entries.reduce((most, { revision }) => Math.max(most, revision), since)
    // What was written after `since` and is in one entry may be missing in another.
    const isOneMoment = newest === since && !isTorn
    if (!isOneMoment && attempt < MAX_LISTS) continue
    return { entries: inOrderOfBytes(entries), revision: since }
  }
}

function inOrderOfBytes(entries: readonly Stored[]): Stored[] {
  const keyed = entries.map((entry) => ({ entry, bytes: Buffer.from(entry.key) }))
  return keyed.sort((a, b) => Buffer.compare(a.bytes, b.bytes)).map(({ entry }) => entry)
}

/** Reads what has changed, which empties the set. */
async function readChanged(session: ZookeeperSession, changed: Set<string>): Promise<Update> {
  const paths = [...changed]
  changed.clear()
  const entries: Stored[] = []
  const gone: string[] = []
  let revision = 0
  for (const { path, node, zxid } of await Promise.all(paths.map((path) => session.read(path)))) {
    const key = keyOf(path)
    revision = Math.max(revision, zxid)
    if (key === undefined) continue
    if (node?.data) entries.push(storedOf(key, node.data, node.mzxid))
    else gone.push(key)
  }
  return { entries, gone, isWhole: false, revision }
}

function storedOf(key: string, data: Buffer, revision: Revision): Stored {
  return { key, revision, ...parseData(data) }
}
