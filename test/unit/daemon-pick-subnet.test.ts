import test from 'ava'
import * as fc from 'fast-check'
import { type Pool, parseNetworkConfig, poolHas } from '../../conf/network-config.ts'
import { pickSubnet } from '../../daemon/lease/pick-subnet.ts'
import { offsetAddress } from '../../ip/address.ts'
import { formatPrefix, type Prefix, parsePrefix, prefixesOverlap } from '../../ip/prefix.ts'

function pool(config: object, family: 4 | 6 = 4): Pool {
  const found = parseNetworkConfig(JSON.stringify(config)).pools[family]
  if (!found) throw new Error('no pool')
  return found
}

const small = pool({ Network: '10.5.0.0/20' })
const wide = pool({ EnableIPv4: false, EnableIPv6: true, IPv6Network: 'fd00::/16' }, 6)

function picks(from: Pool, seeds: readonly string[]): (Prefix | undefined)[] {
  const taken: Prefix[] = []
  return seeds.map((seed) => {
    const subnet = pickSubnet(from, taken, seed)
    if (subnet) taken.push(subnet)
    return subnet
  })
}

test('pickSubnet() hands out every subnet but the first, each once, then none', (t) => {
  const found = picks(
    small,
    Array.from({ length: 17 }, (_, i) => `node ${i}`),
  )
  const texts = found.flatMap((subnet) => (subnet ? [formatPrefix(subnet)] : []))
  const all = Array.from({ length: 15 }, (_, i) => `10.5.${i + 1}.0/24`)
  t.deepEqual(texts.toSorted(), all.toSorted())
  t.deepEqual(found.slice(15), [undefined, undefined])
})

test('pickSubnet() answers one node the same every time and spreads others', (t) => {
  const seeds = Array.from({ length: 40 }, (_, i) => `node ${i}`)
  const network = pool({ Network: '10.0.0.0/8' })
  const first = seeds.map((seed) => pickSubnet(network, [], seed))
  t.deepEqual(
    seeds.map((seed) => pickSubnet(network, [], seed)),
    first,
  )
  t.true(new Set(first.map((subnet) => subnet && formatPrefix(subnet))).size >= 38)
})

test('pickSubnet() keeps to SubnetMin and SubnetMax', (t) => {
  const two = pool({ Network: '10.5.0.0/16', SubnetMin: '10.5.7.0', SubnetMax: '10.5.8.0' })
  const found = picks(two, ['a', 'b', 'c']).map((subnet) => subnet && formatPrefix(subnet))
  t.deepEqual(new Set(found), new Set(['10.5.7.0/24', '10.5.8.0/24', undefined]))
})

test('pickSubnet() goes round leases of other sizes', (t) => {
  const taken = ['10.5.0.0/21', '10.5.8.128/25', '10.5.9.0/26', '10.5.10.0/23', '10.5.12.0/22']
  const prefixes = taken.flatMap((text) => parsePrefix(text) ?? [])
  t.is(pickSubnet(small, prefixes, 'x'), undefined)
  const left = pickSubnet(small, prefixes.slice(0, 4), 'x')
  t.regex(left ? formatPrefix(left) : '', /^10\.5\.1[2-5]\.0\/24$/)
})

test('pickSubnet() finds a free subnet wherever there is one, in time that does not grow with the pool', (t) => {
  const subnet = (from: Pool, count: bigint) =>
    fc
      .tuple(fc.bigInt({ min: 0n, max: count - 1n }), fc.integer({ min: -4, max: 3 }))
      .map(([index, more]): Prefix => {
        const length = from.subnetLen + more
        const address = offsetAddress(
          from.network.address,
          index << BigInt(from.min.family === 4 ? 8 : 64),
        )
        return { address, length }
      })
  for (const [from, count] of [
    [small, 16n],
    [wide, 2n ** 48n],
  ] as const) {
    fc.assert(
      fc.property(fc.array(subnet(from, count), { maxLength: 30 }), fc.string(), (taken, seed) => {
        const found = pickSubnet(from, taken, seed)
        if (found) {
          t.true(poolHas(from, found))
          t.false(taken.some((one) => prefixesOverlap(one, found)))
        } else {
          t.is(count, 16n)
          for (let index = 1n; index < count; index++) {
            const address = offsetAddress(from.network.address, index << 8n)
            t.true(taken.some((one) => prefixesOverlap(one, { address, length: 24 })))
          }
        }
      }),
      { numRuns: 200 },
    )
  }
})
