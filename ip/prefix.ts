import {
  type Address,
  addressBits,
  formatAddress,
  parseAddress,
  parseDecimal,
  sameAddress,
} from './address.ts'

/**
 * An address with a prefix length, as in CIDR text. The address may have host bits set
 * (`10.1.2.3/24` is an interface address); `network` clears them.
 */
export interface Prefix {
  readonly address: Address
  readonly length: number
}

/** Reads `ADDRESS/LENGTH`; undefined if the text is anything else. Host bits are kept. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf('/')
  if (slash < 0) return undefined
  const address = parseAddress(text.slice(0, slash))
  const digits = text.slice(slash + 1)
  const length = parseDecimal(digits)
  if (!address || length === undefined) return undefined
  return length <= addressBits(address.family) ? { address, length } : undefined
}

export function formatPrefix({ address, length }: Prefix): string {
  return `${formatAddress(address)}/${length}`
}

/** The prefix of exactly this address: /32 or /128. */
export function hostPrefix(address: Address): Prefix {
  return { address, length: addressBits(address.family) }
}

/** By the number of host bits, as they are asked for. */
const hostMasks: bigint[] = []

function hostMask({ address, length }: Prefix): bigint {
  const bits = addressBits(address.family) - length
  return (hostMasks[bits] ??= (1n << BigInt(bits)) - 1n)
}

/** The same prefix with the host bits cleared. */
export function network(prefix: Prefix): Prefix {
  return { address: firstAddress(prefix), length: prefix.length }
}

/** The network address: all host bits zero. */
export function firstAddress(prefix: Prefix): Address {
  const { family, value } = prefix.address
  return { family, value: value & ~hostMask(prefix) }
}

/** The last address: all host bits one (the broadcast address of an IPv4 subnet). */
export function lastAddress(prefix: Prefix): Address {
  const { family, value } = prefix.address
  return { family, value: value | hostMask(prefix) }
}

/** How many addresses the prefix spans. */
export function prefixSize(prefix: Prefix): bigint {
  return hostMask(prefix) + 1n
}

export function prefixContains(prefix: Prefix, address: Address): boolean {
  return (
    prefix.address.family === address.family &&
    (prefix.address.value ^ address.value) <= hostMask(prefix)
  )
}

/** Whether every address of `inner` is in `outer`. */
export function prefixCovers(outer: Prefix, inner: Prefix): boolean {
  return outer.length <= inner.length && prefixContains(outer, inner.address)
}

export function prefixesOverlap(a: Prefix, b: Prefix): boolean {
  return prefixCovers(a, b) || prefixCovers(b, a)
}

/** The same text: host bits count. */
export function samePrefix(a: Prefix, b: Prefix): boolean {
  return a.length === b.length && sameAddress(a.address, b.address)
}

/** Each once, in the order given. */
export function distinctPrefixes(prefixes: readonly Prefix[]): Prefix[] {
  const distinct: Prefix[] = []
  for (const prefix of prefixes) {
    if (!distinct.some((other) => samePrefix(other, prefix))) distinct.push(prefix)
  }
  return distinct
}

/** Same network: the host bits do not count. */
export function sameNetwork(a: Prefix, b: Prefix): boolean {
  return a.length === b.length && prefixContains(a, b.address)
}
