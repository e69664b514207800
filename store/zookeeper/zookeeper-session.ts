import type { StoreError } from '../store.ts'
import type { ZookeeperChannel } from './zookeeper-channel.ts'
import {
  type Change,
  type ChangeResult,
  codes,
  opcodes,
  type PacketReader,
  PacketWriter,
  readMultiResults,
  readStat,
  type Stat,
  WATCH_RECURSIVE,
  writeMulti,
} from './zookeeper-codec.ts'
import type { Reply, ZookeeperConnection } from './zookeeper-connection.ts'
import { childOf } from './zookeeper-node.ts'

/** A node as it is. */
export interface Node extends Stat {
  /** `null` for one that only has children. */
  readonly data: Buffer | null
}

/** The server's own nodes: quotas and the ensemble's configuration. */
const SYSTEM_NODE = '/zookeeper'

/** The requests of a store, on one connection. All throw `StoreError`. */
export class ZookeeperSession {
  readonly #channel: ZookeeperChannel
  readonly #connection: ZookeeperConnection

  constructor(channel: ZookeeperChannel, connection: ZookeeperConnection) {
    this.#channel = channel
    this.#connection = connection
  }

  get isOpen(): boolean {
    return this.#connection.isOpen
  }

  /** Resolves when the connection ends, with the reason. */
  get lost(): Promise<StoreError> {
    return this.#connection.lost
  }

  /** A node, as it is after all that was written before; `zxid` is the newest transaction then. */
  async read(path: string): Promise<{ path: string; node: Node | undefined; zxid: number }> {
    const [, found] = await Promise.all([this.#sync(), this.#getData(path)])
    return { path, ...found }
  }

  /** The same and, from before that, the version of a guard node, if there is one. */
  async readGuarded(
    path: string,
    guard: string,
  ): Promise<{ node: Node | undefined; guardVersion: number | undefined }> {
    const exists = new PacketWriter().text(guard).bool(false)
    const [, { value: guarded }, { node }] = await Promise.all([
      this.#sync(),
      this.#ask(opcodes.exists, exists, readStat, codes.noNode),
      this.#getData(path),
    ])
    return { node, guardVersion: guarded?.version }
  }

  /**
   * Shows every node with data below `folder`, of those children that are wanted, their children
   * included. `since` is the newest transaction at the beginning; torn: nodes went meanwhile.
   */
  async walk(
    folder: string,
    isWanted: (path: string) => boolean,
    take: (path: string, node: Node & { readonly data: Buffer }) => void,
  ): Promise<{ since: number; isTorn: boolean }> {
    let isTorn = false
    const visit = async (path: string): Promise<void> => {
      const { node } = await this.#getData(path)
      if (!node) isTorn = true
      else if (node.data) take(path, { ...node, data: node.data })
      if (node && node.children > 0) await visitAll((await this.#children(path)).paths)
    }
    const visitAll = async (paths: readonly string[]): Promise<void> => {
      await Promise.all(paths.map(visit))
    }
    const [, { paths, zxid }] = await Promise.all([this.#sync(), this.#children(folder)])
    await visitAll(paths.filter((path) => path !== SYSTEM_NODE && isWanted(path)))
    return { since: zxid, isTorn }
  }

  /** From now on the channel tells of all that happens to a node and below it. */
  async watch(path: string): Promise<void> {
    await this.#ask(opcodes.addWatch, new PacketWriter().text(path).int(WATCH_RECURSIVE), ignore)
  }

  /** Makes all changes or none. What a race can bring about is an answer, and else it throws. */
  async change(changes: readonly Change[]): Promise<ChangeResult[]> {
    const read = (reader: PacketReader) => readMultiResults(reader, changes.length)
    const { value: results = [] } = await this.#ask(opcodes.multi, writeMulti(changes), read)
    const failed = results.find(({ error }) => error !== codes.ok && error !== codes.otherFailed)
    if (failed && !races.includes(failed.error)) throw this.#channel.error(failed.error)
    return results
  }

  async #getData(path: string): Promise<{ node: Node | undefined; zxid: number }> {
    const body = new PacketWriter().text(path).bool(false)
    const read = (reader: PacketReader): Node => ({ data: reader.buffer(), ...readStat(reader) })
    const { zxid, value } = await this.#ask(opcodes.getData, body, read, codes.noNode)
    return { node: value, zxid }
  }

  async #children(path: string): Promise<{ paths: string[]; zxid: number }> {
    const body = new PacketWriter().text(path).bool(false)
    const read = (reader: PacketReader) => reader.texts()
    const answer = await this.#ask(opcodes.getChildren, body, read, codes.noNode)
    const { zxid, value: names = [] } = answer
    return { paths: names.map((name) => childOf(path, name)), zxid }
  }

  /** What is asked for after this is not older than what was written anywhere before. */
  async #sync(): Promise<void> {
    await this.#ask(opcodes.sync, new PacketWriter().text('/'), ignore)
  }

  /** Throws for an error that is not expected. */
  async #ask<T>(
    opcode: number,
    body: PacketWriter,
    read: (reader: PacketReader) => T,
    expected?: number,
  ): Promise<Reply<T>> {
    const reply = await this.#connection.request(opcode, body, read)
    if (reply.error === codes.ok || reply.error === expected) return reply
    throw this.#channel.error(reply.error)
  }
}

/** For replies with nothing of interest. */
function ignore(): void {}

const races: readonly number[] = [codes.noNode, codes.badVersion, codes.nodeExists, codes.notEmpty]
