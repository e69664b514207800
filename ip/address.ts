export type Family = 4 | 6

/** One IPv4 or IPv6 address. `value` is the address as an unsigned integer, network byte order. */
export interface Address {
  readonly family: Family
  readonly value: bigint
}

/** Address width in bits: 32 or 128. */
export function addressBits(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128
}

/**
 * Reads dotted IPv4 or RFC 4291 IPv6 text. Zone ids, prefixes, leading zeros in an IPv4 octet and
 * surrounding space are refused. An IPv4-mapped IPv6 address stays IPv6.
 */
export function parseAddress(text: string): Address | undefined {
  const value = text.includes(':') ? parseIPv6(text) : parseIPv4(text)
  return value === undefined ? undefined : { family: text.includes(':') ? 6 : 4, value }
}

function parseIPv4(text: string): bigint | undefined {
  const octets = text.split('.')
  if (octets.length !== 4) return undefined
  let value = 0
  for (const octet of octets) {
    const number = parseDecimal(octet)
    if (number === undefined || number > 255) return undefined
    value = value * 256 + number
  }
  return BigInt(value)
}

/** Reads one to three decimal digits without a leading zero; undefined for anything else. */
export function parseDecimal(text: string): number | undefined {
  if (text.length < 1 || text.length > 3 || (text.length > 1 && text[0] === '0')) return undefined
  let value = 0
  // A regular expression would cost a plugin its compilation.
  for (let at = 0; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 48
    if (digit < 0 || digit > 9) return undefined
    value = value * 10 + digit
  }
  return value
}

function parseIPv6(text: string): bigint | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const head = parseGroups(halves[0] ?? '', halves.length === 1)
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? '', true) : []
  if (!head || !tail) return undefined
  const missing = 8 - head.length - tail.length
  // RFC 5952 section 4.2.2: "::" stands for at least one group; Go reads it so too.
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined
  let value = 0n
  for (const group of head) value = (value << 16n) | BigInt(group)
  value <<= BigInt(16 * missing)
  for (const group of tail) value = (value << 16n) | BigInt(group)
  return value
}

function parseGroups(text: string, mayEndInIPv4: boolean): number[] | undefined {
  if (text === '') return []
  const groups: number[] = []
  const words = text.split(':')
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? ''
    if (mayEndInIPv4 && at === words.length - 1 && word.includes('.')) {
      const value = parseIPv4(word)
      if (value === undefined) return undefined
      groups.push(Number(value >> 16n), Number(value & 0xffffn))
    } else if (/^[\da-fA-F]{1,4}$/.test(word)) {
      groups.push(Number.parseInt(word, 16))
    } else {
      return undefined
    }
  }
  return groups
}

/** Canonical text: dotted IPv4, RFC 5952 IPv6 (as Go's net/netip prints it). */
export function formatAddress({ family, value }: Address): string {
  if (family === 4) {
    const v = Number(value)
    return `${v >>> 24}.${(v >>> 16) & 255}.${(v >>> 8) & 255}.${v & 255}`
  }
  if (value >> 32n === 0xffffn) {
    return `::ffff:${formatAddress({ family: 4, value: value & 0xffffffffn })}`
  }
  const groups: number[] = []
  for (let shift = 112n; shift >= 0n; shift -= 16n) groups.push(Number((value >> shift) & 0xffffn))
  const run = longestZeroRun(groups)
  const text = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':')
  return run ? `${text(0, run.start)}::${text(run.end, 8)}` : text(0, 8)
}

function longestZeroRun(groups: readonly number[]): { start: number; end: number } | undefined {
  let best: { start: number; end: number } | undefined
  for (let start = 0; start < groups.length; start++) {
    let end = start
    while (end < groups.length && groups[end] === 0) end++
    if (end - start >= 2 && (!best || end - start > best.end - best.start)) best = { start, end }
    if (end > start) start = end
  }
  return best
}

/** The address in network byte order: 4 or 16 bytes, freshly allocated. */
export function addressToBytes({ family, value }: Address): Uint8Array {
  const bytes = new Uint8Array(addressBits(family) / 8)
  if (family === 4) {
    new DataView(bytes.buffer).setUint32(0, Number(value))
    return bytes
  }
  const view = new DataView(bytes.buffer)
  view.setBigUint64(0, value >> 64n)
  view.setBigUint64(8, value & 0xffffffffffffffffn)
  return bytes
}

/** Reads 4 or 16 bytes in network byte order; undefined for any other length. */
export function addressFromBytes(bytes: Uint8Array): Address | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length === 4) return { family: 4, value: BigInt(view.getUint32(0)) }
  if (bytes.length !== 16) return undefined
  return { family: 6, value: (view.getBigUint64(0) << 64n) | view.getBigUint64(8) }
}

export function sameAddress(a: Address, b: Address): boolean {
  return a.family === b.family && a.value === b.value
}

/** Orders IPv4 before IPv6, then by value; for `Array.prototype.sort`. */
export function compareAddresses(a: Address, b: Address): number {
  if (a.family !== b.family) return a.family - b.family
  return a.value < b.value ? -1 : a.value > b.value ? 1 : 0
}

/** The address `count` places further (or back, if negative). RangeError outside the family's space. */
export function offsetAddress(address: Address, count: bigint | number): Address {
  const value = address.value + BigInt(count)
  if (value < 0n || value >> BigInt(addressBits(address.family)) !== 0n) {
    throw new RangeError(`Cannot offset ${formatAddress(address)} by ${count}: no such address`)
  }
  return { family: address.family, value }
}

/** 224.0.0.0/4 (RFC 5771) or ff00::/8 (RFC 4291 section 2.7). */
export function isMulticast({ family, value }: Address): boolean {
  return family === 4 ? value >> 28n === 0xen : value >> 120n === 0xffn
}

/** 127.0.0.0/8 or ::1. */
export function isLoopback({ family, value }: Address): boolean {
  return family === 4 ? value >> 24n === 127n : value === 1n
}

/** 169.254.0.0/16 (RFC 3927) or fe80::/10 (RFC 4291 section 2.5.6). */
export function isLinkLocal({ family, value }: Address): boolean {
  return family === 4 ? value >> 16n === 0xa9fen : value >> 118n === 0x3fan
}

/** 0.0.0.0 or ::. */
export function isUnspecified({ value }: Address): boolean {
  return value === 0n
}

const broadcast = 0xffffffffn

/**
 * Whether it can be one host's, so that others may send to it. IPv4-mapped IPv6 (RFC 4291 section
 * 2.5.5.2) and 0.0.0.0/8 (RFC 1122 section 3.2.1.3) cannot.
 */
export function isHostAddress(address: Address): boolean {
  const { family, value } = address
  if (isUnspecified(address) || isMulticast(address) || isLoopback(address)) return false
  if (family === 4) return value >> 24n !== 0n && value !== broadcast
  return value >> 32n !== 0xffffn
}
