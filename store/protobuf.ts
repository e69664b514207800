/**
 * How one field's value looks on the wire (protobuf.dev/programming-guides/encoding). Numbers are
 * varints, everything else is bytes with a length before it. `read` gets exactly the payload.
 */
export type Wire<T> =
  | { readonly form: 'varint'; write(value: T): bigint; read(varint: bigint): T }
  | { readonly form: 'bytes'; write(value: T): Uint8Array; read(payload: Uint8Array): T }

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
    const value = Number(BigInt.asIntN(64, varint))
    if (!Number.isSafeInteger(value)) throw new RangeError(`${varint} is beyond 2^53`)
    return value
  },
}

/** An id that uses all 64 bits. */
export const id: Wire<bigint> = { form: 'varint', write: (value) => value, read: (value) => value }

export const bool: Wire<boolean> = {
  form: 'varint',
  write: (value) => (value ? 1n : 0n),
  read: (varint) => varint !== 0n,
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** UTF-8 text; also for `bytes` fields that hold text. Malformed input is read as U+FFFD. */
export const text: Wire<string> = {
  form: 'bytes',
  write: (value) => encoder.encode(value),
  read: (payload) => decoder.decode(payload),
}

/** Raw bytes, copied. */
export const bytes: Wire<Uint8Array> = {
  form: 'bytes',
  write: (value) => value,
  read: (payload) => Uint8Array.from(payload),
}

/** A field that is a message itself. */
export function message<T extends Table>(table: T): Wire<Message<T>> {
  return {
    form: 'bytes',
    write: (values) => encodeMessage(table, values),
    read: (payload) => decodeMessage(table, payload),
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
  const keys = keysByField(table)
  const values: Record<string, unknown> = {}
  for (const { field, raw } of walkFields(data)) {
    const known = keys.get(field)
    if (!known) continue
    const value = readField(known.row, raw)
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

function readField<T>({ field, wire }: Row<T>, raw: bigint | Uint8Array): T {
  if (wire.form === 'varint' && typeof raw === 'bigint') return wire.read(raw)
  if (wire.form === 'bytes' && typeof raw !== 'bigint') return wire.read(raw)
  throw new RangeError(`field ${field} is not sent as ${wire.form}`)
}

/** Walks fields without knowing their meaning. Fixed-width numbers are passed over. */
function* walkFields(data: Uint8Array): Generator<{ field: number; raw: bigint | Uint8Array }> {
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = data[at]
      if (byte === undefined) break
      at += 1
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asUintN(64, value)
    }
    throw new RangeError(`varint does not end at byte ${at} of ${data.length}`)
  }
  const take = (length: number): Uint8Array => {
    if (length > data.length - at) {
      throw new RangeError(`field claims ${length} of ${data.length - at} bytes`)
    }
    at += length
    return data.subarray(at - length, at)
  }
  while (at < data.length) {
    const tag = Number(varint())
    const field = Math.floor(tag / 8)
    const form = tag % 8
    if (form === VARINT) yield { field, raw: varint() }
    else if (form === BYTES) yield { field, raw: take(Number(varint())) }
    else if (form === FIXED64) take(8)
    else if (form === FIXED32) take(4)
    else throw new RangeError(`field ${field} has unknown wire type ${form}`)
  }
}
