import { getU16, type Wire } from './wire.ts'
import { encode, type Writer } from './writer.ts'

/** One attribute: its number in the kernel header and the form of its payload. */
export interface Row<T> {
  readonly type: number
  readonly wire: Wire<T>
}

// oxlint-disable-next-line typescript/no-explicit-any -- known only row by row
export type Table = Readonly<Record<string, Row<any>>>

/** The values a table describes. An absent key is an attribute that did not come. */
export type Attrs<T extends Table> = {
  readonly [K in keyof T]?: T[K] extends Row<infer V> ? V : never
}

/** The values to send. Absent or undefined is an attribute that is not sent. */
export type Given<T extends Table> = {
  readonly [K in keyof T]?: Attrs<T>[K] | undefined
}

const NLA_HEADER_SIZE = 4
const NLA_F_NESTED = 0x8000
/** Clears NLA_F_NESTED and NLA_F_NET_BYTEORDER (uapi/linux/netlink.h). */
const NLA_TYPE_MASK = 0x3fff

/** Rounds up to the 4-byte boundary that every netlink header and attribute starts on. */
export function align4(length: number): number {
  return (length + 3) & ~3
}

/** Encodes the attributes in the order of the values, each padded to 4 bytes. */
export function encodeAttrs<T extends Table>(table: T, values: Given<T>): Uint8Array {
  return encode((out) => writeAttrs(out, table, values))
}

/** Appends the attributes. Keys that are undefined or not in the table are left out. */
export function writeAttrs<T extends Table>(out: Writer, table: T, values: Given<T>): void {
  for (const key in values) {
    const value = values[key]
    const row = table[key]
    if (value !== undefined && row) writeAttr(out, row, value)
  }
}

/** Appends one attribute. */
export function writeAttr<V>(out: Writer, { type, wire }: Row<V>, value: V): void {
  const start = out.length
  out.u16(0)
  out.u16(wire.nested ? type | NLA_F_NESTED : type)
  wire.write(out, value)
  const length = out.length - start
  if (length > 0xffff) throw new RangeError(`attribute ${type} is too long: ${length} bytes`)
  out.setU16(start, length)
  out.zeros(align4(length) - length)
}

/** The length that the attribute at this byte claims. Throws `RangeError` if it overruns the end. */
function lengthAt(data: Uint8Array, at: number): number {
  const length = getU16(data, at)
  if (length < NLA_HEADER_SIZE || at + length > data.length) {
    throw new RangeError(`attribute at byte ${at} claims ${length} of ${data.length - at} bytes`)
  }
  return length
}

function typeAt(data: Uint8Array, at: number): number {
  return getU16(data, at + 2) & NLA_TYPE_MASK
}

/** Walks attributes without knowing their meaning. Throws `RangeError` when one overruns the end. */
export function* walkAttrs(data: Uint8Array): Generator<{ type: number; payload: Uint8Array }> {
  for (let at = 0; at + NLA_HEADER_SIZE <= data.length; at += align4(lengthAt(data, at))) {
    const payload = data.subarray(at + NLA_HEADER_SIZE, at + lengthAt(data, at))
    yield { type: typeAt(data, at), payload }
  }
}

const keysByType = new WeakMap<Table, readonly (string | undefined)[]>()

/** The table's keys at the places of their attribute numbers. */
function keysOf(table: Table): readonly (string | undefined)[] {
  let keys = keysByType.get(table)
  if (!keys) {
    const made: string[] = []
    for (const key in table) made[table[key]?.type ?? 0] = key
    keysByType.set(table, (keys = made))
  }
  return keys
}

/**
 * Decodes what the table knows; attributes it does not know are skipped. The last of a kind wins.
 * Throws `RangeError` on bytes that are not attributes, or on a payload that is not what it should be.
 */
export function decodeAttrs<T extends Table>(table: T, data: Uint8Array): Attrs<T> {
  const keys = keysOf(table)
  const values: Record<string, unknown> = {}
  // Not by `walkAttrs`: most attributes of a link are not in the table and need no view.
  let at = 0
  while (at + NLA_HEADER_SIZE <= data.length) {
    const length = lengthAt(data, at)
    const key = keys[typeAt(data, at)]
    if (key !== undefined) {
      values[key] = table[key]?.wire.read(data.subarray(at + NLA_HEADER_SIZE, at + length))
    }
    at += align4(length)
  }
  return values as Attrs<T>
}

/** The wire of a payload that is itself attributes. */
export interface NestedWire<T extends Table> extends Wire<Attrs<T>> {
  readonly write: (out: Writer, values: Given<T>) => void
}

/** A payload that is itself attributes. */
export function nested<T extends Table>(table: T): NestedWire<T> {
  return {
    nested: true,
    write: (out, values) => writeAttrs(out, table, values),
    read: (payload) => decodeAttrs(table, payload),
  }
}

/** A nest that repeats one attribute number, such as NFTA_LIST_ELEM. */
export function listOf<V>(type: number, wire: Wire<V>): Wire<readonly V[]> {
  const row = { type, wire }
  return {
    nested: true,
    write(out, values) {
      for (const value of values) writeAttr(out, row, value)
    },
    read(payload) {
      const values: V[] = []
      for (const attr of walkAttrs(payload)) {
        if (attr.type === type) values.push(wire.read(attr.payload))
      }
      return values
    },
  }
}
