import test from 'ava'
import { CniError } from '../../cni/protocol/error.ts'
import { ConfigError } from '../../conf/errors.ts'
import { type NetConf, parseNetConf } from '../../conf/net-conf.ts'
import { formatAddress } from '../../ip/address.ts'
import { ipamPlace, planIpam } from '../../ipam/plan.ts'
import { formatRangeSet } from '../../ipam/ranges.ts'

const noArgs: ReadonlyMap<string, string> = new Map()

function conf(ipam: object | undefined, others: object = {}): NetConf {
  return parseNetConf(JSON.stringify({ cniVersion: '1.0.0', name: 'mynet', ...others, ipam }))
}

function sets(net: NetConf): string[] {
  return planIpam(net, noArgs).sets.map(({ ranges }) => formatRangeSet(ranges))
}

function requested(net: NetConf, env?: string): (string | undefined)[] {
  const args = env === undefined ? noArgs : new Map([['IP', env]])
  return planIpam(net, args).sets.map(
    (set) => set.requested && formatAddress(set.requested.address),
  )
}

const oldStyle = {
  subnet: '10.1.2.0/24',
  rangeStart: '10.1.2.9',
  rangeEnd: '10.1.2.20',
  gateway: '10.1.2.30',
}
const listed = [[{ subnet: '11.1.2.0/24', rangeStart: '11.1.2.9' }], [{ subnet: 'fd00::/64' }]]

test('planIpam() reads the old style, one range in ipam itself', (t) => {
  const plan = planIpam(conf(oldStyle), noArgs)
  t.is(plan.dataDir, '/var/lib/cni/networks')
  t.is(plan.network, 'mynet')
  t.deepEqual(plan.routes, [])
  t.false('resolvConf' in plan)
  t.deepEqual(sets(conf(oldStyle)), ['10.1.2.9-10.1.2.20'])
})

test('planIpam() numbers the runtime sets first, the old style next, the list last', (t) => {
  const runtimeConfig = { ipRanges: [[{ Subnet: '12.1.2.0/30' }, { Subnet: '12.1.3.0/30' }]] }
  t.deepEqual(sets(conf({ ...oldStyle, ranges: listed }, { runtimeConfig })), [
    '12.1.2.1-12.1.2.2,12.1.3.1-12.1.3.2',
    '10.1.2.9-10.1.2.20',
    '11.1.2.9-11.1.2.254',
    'fd00::1-fd00::ffff:ffff:ffff:ffff',
  ])
})

test('planIpam() names the key of a range set that cannot be used', (t) => {
  const bad = [{ subnet: 'x' }]
  for (const [net, path, index] of [
    [conf({ ranges: [...listed, bad] }), 'ipam.ranges.2.0.subnet', 2],
    [conf({ subnet: 'x', ranges: listed }), 'ipam.0.subnet', 0],
    [
      conf({ ranges: listed }, { runtimeConfig: { ipRanges: [listed[0], bad] } }),
      'runtimeConfig.ipRanges.1.0.subnet',
      1,
    ],
  ] as const) {
    const error = t.throws(() => planIpam(net, noArgs), { instanceOf: ConfigError })
    t.is(error.path, path)
    t.is(error.message, `invalid range set ${index}: invalid CIDR address: x`)
  }
})

for (const [title, net, message] of [
  ['no ipam', conf(undefined), "IPAM config missing 'ipam' key"],
  ['no ranges', conf({ type: 'host-local' }), 'no IP ranges specified'],
  ['an empty list of ranges', conf({ ranges: [] }), 'no IP ranges specified'],
  ['sets that overlap', conf({ ...oldStyle, ranges: [[oldStyle]] }), 'range set 0 overlaps with 1'],
  [
    'two IPv4 sets with CNI 0.2.0',
    conf({ ...oldStyle, ranges: listed }, { cniVersion: '0.2.0' }),
    'CNI version 0.2.0 does not support more than 1 address per family',
  ],
  [
    'two IPv4 sets with no CNI version',
    conf({ ...oldStyle, ranges: listed }, { cniVersion: '' }),
    'CNI version 0.1.0 does not support more than 1 address per family',
  ],
  [
    'a route without a prefix',
    conf({ ...oldStyle, routes: [{ dst: '10.0.0.0' }] }),
    'invalid CIDR address: 10.0.0.0',
  ],
  [
    'a route with a gateway that is no address',
    conf({ ...oldStyle, routes: [{ dst: '10.0.0.0/8', gw: 'x' }] }),
    'invalid IP address: x',
  ],
] as const) {
  test(`planIpam() refuses ${title}`, (t) => {
    t.throws(() => planIpam(net, noArgs), { instanceOf: ConfigError, message })
  })
}

test('planIpam() allows one set of each family with CNI 0.2.0', (t) => {
  t.is(sets(conf({ ranges: listed }, { cniVersion: '0.2.0' })).length, 2)
})

test('planIpam() passes every attribute of a route on', (t) => {
  const route = { dst: '10.2.0.0/16', gw: '10.1.2.7', mtu: 1400, advmss: 1360, priority: 5 }
  const routes = [
    { ...route, table: 0, scope: 0, other: 1 },
    { dst: '::/0', gw: '' },
  ]
  t.deepEqual(planIpam(conf({ ...oldStyle, routes }), noArgs).routes, [
    { ...route, table: 0, scope: 0 },
    { dst: '::/0' },
  ])
})

test('planIpam() hands resolvConf on and takes an empty dataDir for the default', (t) => {
  const plan = planIpam(conf({ ...oldStyle, resolvConf: '/etc/r', dataDir: '' }), noArgs)
  t.is(plan.resolvConf, '/etc/r')
  t.is(plan.dataDir, '/var/lib/cni/networks')
})

test('planIpam() takes requested addresses of every source, with or without a prefix', (t) => {
  const ipam = { ...oldStyle, ranges: listed }
  t.deepEqual(requested(conf(ipam), '10.1.2.10/24'), ['10.1.2.10', undefined, undefined])
  t.deepEqual(requested(conf(ipam, { args: { cni: { ips: ['fd00::9', '11.1.2.9/8'] } } })), [
    undefined,
    '11.1.2.9',
    'fd00::9',
  ])
  const runtimeConfig = { ips: ['fd00::9/64', '::ffff:10.1.2.11'] }
  t.deepEqual(requested(conf(ipam, { runtimeConfig })), ['10.1.2.11', undefined, 'fd00::9'])
  t.deepEqual(requested(conf(ipam, { runtimeConfig }), '11.1.2.77'), [
    '10.1.2.11',
    '11.1.2.77',
    'fd00::9',
  ])
})

test('planIpam() ignores CNI_ARGS beside args.cni.ips', (t) => {
  const net = conf(oldStyle, { args: { cni: { ips: ['10.1.2.11'] } } })
  t.deepEqual(requested(net, '10.1.2.10'), ['10.1.2.11'])
})

test('planIpam() counts an address that is asked for twice once', (t) => {
  const others = { args: { cni: { ips: ['10.1.2.11'] } }, runtimeConfig: { ips: ['10.1.2.11/24'] } }
  t.deepEqual(requested(conf(oldStyle, others)), ['10.1.2.11'])
})

for (const [ips, message] of [
  [['banana'], 'cannot understand ip: invalid IP address banana'],
  [['10.1.2.8'], 'failed to allocate all requested IPs: 10.1.2.8'],
  [['10.9.9.9', '10.1.2.10', 'fd00::1'], 'failed to allocate all requested IPs: 10.9.9.9 fd00::1'],
  [['10.1.2.10', '10.1.2.11'], 'failed to allocate all requested IPs: 10.1.2.11'],
] as const) {
  test(`planIpam() refuses ${ips.join(' and ')} as requested addresses`, (t) => {
    const net = conf(oldStyle, { runtimeConfig: { ips } })
    t.throws(() => planIpam(net, noArgs), { instanceOf: ConfigError, message })
  })
}

test('planIpam() never gives gateway, network or broadcast address, not even on request', (t) => {
  const ipam = { subnet: '10.0.0.0/24', rangeStart: '10.0.0.0', rangeEnd: '10.0.0.255' }
  const refusal = (ip: string) =>
    t.throws(() => requested(conf(ipam), ip), { instanceOf: ConfigError }).message
  const start = 'failed to allocate for range 0: requested'
  t.is(refusal('10.0.0.1'), `${start} ip 10.0.0.1 is subnet's gateway`)
  for (const ip of ['10.0.0.0', '10.0.0.255']) {
    t.is(
      refusal(ip),
      `${start} IP address ${ip} is not available in range set 10.0.0.0-10.0.0.255: it is the network or broadcast address of 10.0.0.0/24`,
    )
  }
})

test('ipamPlace() looks at the name and the folder alone', (t) => {
  t.deepEqual(ipamPlace(conf({ dataDir: '/d', ranges: [[]], subnet: 'x' })), {
    dataDir: '/d',
    network: 'mynet',
  })
})

test('ipamPlace() refuses a configuration without a name', (t) => {
  const message = 'missing network name'
  t.throws(() => ipamPlace(conf(oldStyle, { name: '' })), { instanceOf: ConfigError, message })
})

for (const name of ['..', '.heddle', 'a/b', '-a', 'a\n']) {
  test(`ipamPlace() refuses the network name ${JSON.stringify(name)}`, (t) => {
    const error = t.throws(() => ipamPlace(conf(oldStyle, { name })), { instanceOf: CniError })
    t.like(error, { code: 7, details: name, message: 'invalid characters found in network name' })
  })
}
