import { type Attrs, align4, decodeAttrs, type Given, type Table, writeAttrs } from './table.ts'
import type { Fixed, Wire } from './wire.ts'
import { encode, type Writer } from './writer.ts'

/** The fields of a fixed header in the C struct's order. */
// oxlint-disable-next-line typescript/no-explicit-any -- known only field by field
export type Fields = Readonly<Record<string, Fixed<any>>>

/** A header's values as read. */
export type Values<F extends Fields> = {
  readonly [K in keyof F]: F[K] extends Fixed<infer V> ? V : never
}

/** A header's values to write. An absent field is sent as zero. */
export type GivenValues<F extends Fields> = {
  readonly [K in keyof F]?: Values<F>[K] | undefined
}

/** A C struct: its fields at their natural alignment, and the whole rounded up to 4 bytes. */
export interface Struct<F extends Fields> {
  readonly size: number
  write(out: Writer, values: GivenValues<F>): void
  /** Throws `RangeError` when `data` is shorter than the struct. */
  read(data: Uint8Array): Values<F>
}

/** Lays the fields out as a C compiler does: `struct({ family: u8, index: s32 })` has 3 bytes between. */
export function struct<F extends Fields>(fields: F): Struct<F> {
  const layout = Object.entries(fields).map(([key, wire]) => ({ key, wire, at: 0 }))
  let end = 0
  for (const field of layout) {
    field.at = Math.ceil(end / field.wire.size) * field.wire.size
    end = field.at + field.wire.size
  }
  const size = align4(end)
  return {
    size,
    write(out, values) {
      const start = out.length
      for (const { key, wire, at } of layout) {
        out.zeros(start + at - out.length)
        const value = values[key]
        if (value === undefined) out.zeros(wire.size)
        else wire.write(out, value)
      }
      out.zeros(start + size - out.length)
    },
    read(data) {
      if (data.length < size)
        throw new RangeError(`header has ${data.length} bytes, ${size} needed`)
      const values: Record<string, unknown> = {}
      for (const { key, wire, at } of layout) values[key] = wire.get(data, at)
      return values as Values<F>
    },
  }
}

/** A struct as an attribute's payload: fields that are absent are sent as zero. */
export function payload<F extends Fields>(wire: Struct<F>): Wire<GivenValues<F>> {
  return wire
}

/** A message's body: family header, then attributes. */
export function encodeBody<F extends Fields, T extends Table>(
  header: Struct<F>,
  values: GivenValues<F>,
  table: T,
  attrs: Given<T>,
): Uint8Array {
  return encode((out) => {
    header.write(out, values)
    writeAttrs(out, table, attrs)
  })
}

/** Reads such a body. Throws `RangeError` on bytes it cannot be. */
export function decodeBody<F extends Fields, T extends Table>(
  header: Struct<F>,
  table: T,
  body: Uint8Array,
): { header: Values<F>; attrs: Attrs<T> } {
  return { header: header.read(body), attrs: decodeAttrs(table, body.subarray(header.size)) }
}
