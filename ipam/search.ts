import { type Address, sameAddress } from '../ip/address.ts'
import { lastAddress } from '../ip/prefix.ts'
import { type Range, type RangeSet, rangeFor } from './ranges.ts'

/** An address that may be handed out, and the range it comes from. */
export interface Candidate {
  readonly address: Address
  readonly range: Range
}

/**
 * Offers `take` the addresses of a set that may be handed out, each once, until it takes one. The
 * order is upstream's: from the one after `last` through all ranges round to `last` itself, so that
 * a freed address rests as long as it can. A `last` that is in no range of the set counts as none.
 */
export function search(
  set: RangeSet,
  last: Address | undefined,
  take: (address: Address) => boolean,
): Candidate | undefined {
  const from = last && rangeFor(set, last)
  if (!last || !from) return searchRanges(set, take)
  const at = set.indexOf(from)
  return (
    searchRange(from, last.value + 1n, from.end.value, take) ??
    searchRanges(set.slice(at + 1), take) ??
    searchRanges(set.slice(0, at), take) ??
    searchRange(from, from.start.value, last.value, take)
  )
}

function searchRanges(ranges: RangeSet, take: Take): Candidate | undefined {
  for (const range of ranges) {
    const found = searchRange(range, range.start.value, range.end.value, take)
    if (found) return found
  }
  return undefined
}

type Take = (address: Address) => boolean

function searchRange(range: Range, from: bigint, to: bigint, take: Take): Candidate | undefined {
  const { family } = range.start
  for (let value = from; value <= to; value++) {
    const address = { family, value }
    if (isUsable(range, address) && take(address)) return { address, range }
  }
  return undefined
}

function isUsable(range: Range, address: Address): boolean {
  return address.value !== range.gateway.value && !isReserved(range, address)
}

/**
 * The one address of an IPv6 subnet, or the two of an IPv4 subnet, that no interface may have: the
 * subnet-router anycast address (RFC 4291 section 2.6.1), the network and the broadcast address.
 * A range may well span them: podman writes `rangeEnd` so.
 */
export function isReserved({ subnet }: Range, address: Address): boolean {
  return (
    sameAddress(address, subnet.address) ||
    (address.family === 4 && sameAddress(address, lastAddress(subnet)))
  )
}
