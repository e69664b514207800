import { type Address, addressFromBytes } from '../../ip/address.ts'
import type { Mac } from '../../ip/mac.ts'
import type { Writer } from './writer.ts'

/**
 * How one attribute's payload looks on the wire. Width and byte order live here and nowhere else.
 * `write` appends the payload, without padding. `read` gets exactly the payload and must not keep
 * a view of it; it throws `RangeError` on a payload it cannot be.
 */
export interface Wire<T> {
  readonly write: (out: Writer, value: T) => void
  readonly read: (payload: Uint8Array) => T
  /** The payload is attributes itself, so it is sent with NLA_F_NESTED. */
  readonly nested?: true
}

// The plain integers are most of what is read, and are read without a view of their own: a plugin is
// over before a compiler has taken notice of it, so what is not allocated is what counts.

function getU8(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0
}

export function getU16(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)
}

function getU32(bytes: Uint8Array, at: number): number {
  return (getU16(bytes, at) | (getU16(bytes, at + 2) << 16)) >>> 0
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** A wire of constant size, which can also be a field of a fixed header. */
export interface Fixed<T> extends Wire<T> {
  /** In bytes; also its alignment in a header. */
  readonly size: number
  /** Reads it as a field at this offset. */
  readonly get: (bytes: Uint8Array, at: number) => T
}

function fixed<T>(
  size: number,
  write: (out: Writer, value: T) => void,
  get: (bytes: Uint8Array, at: number) => T,
): Fixed<T> {
  return {
    size,
    write,
    get,
    read(payload) {
      if (payload.length < size) {
        throw new RangeError(`attribute payload has ${payload.length} bytes, ${size} needed`)
      }
      return get(payload, 0)
    },
  }
}

export const u8 = fixed<number>(1, (out, x) => out.u8(x), getU8)
export const u16 = fixed<number>(2, (out, x) => out.u16(x), getU16)
export const u32 = fixed<number>(4, (out, x) => out.u32(x), getU32)
export const s32 = fixed<number>(
  4,
  (out, x) => out.u32(x),
  (bytes, at) => getU32(bytes, at) | 0,
)
export const u64 = fixed<bigint>(
  8,
  (out, x) => out.u64(x),
  (bytes, at) => viewOf(bytes).getBigUint64(at, true),
)
export const u16be = fixed<number>(
  2,
  (out, x) => out.u16be(x),
  (bytes, at) => viewOf(bytes).getUint16(at),
)
export const u32be = fixed<number>(
  4,
  (out, x) => out.u32be(x),
  (bytes, at) => viewOf(bytes).getUint32(at),
)
export const s32be = fixed<number>(
  4,
  (out, x) => out.u32be(x),
  (bytes, at) => viewOf(bytes).getInt32(at),
)
export const u64be = fixed<bigint>(
  8,
  (out, x) => out.u64be(x),
  (bytes, at) => viewOf(bytes).getBigUint64(at),
)
/** A boolean sent as one byte, 0 or 1. */
export const bool = fixed<boolean>(
  1,
  (out, x) => out.u8(x ? 1 : 0),
  (bytes, at) => getU8(bytes, at) !== 0,
)

/**
 * A number that has names: reads to the name, or to the number itself if it has none, so that what
 * a newer kernel or another program uses stays readable.
 */
export function named<const T extends Readonly<Record<string, number>>>(
  wire: Wire<number>,
  names: T,
): Wire<keyof T | number> {
  return {
    write: (out, value) => wire.write(out, typeof value === 'number' ? value : (names[value] ?? 0)),
    read(payload) {
      const value = wire.read(payload)
      return Object.keys(names).find((name) => names[name] === value) ?? value
    },
  }
}

/** NLA_FLAG: present or absent, no payload. Only `true` is ever written. */
export const flag: Wire<true> = { write() {}, read: () => true }

/** Raw bytes, copied. */
export const bytes: Wire<Uint8Array> = {
  write: (out, value) => out.bytes(value),
  read: (payload) => payload.slice(),
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** NLA_NUL_STRING. Read up to the first NUL, which some kinds of message leave out. */
export const str: Wire<string> = {
  write(out, value) {
    out.bytes(encoder.encode(value))
    out.u8(0)
  },
  read(payload) {
    const end = payload.indexOf(0)
    return decoder.decode(end < 0 ? payload : payload.subarray(0, end))
  },
}

function octetText(bytes: Uint8Array, at: number): string {
  return (getU8(bytes, at) + 0x100).toString(16).slice(1)
}

/** A six-byte link-layer address. */
export const mac: Wire<Mac> = {
  write(out, value) {
    for (let at = 0; at < 17; at += 3) out.u8(Number.parseInt(value.slice(at, at + 2), 16))
  },
  read(payload) {
    if (payload.length !== 6) {
      throw new RangeError(`MAC address has ${payload.length} bytes, 6 needed`)
    }
    let text = octetText(payload, 0)
    for (let at = 1; at < 6; at++) text += `:${octetText(payload, at)}`
    return text as Mac
  },
}

/** An IPv4 or IPv6 address; the length tells which. */
export const ip: Wire<Address> = {
  write(out, { family, value }) {
    if (family === 4) {
      out.u32be(Number(value))
    } else {
      out.u64be(value >> 64n)
      out.u64be(value & 0xffffffffffffffffn)
    }
  },
  read(payload) {
    const value = addressFromBytes(payload)
    if (!value) throw new RangeError(`IP address has ${payload.length} bytes, 4 or 16 needed`)
    return value
  },
}
