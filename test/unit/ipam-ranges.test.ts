import test from 'ava'
import * as fc from 'fast-check'
import { Netmask } from 'netmask'
import { ConfigError } from '../../conf/errors.ts'
import type { RangeConf } from '../../conf/net-conf.ts'
import { formatAddress, parseAddress } from '../../ip/address.ts'
import {
  formatRangeSet,
  rangeFor,
  rangesOverlap,
  readRangeSet,
  refuseOverlaps,
} from '../../ipam/ranges.ts'
import { isReserved } from '../../ipam/search.ts'

function read(...ranges: RangeConf[]) {
  return readRangeSet({ path: 'ipam.ranges.0', ranges }, 0)
}

function one(conf: RangeConf) {
  const [range] = read(conf)
  if (!range) throw new Error('no range')
  return range
}

function address(text: string) {
  const parsed = parseAddress(text)
  if (!parsed) throw new Error(text)
  return parsed
}

function shown(conf: RangeConf) {
  const { start, end, gateway } = one(conf)
  return [start, end, gateway].map(formatAddress)
}

for (const [subnet, expected] of [
  ['192.0.2.0/24', ['192.0.2.1', '192.0.2.254', '192.0.2.1']],
  ['192.0.2.0/25', ['192.0.2.1', '192.0.2.126', '192.0.2.1']],
  ['192.0.2.128/30', ['192.0.2.129', '192.0.2.130', '192.0.2.129']],
  ['2001:DB8:1::/64', ['2001:db8:1::1', '2001:db8:1:0:ffff:ffff:ffff:ffff', '2001:db8:1::1']],
  ['fd00::/125', ['fd00::1', 'fd00::7', 'fd00::1']],
] as const) {
  test(`readRangeSet() fills in start, end and gateway of ${subnet}`, (t) => {
    t.deepEqual(shown({ subnet }), [...expected])
  })
}

test('readRangeSet() keeps what is configured', (t) => {
  const conf = { subnet: '192.0.2.0/24', rangeStart: '192.0.2.40', rangeEnd: '192.0.2.50' }
  t.deepEqual(shown({ ...conf, gateway: '192.0.2.254' }), [
    '192.0.2.40',
    '192.0.2.50',
    '192.0.2.254',
  ])
})

test('readRangeSet() takes an empty text for an absent one and a mapped address for IPv4', (t) => {
  const conf = { subnet: '10.0.0.0/24', rangeStart: '', rangeEnd: '::ffff:10.0.0.9', gateway: '' }
  t.deepEqual(shown(conf), ['10.0.0.1', '10.0.0.9', '10.0.0.1'])
})

test('readRangeSet() accepts the network and broadcast address as bounds', (t) => {
  const conf = { subnet: '192.168.1.0/30', rangeStart: '192.168.1.0', rangeEnd: '192.168.1.3' }
  t.deepEqual(shown(conf), ['192.168.1.0', '192.168.1.3', '192.168.1.1'])
})

const v4 = '192.0.2.0/24'
for (const [key, text, ranges] of [
  ['', 'empty range set', []],
  ['.0.subnet', 'a range needs a subnet', [{}]],
  ['.0.subnet', 'invalid CIDR address: 10.0.0.0', [{ subnet: '10.0.0.0' }]],
  ['.0.subnet', 'IPNet IP and Mask version mismatch', [{ subnet: '::ffff:10.0.0.0/120' }]],
  ['.0.subnet', 'Network 10.9.0.0/31 too small to allocate from', [{ subnet: '10.9.0.0/31' }]],
  ['.0.subnet', 'Network 10.9.0.1/32 too small to allocate from', [{ subnet: '10.9.0.1/32' }]],
  ['.0.subnet', 'Network fd00::/127 too small to allocate from', [{ subnet: 'fd00::/127' }]],
  [
    '.0.subnet',
    'Network has host bits set. For a subnet mask of length 24 the network address is 192.0.2.0',
    [{ subnet: '192.0.2.12/24' }],
  ],
  [
    '.0.subnet',
    'Network has host bits set. For a subnet mask of length 23 the network address is 192.168.126.0',
    [{ subnet: '192.168.127.0/23' }],
  ],
  [
    '.0.subnet',
    'Network has host bits set. For a subnet mask of length 64 the network address is 2001:db8:1::',
    [{ subnet: '2001:DB8:1::24:19ff:fee1:c44a/64' }],
  ],
  [
    '.0.subnet',
    'Network has host bits set. For a subnet mask of length 63 the network address is 2001:db8:24:19fe::',
    [{ subnet: '2001:DB8:24:19ff::/63' }],
  ],
  [
    '.0.rangeStart',
    'RangeStart 192.0.3.0 not in network 192.0.2.0/24',
    [{ subnet: v4, rangeStart: '192.0.3.0' }],
  ],
  [
    '.0.rangeEnd',
    'RangeEnd 192.0.4.0 not in network 192.0.2.0/24',
    [{ subnet: v4, rangeEnd: '192.0.4.0' }],
  ],
  [
    '.0.rangeStart',
    'RangeStart 192.0.2.50 not in network 192.0.2.0/24',
    [{ subnet: v4, rangeStart: '192.0.2.50', rangeEnd: '192.0.2.40' }],
  ],
  [
    '.0.rangeEnd',
    'RangeEnd 192.0.2.0 not in network 192.0.2.0/24',
    [{ subnet: v4, rangeEnd: '192.0.2.0' }],
  ],
  [
    '.0.rangeStart',
    'RangeStart fd00::5 not in network 192.0.2.0/24',
    [{ subnet: v4, rangeStart: 'fd00::5' }],
  ],
  ['.0.rangeStart', 'invalid IP address: banana', [{ subnet: v4, rangeStart: 'banana' }]],
  [
    '.0.gateway',
    'gateway 192.168.1.1 not in network 192.0.2.0/24',
    [{ subnet: v4, gateway: '192.168.1.1' }],
  ],
  [
    '.0.gateway',
    'gateway 2001:db8::1 not in network 192.0.2.0/24',
    [{ subnet: v4, gateway: '2001:db8::1' }],
  ],
  ['.1', 'mixed address families', [{ subnet: v4 }, { subnet: 'fd00::/64' }]],
  [
    '',
    'subnets 192.168.0.1-192.168.15.254 and 192.168.2.1-192.168.2.254 overlap',
    [{ subnet: '192.168.0.0/20' }, { subnet: '192.168.2.0/24' }],
  ],
] as const) {
  test(`readRangeSet() refuses ${JSON.stringify(ranges)} with "${text}"`, (t) => {
    const conf = { path: 'ipam.ranges.3', ranges }
    const error = t.throws(() => readRangeSet(conf, 3), { instanceOf: ConfigError })
    t.is(error.message, `invalid range set 3: ${text}`)
    t.is(error.path, `ipam.ranges.3${key}`)
  })
}

const subnet = '10.0.0.0/24'
for (const [title, a, b, expected] of [
  ['apart', { subnet }, { subnet: '10.0.1.0/24' }, false],
  ['of two families with the same bits', { subnet: '0.0.0.0/24' }, { subnet: '::/24' }, false],
  ['alike', { subnet }, { subnet }, true],
  ['one in the other', { subnet: '10.0.0.0/20' }, { subnet: '10.0.1.0/24' }, true],
  [
    'that share a subnet but no address',
    { subnet, rangeEnd: '10.0.0.127' },
    { subnet, rangeStart: '10.0.0.128' },
    false,
  ],
  [
    'that share one address',
    { subnet, rangeEnd: '10.0.0.127' },
    { subnet, rangeStart: '10.0.0.127' },
    true,
  ],
] as const) {
  test(`rangesOverlap() is ${expected} for ranges ${title}`, (t) => {
    t.is(rangesOverlap(one(a), one(b)), expected)
    t.is(rangesOverlap(one(b), one(a)), expected)
  })
}

test('refuseOverlaps() names the first two sets that overlap', (t) => {
  const [a, b, c] = [
    read({ subnet: '10.1.0.0/24' }),
    read({ subnet }),
    read({ subnet: '10.0.0.0/8' }),
  ]
  t.notThrows(() => refuseOverlaps([a, b]))
  t.throws(() => refuseOverlaps([a, b, c]), { message: 'range set 0 overlaps with 2' })
  t.throws(() => refuseOverlaps([b, a, b]), { message: 'range set 0 overlaps with 2' })
})

test('rangeFor() finds the range of an address, bounds included', (t) => {
  const set = read(
    { subnet: '192.0.2.0/24', rangeStart: '192.0.2.40', rangeEnd: '192.0.2.50' },
    { subnet: '172.16.1.0/24' },
  )
  for (const [text, at] of [
    ['192.0.2.39', undefined],
    ['192.0.2.40', 0],
    ['192.0.2.50', 0],
    ['192.0.2.51', undefined],
    ['172.16.1.7', 1],
    ['::c000:228', undefined],
  ] as const) {
    t.is(rangeFor(set, address(text)), at === undefined ? undefined : set[at], text)
  }
  t.is(formatRangeSet(set), '192.0.2.40-192.0.2.50,172.16.1.1-172.16.1.254')
})

const prefixes = fc
  .tuple(fc.integer({ min: 0, max: 0xffffffff }), fc.integer({ min: 8, max: 30 }))
  .map(([value, length]) => {
    const mask = (0xffffffff << (32 - length)) >>> 0
    return `${formatAddress({ family: 4, value: BigInt((value & mask) >>> 0) })}/${length}`
  })

test('readRangeSet() agrees with the netmask library on every IPv4 subnet', (t) => {
  fc.assert(
    fc.property(prefixes, (text) => {
      const block = new Netmask(text)
      const range = one({ subnet: text })
      t.is(formatAddress(range.start), block.first)
      t.is(formatAddress(range.gateway), block.first)
      t.is(formatAddress(range.end), block.last)
      t.true(isReserved(range, address(block.base)))
      t.true(isReserved(range, address(block.broadcast ?? '')))
      t.false(isReserved(range, range.start))
      t.false(isReserved(range, range.end))
    }),
  )
})

test('rangesOverlap() agrees with the netmask library on whole subnets', (t) => {
  fc.assert(
    fc.property(prefixes, prefixes, (a, b) => {
      const [blockA, blockB] = [new Netmask(a), new Netmask(b)]
      const expected = blockA.contains(blockB.base) || blockB.contains(blockA.base)
      t.is(rangesOverlap(one({ subnet: a }), one({ subnet: b })), expected)
    }),
  )
})

test('isReserved() knows the anycast address of an IPv6 subnet, and no broadcast there', (t) => {
  const range = one({ subnet: 'fd00::/120' })
  t.true(isReserved(range, address('fd00::')))
  t.false(isReserved(range, address('fd00::ff')))
})
