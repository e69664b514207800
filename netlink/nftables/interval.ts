import {
  type Address,
  addressBits,
  addressFromBytes,
  addressToBytes,
  compareAddresses,
  type Family,
} from '../../ip/address.ts'
import { firstAddress, lastAddress, type Prefix } from '../../ip/prefix.ts'
import type { SetElement } from './element.ts'

/** The addresses from `first` to `last`, both included. */
export interface Range {
  readonly first: Address
  readonly last: Address
}

export function prefixRange(prefix: Prefix): Range {
  return { first: firstAddress(prefix), last: lastAddress(prefix) }
}

/** The prefixes of one family as an interval set can hold them. Host bits do not count. */
export function prefixRanges(prefixes: readonly Prefix[], family: Family): Range[] {
  return mergeRanges(prefixes.filter(({ address }) => address.family === family).map(prefixRange))
}

/** Ranges of one family, in order, those that overlap made one. */
function mergeRanges(ranges: readonly Range[]): Range[] {
  const merged: Range[] = []
  for (const range of ranges.toSorted((a, b) => compareAddresses(a.first, b.first))) {
    const before = merged.at(-1)
    if (before && range.first.value <= before.last.value) {
      const last = compareAddresses(before.last, range.last) < 0 ? range.last : before.last
      merged[merged.length - 1] = { first: before.first, last }
    } else {
      merged.push(range)
    }
  }
  return merged
}

/** The elements of these ranges, which must not overlap, for an interval set. */
export function rangeElements(ranges: readonly Range[]): SetElement[] {
  return ranges.flatMap(({ first, last }): SetElement[] => {
    const key = addressToBytes(first)
    const next = last.value + 1n
    if (next >> BigInt(addressBits(last.family)) !== 0n) return [{ key, open: true }]
    return [
      { key },
      { key: addressToBytes({ family: last.family, value: next }), intervalEnd: true },
    ]
  })
}

/**
 * The elements for an interval set that is new, from ranges that are merged. As nft does, it also
 * ends what is before the first interval, unless that begins at the lowest address.
 */
export function newIntervalElements(ranges: readonly Range[], family: Family): SetElement[] {
  const lowest: SetElement = { key: new Uint8Array(addressBits(family) / 8), intervalEnd: true }
  const [first] = ranges
  return first && first.first.value > 0n
    ? [lowest, ...rangeElements(ranges)]
    : rangeElements(ranges)
}

/** Reads the elements of an interval set of addresses, in any order, back to ranges in order. */
export function elementRanges(elements: readonly SetElement[]): Range[] {
  const bounds = elements
    .flatMap(({ key, intervalEnd = false }) => {
      const address = addressFromBytes(key)
      return address ? [{ address, intervalEnd }] : []
    })
    // One interval may begin where another ends.
    .sort((a, b) => compareAddresses(a.address, b.address) || (a.intervalEnd ? -1 : 1))
  const ranges: Range[] = []
  let first: Address | undefined
  for (const { address, intervalEnd } of bounds) {
    if (first && (intervalEnd || address.value > first.value)) {
      ranges.push({ first, last: { family: first.family, value: address.value - 1n } })
    }
    first = intervalEnd ? undefined : address
  }
  if (first) ranges.push({ first, last: lastAddress({ address: first, length: 0 }) })
  return ranges
}
