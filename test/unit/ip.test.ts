import test from 'ava'
import fc from 'fast-check'
import { Netmask } from 'netmask'
import {
  addressFromBytes,
  addressToBytes,
  compareAddresses,
  type Family,
  formatAddress,
  isHostAddress,
  isLinkLocal,
  isLoopback,
  isMulticast,
  offsetAddress,
  parseAddress,
  sameAddress,
} from '../../ip/address.ts'
import { localMac, macFromBytes, macToBytes, parseMac } from '../../ip/mac.ts'
import {
  firstAddress,
  formatPrefix,
  lastAddress,
  network,
  parsePrefix,
  prefixContains,
  prefixCovers,
  prefixesOverlap,
  prefixSize,
} from '../../ip/prefix.ts'

const address = (text: string) => {
  const value = parseAddress(text)
  if (!value) throw new Error(`not an address: ${text}`)
  return value
}
const prefix = (text: string) => {
  const value = parsePrefix(text)
  if (!value) throw new Error(`not a prefix: ${text}`)
  return value
}
const v4 = fc
  .bigInt({ min: 0n, max: 2n ** 32n - 1n })
  .map((value) => ({ family: 4 as Family, value }))
const v6 = fc
  .bigInt({ min: 0n, max: 2n ** 128n - 1n })
  .map((value) => ({ family: 6 as Family, value }))
/** Zero groups are rare in random values, and are what IPv6 text is difficult for. */
const sparse6 = fc
  .array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), {
    minLength: 8,
    maxLength: 8,
  })
  .map((groups) => ({
    family: 6 as Family,
    value: groups.reduce((value, group) => (value << 16n) | BigInt(group), 0n),
  }))
const anyAddress = fc.oneof(v4, v6, sparse6)

test('formatAddress prints what parseAddress reads back', (t) => {
  fc.assert(fc.property(anyAddress, (a) => sameAddress(address(formatAddress(a)), a)))
  t.pass()
})

test('addressToBytes gives bytes that addressFromBytes reads back', (t) => {
  fc.assert(
    fc.property(anyAddress, (a) => {
      const back = addressFromBytes(addressToBytes(a))
      return back !== undefined && sameAddress(back, a)
    }),
  )
  t.is(addressFromBytes(new Uint8Array(5)), undefined)
})

for (const [text, canonical] of [
  ['10.1.2.3', '10.1.2.3'],
  ['0.0.0.0', '0.0.0.0'],
  ['255.255.255.255', '255.255.255.255'],
  ['::', '::'],
  ['::1', '::1'],
  ['1::', '1::'],
  ['FD00:0:0:5::0', 'fd00:0:0:5::'],
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['64:ff9b::10.0.0.1', '64:ff9b::a00:1'],
  ['::ffff:10.0.0.1', '::ffff:10.0.0.1'],
] as const) {
  test(`parseAddress reads ${text} as ${canonical}`, (t) => {
    t.is(formatAddress(address(text)), canonical)
  })
}

for (const text of [
  '',
  '10.1.2',
  '10.1.2.256',
  '10.1.2.03',
  '10.1.2.3.4',
  ' 10.1.2.3',
  '10.1.2.3\n',
  '1:2:3',
  ':::',
  '1::2::3',
  '1:2:3:4:5:6:7:8:9',
  '1:2:3:4:5:6:7::8',
  '12345::',
  'fe80::1%eth0',
  '::10.0.0.256',
  '1.2.3.4::',
  'g::',
]) {
  test(`parseAddress refuses ${JSON.stringify(text)}`, (t) => {
    t.is(parseAddress(text), undefined)
  })
}

for (const text of [
  '10.0.0.0',
  '10.0.0.0/33',
  '10.0.0.0/-1',
  '10.0.0.0/08',
  '::/129',
  '10.0.0.0/',
  '/8',
  'x/8',
]) {
  test(`parsePrefix refuses ${text}`, (t) => {
    t.is(parsePrefix(text), undefined)
  })
}

test('network and its ends agree with the netmask package', (t) => {
  fc.assert(
    fc.property(v4, fc.integer({ min: 1, max: 30 }), (a, length) => {
      const ours = { address: a, length }
      const theirs = new Netmask(formatPrefix(ours))
      t.is(formatAddress(firstAddress(ours)), theirs.base)
      t.is(formatAddress(lastAddress(ours)), theirs.broadcast ?? '')
      t.is(Number(prefixSize(ours)), theirs.size)
    }),
  )
})

test('prefixContains agrees with the ends of the prefix, in both families', (t) => {
  const lengths = fc.integer({ min: 0, max: 32 })
  fc.assert(
    fc.property(fc.oneof(fc.tuple(v4, v4), fc.tuple(v6, v6)), lengths, ([a, b], length) => {
      const p = { address: a, length }
      const inside =
        compareAddresses(firstAddress(p), b) <= 0 && compareAddresses(b, lastAddress(p)) <= 0
      return prefixContains(p, b) === inside
    }),
  )
  t.false(prefixContains(prefix('0.0.0.0/0'), address('::')))
})

test('prefixesOverlap is one covering the other', (t) => {
  t.true(prefixesOverlap(prefix('10.0.0.0/8'), prefix('10.9.0.0/16')))
  t.true(prefixesOverlap(prefix('10.9.0.0/16'), prefix('10.0.0.0/8')))
  t.false(prefixesOverlap(prefix('10.9.0.0/16'), prefix('10.8.0.0/16')))
  t.false(prefixCovers(prefix('10.9.0.0/16'), prefix('10.0.0.0/8')))
  t.is(formatPrefix(network(prefix('10.1.2.3/24'))), '10.1.2.0/24')
})

test('offsetAddress moves within the family and refuses to leave it', (t) => {
  t.is(formatAddress(offsetAddress(address('10.0.0.255'), 1)), '10.0.1.0')
  t.is(
    formatAddress(offsetAddress(address('fd00::'), -1n)),
    'fcff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
  )
  t.throws(() => offsetAddress(address('255.255.255.255'), 1), { instanceOf: RangeError })
  t.throws(() => offsetAddress(address('::'), -1), { instanceOf: RangeError })
})

test('isHostAddress knows what cannot be one host’s', (t) => {
  const none = '0.0.0.0 0.1.2.3 127.0.0.1 224.0.0.1 255.255.255.255 :: ::1 ff02::1 ::ffff:10.0.0.1'
  for (const text of none.split(' ')) t.false(isHostAddress(address(text)), text)
  for (const text of [
    '10.0.0.1',
    '169.254.1.1',
    '240.0.0.1',
    'fe80::1',
    'fd00::1',
    '2001:db8::1',
  ]) {
    t.true(isHostAddress(address(text)), text)
  }
})

test('isMulticast, isLoopback and isLinkLocal know their ranges', (t) => {
  t.deepEqual(
    ['224.0.0.1', '239.255.255.255', 'ff02::1'].map((a) => isMulticast(address(a))),
    [true, true, true],
  )
  t.deepEqual(
    ['223.255.255.255', '240.0.0.0', 'fe80::1'].map((a) => isMulticast(address(a))),
    [false, false, false],
  )
  t.deepEqual(
    ['127.0.0.1', '::1', '128.0.0.0'].map((a) => isLoopback(address(a))),
    [true, true, false],
  )
  t.deepEqual(
    ['169.254.0.1', 'febf::1', 'fec0::'].map((a) => isLinkLocal(address(a))),
    [true, true, false],
  )
})

test('parseMac reads both separators and refuses the rest', (t) => {
  t.is(parseMac('0E:00:00:00:00:01') as string, '0e:00:00:00:00:01')
  t.is(parseMac('0e-00-00-00-00-ff') as string, '0e:00:00:00:00:ff')
  for (const text of ['', 'zz', '0e:00:00:00:00', '0e:00-00:00:00:00', '0e:00:00:00:00:01:02']) {
    t.is(parseMac(text), undefined, text)
  }
})

test('localMac is unicast and locally administered, and bytes survive the round trip', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (bytes) => {
      const made = macToBytes(localMac(bytes))
      return ((made[0] ?? 0) & 0x03) === 0x02 && macFromBytes(made) === localMac(bytes)
    }),
  )
  t.throws(() => localMac(new Uint8Array(3)), { instanceOf: RangeError })
})
