import type { Address } from '../ip/address.ts'
import { isReserved, type Range, type RangeSet, rangeFor } from './ranges.ts'

/** An address that may be handed out, and the range it comes from. */
export interface Candidate {
  readonly address: Address
  readonly range: Range
}

/**
 * Every address of a set that may be handed out, each once, in upstream's order: from the one after
 * `last` through all ranges round to `last` itself, so that a freed address rests as long as it can.
 * A `last` that is in no range of the set counts as none. Gateways, network and broadcast addresses
 * are left out. Lazy: an IPv6 set is never walked to its end.
 */
export function* candidates(set: RangeSet, last: Address | undefined): Generator<Candidate> {
  const range = last && rangeFor(set, last)
  if (!range) {
    for (const each of set) yield* walk(each, each.start.value, each.end.value)
    return
  }
  const at = set.indexOf(range)
  yield* walk(range, last.value + 1n, range.end.value)
  for (const each of [...set.slice(at + 1), ...set.slice(0, at)]) {
    yield* walk(each, each.start.value, each.end.value)
  }
  yield* walk(range, range.start.value, last.value)
}

function* walk(range: Range, from: bigint, to: bigint): Generator<Candidate> {
  const { family } = range.start
  for (let value = from; value <= to; value++) {
    const address = { family, value }
    if (value !== range.gateway.value && !isReserved(range, address)) yield { address, range }
  }
}
