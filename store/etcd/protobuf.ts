/**
 * How one field's value looks on the wire (protobuf.dev/programming-guides/encoding). Numbers are
 * varints, everything else is bytes with a length before it: what is from `start` to before `end`.
 * A varint is read as a number, or where that may not hold it as a bigint.
 */
export type Wire<T> =
  | { readonly form: 'varint'; write(value: T): bigint; read(varint: number | bigint): T }
  | {
      readonly form: 'bytes'
      write(value: T): Uint8Array
      read(data: Buffer, start: number, end: number): T
    }

/** One field: its number in the .proto file, the form of its payload, and whether it repeats. */
export interface Row<T> {
  readonly field: number
  readonly wire: Wire<T>
  readonly repeated?: true
}

// oxlint-disable-next-line typescript/no-explicit-any -- a row's value type is known only row by row
export type Table = Readonly<Record<string, Row<any>>>

type ValueOf<R> = R extends { wire: Wire<infer V>; repeated: true }
  ? readonly V[]
  : R extends Row<infer V>
    ? V
    : never

/** The values a table describes. An absent key is not sent; the reader takes it as the default. */
export type Message<T extends Table> = { readonly [K in keyof T]?: ValueOf<T[K]> }

/** int64 as a number, for what stays below 2^53. */
export const int: Wire<number> = {
  form: 'varint',
  write: (value) => BigInt.asUintN(64, BigInt(value)),
  read(varint) {
    if (typeof varint === 'number') return varint
    const value = Number(BigInt.asIntN(64, varint))
    if (!Number.isSafeInteger(value)) throw new RangeError(`${varint} is beyond 2^53`)
    return value
  },
}

/** An id that uses all 64 bits. */
export const id: Wire<bigint> = { form: 'varint', write: (value) => value, read: BigInt }

export const bool: Wire<boolean> = {
  form: 'varint',
  write: (value) => (value ? 1n : 0n),
  read: (varint) => varint !== 0,
}

const encoder = new TextEncoder()

/** UTF-8 text; also for `bytes` fields that hold text. Malformed input is read as U+FFFD. */
export const text: Wire<string> = {
  form: 'bytes',
  write: (value) => encoder.encode(value),
  read: (data, start, end) => data.toString('utf8', start, end),
}

/** Raw bytes, copied. */
export const bytes: Wire<Uint8Array> = {
  form: 'bytes',
  write: (value) => value,
  read: (data, start, end) => Uint8Array.from(data.subarray(start, end)),
}

/** A field that is a message itself. */
export function message<T extends Table>(table: T): Wire<Message<T>> {
  return {
    form: 'bytes',
    write: (values) => encodeMessage(table, values),
    read: (data, start, end) => readMessage(table, data, start, end),
  }
}

const VARINT = 0
const FIXED64 = 1
const BYTES = 2
const FIXED32 = 5

/** Encodes the fields in the table's order. Repeated numbers are not packed: etcd has none. */
export function encodeMessage<T extends Table>(table: T, values: Message<T>): Uint8Array {
  const parts: Uint8Array[] = []
  for (const [key, row] of Object.entries(table)) {
    const value: unknown = values[key]
    if (value === undefined) continue
    for (const each of row.repeated && Array.isArray(value) ? value : [value]) {
      parts.push(...encodeField(row, each))
    }
  }
  return Buffer.concat(parts)
}

function encodeField<T>({ field, wire }: Row<T>, value: T): Uint8Array[] {
  if (wire.form === 'varint') {
    return [encodeVarint(BigInt((field << 3) | VARINT)), encodeVarint(wire.write(value))]
  }
  const payload = wire.write(value)
  const tag = BigInt((field << 3) | BYTES)
  return [encodeVarint(tag), encodeVarint(BigInt(payload.length)), payload]
}

function encodeVarint(value: bigint): Uint8Array {
  const out: number[] = []
  let rest = value
  for (; rest > 0x7fn; rest >>= 7n) out.push(Number(rest & 0x7fn) | 0x80)
  out.push(Number(rest))
  return Uint8Array.from(out)
}

interface Known {
  readonly key: string
  readonly row: Table[string]
}

const indexes = new WeakMap<Table, ReadonlyMap<number, Known>>()

function keysByField(table: Table): ReadonlyMap<number, Known> {
  let index = indexes.get(table)
  if (!index) {
    index = new Map(Object.entries(table).map(([key, row]) => [row.field, { key, row }]))
    indexes.set(table, index)
  }
  return index
}

/**
 * Decodes what the table knows; other fields are skipped. The last of a field that does not repeat
 * wins. Throws `RangeError` when the data ends within a field or holds an unknown wire type.
 */
export function decodeMessage<T extends Table>(table: T, data: Uint8Array): Message<T> {
  return readMessage(table, Buffer.from(data.buffer, data.byteOffset, data.length), 0, data.length)
}

/** A place in the data, moved on by whoever reads there. */
interface Cursor {
  readonly data: Buffer
  readonly end: number
  at: number
}

// A list of 10,000 leases is 60,000 fields: nothing is made for a field but its value.
function readMessage<T extends Table>(
  table: T,
  data: Buffer,
  start: number,
  end: number,
): Message<T> {
  const keys = keysByField(table)
  const values: Record<string, unknown> = {}
  const cursor: Cursor = { data, end, at: start }
  while (cursor.at < end) {
    const tag = Number(takeVarint(cursor))
    const known = keys.get(Math.floor(tag / 8))
    const value = takeField(cursor, tag, known?.row)
    if (!known || value === undefined) continue
    if (known.row.repeated) values[known.key] = append(values[known.key], value)
    else values[known.key] = value
  }
  return values as Message<T>
}

function append(list: unknown, value: unknown): unknown[] {
  if (!Array.isArray(list)) return [value]
  list.push(value)
  return list
}

/** Passes over a field that has no row, and over numbers of fixed width, which none of ours has. */
function takeField<T>(cursor: Cursor, tag: number, row: Row<T> | undefined): T | undefined {
  const form = tag % 8
  const wire = row?.wire
  if (form === VARINT) {
    const varint = takeVarint(cursor)
    if (wire?.form === 'varint') return wire.read(varint)
  } else {
    const length = form === BYTES ? Number(takeVarint(cursor)) : widthOf(form, tag)
    const start = cursor.at
    if (length > cursor.end - start) {
      throw new RangeError(`field claims ${length} of ${cursor.end - start} bytes`)
    }
    cursor.at += length
    if (form !== BYTES) return undefined
    if (wire?.form === 'bytes') return wire.read(cursor.data, start, start + length)
  }
  if (row && wire) throw new RangeError(`field ${row.field} is not sent as ${wire.form}`)
  return undefined
}

function widthOf(form: number, tag: number): number {
  if (form === FIXED64) return 8
  if (form === FIXED32) return 4
  throw new RangeError(`field ${Math.floor(tag / 8)} has unknown wire type ${form}`)
}

/** Seven bytes of a varint, 49 bits, are surely a number. */
const MAX_PLAIN_BYTES = 7
const MAX_VARINT_BYTES = 10

function takeVarint(cursor: Cursor): number | bigint {
  const { data, at } = cursor
  let value = 0
  let scale = 1
  for (let count = 0; count < MAX_PLAIN_BYTES; count++) {
    const byte = byteAt(cursor)
    value += (byte & 0x7f) * scale
    if (byte < 0x80) return value
    scale *= 128
  }
  let long = BigInt(value)
  for (let count = MAX_PLAIN_BYTES; count < MAX_VARINT_BYTES; count++) {
    const byte = byteAt(cursor)
    long |= BigInt(byte & 0x7f) << BigInt(7 * count)
    if (byte < 0x80) return BigInt.asUintN(64, long)
  }
  throw new RangeError(`varint at byte ${at} of ${data.length} does not end`)
}

function byteAt(cursor: Cursor): number {
  const byte = cursor.at < cursor.end ? cursor.data[cursor.at] : undefined
  if (byte === undefined) throw new RangeError(`varint does not end at byte ${cursor.at}`)
  cursor.at += 1
  return byte
}
