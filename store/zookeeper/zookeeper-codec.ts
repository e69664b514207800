/*
 * The part of ZooKeeper's protocol that heddle speaks: zookeeper-jute's zookeeper.jute, all numbers
 * big-endian, each packet after its length in four bytes.
 */

/** Writes a packet's fields one after the other. */
export class PacketWriter {
  readonly #parts: Buffer[] = []

  int(value: number): this {
    const part = Buffer.allocUnsafe(4)
    part.writeInt32BE(value)
    return this.#add(part)
  }

  long(value: number): this {
    const part = Buffer.allocUnsafe(8)
    part.writeBigInt64BE(BigInt(value))
    return this.#add(part)
  }

  bool(value: boolean): this {
    return this.#add(Buffer.of(value ? 1 : 0))
  }

  /** `null` is not the same as empty. */
  buffer(value: Uint8Array | null): this {
    this.int(value?.length ?? -1)
    return value ? this.#add(Buffer.from(value)) : this
  }

  text(value: string): this {
    return this.buffer(Buffer.from(value))
  }

  /** What another writer has. */
  append(other: PacketWriter): this {
    return this.#add(other.#content())
  }

  /** The packet, its length before it. */
  packet(): Buffer {
    const content = this.#content()
    return Buffer.concat([new PacketWriter().int(content.length).#content(), content])
  }

  #content(): Buffer {
    return Buffer.concat(this.#parts)
  }

  #add(part: Buffer): this {
    this.#parts.push(part)
    return this
  }
}

/** Reads a packet's fields one after the other. Throws RangeError at its end. */
export class PacketReader {
  readonly #packet: Buffer
  #at = 0

  constructor(packet: Buffer) {
    this.#packet = packet
  }

  int(): number {
    this.#at += 4
    return this.#packet.readInt32BE(this.#at - 4)
  }

  /** Exact up to 2^53: transaction ids are so for two million elections. */
  long(): number {
    this.#at += 8
    return Number(this.#packet.readBigInt64BE(this.#at - 8))
  }

  bool(): boolean {
    this.#at += 1
    return this.#packet.readUInt8(this.#at - 1) !== 0
  }

  buffer(): Buffer | null {
    const length = this.int()
    if (length < 0) return null
    const end = this.#at + length
    if (end > this.#packet.length) throw new RangeError(`a field of ${length} bytes is cut off`)
    const value = this.#packet.subarray(this.#at, end)
    this.#at = end
    return value
  }

  text(): string {
    return this.buffer()?.toString() ?? ''
  }

  texts(): string[] {
    const count = this.int()
    return Array.from({ length: Math.max(count, 0) }, () => this.text())
  }
}

/** What is known of a node beside its data. */
export interface Stat {
  /** The transaction that last changed the data: a revision. */
  readonly mzxid: number
  /** Changes of the data since the node was made: for a node made anew it begins anew. */
  readonly version: number
  readonly children: number
}

export function readStat(reader: PacketReader): Stat {
  reader.long() // czxid
  const mzxid = reader.long()
  reader.long() // ctime
  reader.long() // mtime
  const version = reader.int()
  reader.int() // cversion
  reader.int() // aversion
  reader.long() // ephemeralOwner
  reader.int() // dataLength
  const children = reader.int()
  reader.long() // pzxid
  return { mzxid, version, children }
}

/** ZooDefs.OpCode. */
export const opcodes = {
  create: 1,
  delete: 2,
  exists: 3,
  getData: 4,
  setData: 5,
  getChildren: 8,
  sync: 9,
  check: 13,
  multi: 14,
  addWatch: 106,
  close: -11,
} as const

/** KeeperException.Code, those that are answers and not failures. */
export const codes = {
  ok: 0,
  /** Of a multi: this change was fine, another was not. */
  otherFailed: -2,
  noNode: -101,
  badVersion: -103,
  nodeExists: -110,
  notEmpty: -111,
} as const

/** AddWatchMode.PERSISTENT_RECURSIVE: this node and all below, until the connection ends. */
export const WATCH_RECURSIVE = 1

/** One of the changes that a multi makes all or none of. */
export type Change =
  | { readonly op: 'check'; readonly path: string; readonly version: number }
  | { readonly op: 'delete'; readonly path: string; readonly version: number }
  | {
      readonly op: 'setData'
      readonly path: string
      readonly data: Uint8Array | null
      /** -1: whatever it is. */
      readonly version: number
    }
  | {
      readonly op: 'create'
      readonly path: string
      readonly data: Uint8Array | null
      readonly acl: Acl
    }

/** Who may do what with a node. */
export type Acl = 'anyone' | 'creator'

export function writeMulti(changes: readonly Change[]): PacketWriter {
  const writer = new PacketWriter()
  for (const change of changes) {
    writer.int(opcodes[change.op]).bool(false).int(-1).append(writeChange(change))
  }
  return writer.int(-1).bool(true).int(-1)
}

export function writeChange(change: Change): PacketWriter {
  const writer = new PacketWriter().text(change.path)
  if (change.op === 'check' || change.op === 'delete') return writer.int(change.version)
  if (change.op === 'setData') return writer.buffer(change.data).int(change.version)
  return writer.buffer(change.data).append(writeAcl(change.acl)).int(PERSISTENT)
}

/** CreateMode. */
const PERSISTENT = 0
/** ZooDefs.Perms. */
const ALL = 31

function writeAcl(acl: Acl): PacketWriter {
  const [scheme, id] = acl === 'creator' ? ['auth', ''] : ['world', 'anyone']
  return new PacketWriter().int(1).int(ALL).text(scheme).text(id)
}

/** What became of one change of a multi. */
export interface ChangeResult {
  /** 0 if it was fine; where another was not, it was not made all the same. */
  readonly error: number
  /** Of a `setData`; all changes of one multi have the same. */
  readonly mzxid?: number
}

/** Throws RangeError if there are not as many as there were changes. */
export function readMultiResults(reader: PacketReader, count: number): ChangeResult[] {
  const results: ChangeResult[] = []
  for (;;) {
    const type = reader.int()
    const isEnd = reader.bool()
    reader.int() // the error once more
    if (isEnd !== (results.length === count)) throw new RangeError('more or fewer results')
    if (isEnd) return results
    if (type === FAILED) results.push({ error: reader.int() })
    else {
      if (type === opcodes.create) reader.text()
      const hasStat = type === opcodes.setData
      results.push({ error: codes.ok, ...(hasStat && { mzxid: readStat(reader).mzxid }) })
    }
  }
}

/** ZooDefs.OpCode.error. */
const FAILED = -1
