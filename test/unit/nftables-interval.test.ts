import test from 'ava'
import * as fc from 'fast-check'
import { type Address, compareAddresses, type Family } from '../../ip/address.ts'
import { type Prefix, prefixContains } from '../../ip/prefix.ts'
import {
  elementRanges,
  newIntervalElements,
  prefixRanges,
  rangeElements,
} from '../../netlink/nftables/interval.ts'
import { renderRange } from '../../netlink/nftables/render-value.ts'
import { addresses, prefixes } from '../vectors/nftables/samples.ts'

function addressArbitrary(family: Family): fc.Arbitrary<Address> {
  const bits = family === 4 ? 32n : 128n
  // Few different values, so that prefixes nest, touch and reach the ends of the space.
  const edge = fc.constantFrom(0n, 1n, (1n << bits) - 1n, 1n << (bits - 1n), 0xffffn)
  const any = fc.bigInt({ min: 0n, max: (1n << bits) - 1n })
  return fc.oneof(edge, any).map((value) => ({ family, value }))
}

function prefixArbitrary(family: Family): fc.Arbitrary<Prefix> {
  const length = fc.integer({ min: 0, max: family === 4 ? 32 : 128 })
  return fc.record({ address: addressArbitrary(family), length })
}

for (const family of [4, 6] as const) {
  test(`prefixRanges: an IPv${family} address is in a range exactly if it is in a prefix`, (t) => {
    const inputs = fc.array(prefixArbitrary(family), { maxLength: 8 })
    fc.assert(
      fc.property(inputs, addressArbitrary(family), (list, address) => {
        const ranges = prefixRanges(list, family)
        const inRange = ranges.some(
          ({ first, last }) =>
            compareAddresses(first, address) <= 0 && compareAddresses(address, last) <= 0,
        )
        t.is(
          inRange,
          list.some((prefix) => prefixContains(prefix, address)),
        )
      }),
    )
  })

  test(`elementRanges: reads IPv${family} ranges back from their elements in any order`, (t) => {
    fc.assert(
      fc.property(fc.array(prefixArbitrary(family), { maxLength: 8 }), (list) => {
        const ranges = prefixRanges(list, family)
        t.deepEqual(elementRanges(newIntervalElements(ranges, family).reverse()), ranges)
        t.deepEqual(elementRanges(rangeElements(ranges)), ranges)
      }),
    )
  })
}

test('newIntervalElements: ends what is before the first interval, unless there is nothing', (t) => {
  const floor = { key: Uint8Array.of(0, 0, 0, 0), intervalEnd: true }
  const make = (...texts: string[]) => newIntervalElements(prefixRanges(prefixes(...texts), 4), 4)
  t.deepEqual(make('10.0.0.0/8')[0], floor)
  t.deepEqual(make('0.0.0.0/8')[0], { key: Uint8Array.of(0, 0, 0, 0) })
  t.deepEqual(make(), [])
})

test('rangeElements: nothing ends an interval that reaches the last address', (t) => {
  t.deepEqual(rangeElements(prefixRanges(prefixes('240.0.0.0/4'), 4)), [
    { key: Uint8Array.of(240, 0, 0, 0), open: true },
  ])
})

test('renderRange: a prefix, one address, or both bounds', (t) => {
  const [first, last] = addresses('10.0.0.3', '10.0.0.9')
  if (!first || !last) throw new Error('the test has a mistake in an address')
  t.is(renderRange({ first, last }), '10.0.0.3-10.0.0.9')
  t.is(renderRange({ first, last: first }), '10.0.0.3')
  for (const text of ['10.0.0.0/9', '0.0.0.0/0', 'fc00::/7', '::/0', 'fc00::2/127']) {
    const [range] = prefixRanges(prefixes(text), text.includes(':') ? 6 : 4)
    t.is(range && renderRange(range), text)
  }
})
