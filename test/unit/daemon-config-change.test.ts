import test from 'ava'
import fc from 'fast-check'
import { parseLeaseKey } from '../../conf/lease.ts'
import { poolHas } from '../../conf/network-config.ts'
import { type ConfigVerdict, judgeChange } from '../../daemon/config/config-change.ts'
import { readConfig } from '../../daemon/config/network-config.ts'
import { families } from '../../ip/by-family.ts'
import { prefixCovers } from '../../ip/prefix.ts'

interface Values {
  readonly Backend: Readonly<Record<string, unknown>>
  readonly [key: string]: unknown
}

const V4: Values = { Network: '10.5.0.0/16', Backend: { Type: 'vxlan' } }
const DUAL: Values = { ...V4, EnableIPv6: true, IPv6Network: 'fc00::/48' }

function read(values: Values) {
  return readConfig(JSON.stringify(values), { key: 'config', local: false })
}

function judge(before: Values, after: Values, held = '10.5.34.0-24'): ConfigVerdict {
  return judgeChange(read(before), read(after), parseLeaseKey(held) ?? {})
}

function vxlan(options: Readonly<Record<string, unknown>>): Values {
  return { ...V4, Backend: { Type: 'vxlan', ...options } }
}

const same: [what: string, before: Values, after: Values][] = [
  ['the very same', V4, V4],
  ['defaults that are written out', V4, { ...V4, SubnetLen: 24, SubnetMin: '10.5.1.0' }],
  ['a backend’s defaults', V4, vxlan({ VNI: 1, Port: 8472, GBP: false, Learning: false })],
  ['port 0, which is the default one', V4, vxlan({ Port: 0 })],
  ['other letters', V4, { ...V4, Backend: { type: 'VXLAN' } }],
  ['a key that nobody knows', V4, { ...V4, Comment: 'hello' }],
]

for (const [what, before, after] of same) {
  test(`judgeChange() sees no change in ${what}`, (t) => {
    t.deepEqual(judge(before, after), { kind: 'same' })
    t.deepEqual(judge(after, before), { kind: 'same' })
  })
}

const live: [what: string, after: Values, changes: string[]][] = [
  ['the MTU', vxlan({ MTU: 1400 }), ['Backend.mtu: none to 1400']],
  ['DirectRouting', vxlan({ DirectRouting: true }), ['Backend.directrouting: none to true']],
  ['a second family', DUAL, ['IPv6Network: none to fc00::/48']],
  [
    'a network that holds the old one',
    { ...V4, Network: '10.4.0.0/15', SubnetMin: '10.5.1.0', SubnetMax: '10.5.255.0' },
    ['Network: 10.5.0.0/16 to 10.4.0.0/15'],
  ],
  [
    'bounds that hold the subnet',
    { ...V4, SubnetMin: '10.5.34.0', SubnetMax: '10.5.34.0' },
    ['SubnetMin: 10.5.1.0 to 10.5.34.0', 'SubnetMax: 10.5.255.0 to 10.5.34.0'],
  ],
]

for (const [what, after, changes] of live) {
  test(`judgeChange() takes ${what} at once`, (t) => {
    t.deepEqual(judge(V4, after), { kind: 'live', changes })
  })
}

test('judgeChange() takes other commands of the extension backend at once', (t) => {
  const before = { ...V4, Backend: { Type: 'extension', SubnetAddCommand: 'a' } }
  const after = { ...V4, Backend: { Type: 'extension', SubnetAddCommand: ['b', 'c'] } }
  const changes = ['Backend.subnetaddcommand: a to ["b","c"]']
  t.deepEqual(judge(before, after), { kind: 'live', changes })
})

const refused: [what: string, before: Values, after: Values, reason: RegExp][] = [
  ['backend', V4, { ...V4, Backend: { Type: 'host-gw' } }, /^Backend\.Type .* vxlan to host-gw/],
  ['VNI', V4, vxlan({ VNI: 7 }), /^Backend\.vni cannot change from 1 to 7/],
  ['port', vxlan({ Port: 4789 }), V4, /^Backend\.port .* from 4789 to 8472/],
  ['GBP', V4, vxlan({ GBP: true }), /^Backend\.gbp .* from false to true/],
  ['learning', V4, vxlan({ Learning: true }), /^Backend\.learning /],
  ['lack of IPv6', DUAL, V4, /^EnableIPv6 cannot change from true to false/],
  [
    'lack of IPv4',
    DUAL,
    { EnableIPv4: false, EnableIPv6: true, IPv6Network: 'fc00::/48', Backend: { Type: 'vxlan' } },
    /^EnableIPv4 /,
  ],
  ['network', V4, { ...V4, Network: '10.6.0.0/16' }, /^Network .* 10\.5\.0\.0\/16 to 10\.6\.0\.0/],
  ['smaller network', V4, { ...V4, Network: '10.5.0.0/17' }, /^Network /],
  ['subnet length', V4, { ...V4, SubnetLen: 25 }, /^SubnetLen .* from 24 to 25/],
  ['IPv6 subnet length', DUAL, { ...DUAL, IPv6SubnetLen: 80 }, /^IPv6SubnetLen /],
  ['pool', V4, { ...V4, SubnetMin: '10.5.35.0' }, /leave out 10\.5\.34\.0\/24, which this host/],
]

for (const [what, before, after, reason] of refused) {
  test(`judgeChange() refuses another ${what}, with the reason and the mend`, (t) => {
    const verdict = judge(before, after, '10.5.34.0-24&fc00:0:0:5::-64')
    t.is(verdict.kind, 'refused')
    if (verdict.kind !== 'refused') return
    t.regex(verdict.reason, reason)
    t.regex(verdict.reason, /restart heddled/)
  })
}

test('judgeChange() takes nothing that this host’s subnet or its peers’ would not fit', (t) => {
  const third = fc.integer({ min: 1, max: 255 })
  const values = fc.record(
    {
      Network: fc.constantFrom('10.5.0.0/16', '10.4.0.0/15', '10.0.0.0/8', '10.6.0.0/16'),
      SubnetLen: fc.constantFrom(24, 25),
      SubnetMin: third.map((n) => `10.5.${n}.0`),
      SubnetMax: third.map((n) => `10.5.${n}.0`),
      EnableIPv6: fc.boolean(),
      IPv6Network: fc.constantFrom('fc00::/48', 'fc00::/40'),
      Backend: fc.record(
        {
          Type: fc.constantFrom('vxlan', 'host-gw', 'alloc'),
          VNI: fc.constantFrom(1, 2),
          MTU: fc.constantFrom(0, 1400),
          DirectRouting: fc.boolean(),
        },
        { requiredKeys: ['Type'] },
      ),
    },
    { requiredKeys: ['Network', 'Backend', 'IPv6Network'] },
  )
  const readable = (value: Values) => {
    try {
      return read(value)
    } catch {
      return undefined
    }
  }
  let taken = 0
  fc.assert(
    fc.property(values, values, third, (a, b, n) => {
      const [before, after] = [readable(a), readable(b)]
      const held = parseLeaseKey(`10.5.${n}.0-24`) ?? {}
      fc.pre(before !== undefined && after !== undefined)
      if (!before || !after) return
      t.deepEqual(judgeChange(before, before, {}), { kind: 'same' })
      const verdict = judgeChange(before, after, held)
      if (verdict.kind === 'refused') return
      taken++
      t.is(after.backend.type, before.backend.type)
      for (const family of families) {
        const [old, now] = [before.pools[family], after.pools[family]]
        if (!old) continue
        if (!now) return t.fail('a family went')
        t.true(prefixCovers(now.network, old.network))
        t.is(now.subnetLen, old.subnetLen)
        const subnet = held[family]
        if (subnet) t.true(poolHas(now, subnet))
      }
    }),
    { numRuns: 3_000 },
  )
  t.true(taken > 20, `${taken} taken`)
})
