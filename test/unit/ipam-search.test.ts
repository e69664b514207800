import test from 'ava'
import * as fc from 'fast-check'
import type { RangeConf } from '../../conf/net-conf.ts'
import { formatAddress, parseAddress } from '../../ip/address.ts'
import { readRangeSet } from '../../ipam/ranges.ts'
import { isReserved, search } from '../../ipam/search.ts'

function set(...ranges: RangeConf[]) {
  return readRangeSet({ path: 'ipam.ranges.0', ranges }, 0)
}

function order(ranges: readonly RangeConf[], last?: string): string[] {
  const from = last === undefined ? undefined : parseAddress(last)
  const offered: string[] = []
  const found = search(set(...ranges), from, (address) => {
    offered.push(formatAddress(address))
    return false
  })
  if (found) throw new Error('found what was not taken')
  return offered
}

const slash29 = [{ subnet: '192.168.1.0/29' }]
for (const [title, last, hosts] of [
  ['the start', undefined, [2, 3, 4, 5, 6]],
  ['the end', '192.168.1.6', [2, 3, 4, 5, 6]],
  ['the middle', '192.168.1.3', [4, 5, 6, 2, 3]],
  ['outside', '192.168.1.128', [2, 3, 4, 5, 6]],
  ['the gateway', '192.168.1.1', [2, 3, 4, 5, 6]],
] as const) {
  test(`search() goes once round from ${title}`, (t) => {
    t.deepEqual(
      order(slash29, last),
      hosts.map((host) => `192.168.1.${host}`),
    )
  })
}

for (const [title, subnets, last, taken, expected] of [
  ['fresh start', ['10.0.0.0/29'], '', [], '10.0.0.2'],
  ['fresh start, IPv6', ['2001:db8:1::/64'], '', [], '2001:db8:1::2'],
  ['one address only', ['10.0.0.0/30'], '', [], '10.0.0.2'],
  ['first taken', ['10.0.0.0/29'], '', [2], '10.0.0.3'],
  ['after the last', ['10.0.0.0/29'], '10.0.0.5', [], '10.0.0.6'],
  ['after the last, two taken', ['10.0.0.0/29'], '10.0.0.3', [4, 5], '10.0.0.6'],
  ['round to the front', ['10.0.0.0/29'], '10.0.0.5', [6], '10.0.0.2'],
  ['last out of range', ['10.0.0.0/29'], '10.0.0.128', [2], '10.0.0.3'],
  ['only the last free', ['10.0.0.0/29'], '10.0.0.3', [2, 4, 5, 6], '10.0.0.3'],
  ['two ranges', ['10.0.0.0/30', '10.0.1.0/30'], '', [], '10.0.0.2'],
  ['on to the next range', ['10.0.0.0/30', '10.0.1.0/30'], '10.0.0.2', [], '10.0.1.2'],
  [
    'round to the first range',
    ['10.0.0.0/30', '10.0.1.0/30', '10.0.2.0/30'],
    '10.0.2.2',
    [],
    '10.0.0.2',
  ],
] as const) {
  test(`search() finds the address that upstream takes: ${title}`, (t) => {
    const from = last === '' ? undefined : parseAddress(last)
    const held: readonly string[] = taken.map((host) => `10.0.0.${host}`)
    const ranges = set(...subnets.map((subnet) => ({ subnet })))
    const found = search(ranges, from, (address) => !held.includes(formatAddress(address)))
    t.is(found && formatAddress(found.address), expected)
    t.true(found && ranges.includes(found.range))
  })
}

test('search() leaves out network and broadcast address where a range spans them', (t) => {
  const ranges = [
    { subnet: '192.168.1.0/30', rangeStart: '192.168.1.0', rangeEnd: '192.168.1.3' },
    { subnet: '192.168.2.0/30', rangeStart: '192.168.2.0', rangeEnd: '192.168.2.3' },
  ]
  t.deepEqual(order(ranges), ['192.168.1.2', '192.168.2.2'])
  t.deepEqual(order(ranges, '192.168.1.3'), ['192.168.2.2', '192.168.1.2'])
})

test('search() finds nothing where only the gateway is in the range', (t) => {
  t.deepEqual(order([{ subnet: '10.0.0.0/24', rangeEnd: '10.0.0.1' }]), [])
})

const rangeSets = fc
  .uniqueArray(fc.integer({ min: 0, max: 255 }), { minLength: 1, maxLength: 4 })
  .chain((blocks) =>
    fc.tuple(
      ...blocks.map((block) =>
        fc
          .tuple(
            fc.boolean(),
            fc.integer({ min: 0, max: 15 }),
            fc.integer({ min: 0, max: 15 }),
            fc.integer({ min: 0, max: 15 }),
          )
          .map(([whole, a, b, gateway]): RangeConf => {
            const at = (host: number) => `10.0.${block}.${16 + host}`
            const base = { subnet: `10.0.${block}.16/28`, gateway: at(gateway) }
            if (whole) return base
            return { ...base, rangeStart: at(Math.min(a, b)), rangeEnd: at(Math.max(a, b)) }
          }),
      ),
    ),
  )

test('search() offers each address that may be handed out exactly once, from any start', (t) => {
  fc.assert(
    fc.property(rangeSets, fc.nat({ max: 80 }), (confs, pick) => {
      const ranges = set(...confs)
      const usable = ranges.flatMap((range) => {
        const all: string[] = []
        for (let value = range.start.value; value <= range.end.value; value++) {
          const address = { family: 4, value } as const
          const free = value !== range.gateway.value && !isReserved(range, address)
          if (free) all.push(formatAddress(address))
        }
        return all
      })
      const from = usable[pick]
      const found = order(confs, from)
      t.is(new Set(found).size, found.length)
      t.deepEqual(found.toSorted(), usable.toSorted())
      if (from !== undefined) t.is(found.at(-1), from)
    }),
  )
})
