import test from 'ava'
import { conflictsOf } from '../../cni/mode/bridge.ts'
import { type BridgeConf, readBridgeConf } from '../../cni/mode/bridge-conf.ts'
import {
  buildResult,
  type Endpoint,
  exemptNetworks,
  foreseenGateways,
  planEndpoint,
} from '../../cni/mode/plan.ts'
import type { CniResult } from '../../cni/protocol/result.ts'
import { parseNetConf } from '../../conf/net-conf.ts'
import { formatAddress } from '../../ip/address.ts'
import { type Mac, parseMac } from '../../ip/mac.ts'
import { formatPrefix, type Prefix, parsePrefix } from '../../ip/prefix.ts'

function conf(value: object): BridgeConf {
  const read = parseNetConf(JSON.stringify({ name: 'n', cniVersion: '1.0.0', ...value }))
  const target = { type: 'bridge', conf: read, text: '', clusterNetworks: [] }
  return readBridgeConf(target, new Map(), { role: 'bridge', version: '1.0.0' })
}

/** What would be programmed, as iproute2 would be told. */
function lines({ addresses, gateways, routes }: Endpoint): string[] {
  return [
    ...addresses.map((prefix) => `address ${formatPrefix(prefix)}`),
    ...gateways.map((prefix) => `bridge ${formatPrefix(prefix)}`),
    ...routes.map(({ destination, gateway, ...rest }) =>
      [
        `route ${formatPrefix(destination)}`,
        ...(gateway ? [`via ${formatAddress(gateway)}`] : []),
        ...Object.entries(rest).map(([key, value]) => `${key} ${JSON.stringify(value)}`),
      ].join(' '),
    ),
  ]
}

const dual: CniResult = {
  ips: [
    { address: '10.88.0.5/24', gateway: '10.88.0.1' },
    { address: 'fd00:88::5/64', gateway: 'fd00:88::1' },
  ],
}
const ipam = { type: 'x' }

const plans: readonly [title: string, conf: object, answer: CniResult, expected: string[]][] = [
  ['only links without IPAM', {}, {}, []],
  [
    'addresses alone unless it is the gateway',
    { ipam },
    dual,
    ['address 10.88.0.5/24', 'address fd00:88::5/64'],
  ],
  [
    'a gateway address of each family for the bridge',
    { ipam, isGateway: true },
    dual,
    [
      'address 10.88.0.5/24',
      'address fd00:88::5/64',
      'bridge 10.88.0.1/24',
      'bridge fd00:88::1/64',
    ],
  ],
  [
    'a default route of each family',
    { ipam, isDefaultGateway: true },
    dual,
    [
      'address 10.88.0.5/24',
      'address fd00:88::5/64',
      'bridge 10.88.0.1/24',
      'bridge fd00:88::1/64',
      'route 0.0.0.0/0 via 10.88.0.1',
      'route ::/0 via fd00:88::1',
    ],
  ],
  [
    'no second default route beside one of IPAM, whether that names a gateway or not',
    { ipam, isDefaultGateway: true },
    { ...dual, routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0', gw: 'fd00:88::9' }] },
    [
      'address 10.88.0.5/24',
      'address fd00:88::5/64',
      'bridge 10.88.0.1/24',
      'bridge fd00:88::1/64',
      'route 0.0.0.0/0 via 10.88.0.1',
      'route ::/0 via fd00:88::9',
    ],
  ],
  [
    "routes with all their attributes, by the family's first gateway when they name none",
    { ipam },
    {
      ...dual,
      routes: [
        { dst: '10.0.0.0/8', mtu: 1400, advmss: 1360, priority: 5, table: 100, scope: 0 },
        { dst: 'fd00::/16' },
        { dst: '192.168.0.0/16', gw: '10.88.0.7' },
      ],
    },
    [
      'address 10.88.0.5/24',
      'address fd00:88::5/64',
      'route 10.0.0.0/8 via 10.88.0.1 mtu 1400 advmss 1360 priority 5 table 100 scope 0',
      'route fd00::/16 via fd00:88::1',
      'route 192.168.0.0/16 via 10.88.0.7',
    ],
  ],
  [
    'a route on the link where there is no gateway, and host bits cleared',
    { ipam },
    { ips: [{ address: '10.88.0.5/24' }], routes: [{ dst: '10.9.1.1/16' }] },
    ['address 10.88.0.5/24', 'route 10.9.0.0/16'],
  ],
  [
    'a gateway that IPAM puts outside the network as one on the link',
    { ipam },
    {
      ips: [{ address: '10.88.0.5/32', gateway: '169.254.1.1' }],
      routes: [{ dst: '0.0.0.0/0' }, { dst: '10.0.0.0/8', gw: '192.0.2.1' }],
    },
    [
      'address 10.88.0.5/32',
      'route 0.0.0.0/0 via 169.254.1.1 onlink true',
      'route 10.0.0.0/8 via 192.0.2.1',
    ],
  ],
  [
    'one route where two are the same, and both where gateways differ',
    { ipam },
    {
      ...dual,
      routes: [
        { dst: '10.0.0.0/8', gw: '10.88.0.1' },
        { dst: '10.0.0.0/8' },
        { dst: '10.0.0.0/8', gw: '10.88.0.2' },
      ],
    },
    [
      'address 10.88.0.5/24',
      'address fd00:88::5/64',
      'route 10.0.0.0/8 via 10.88.0.1',
      'route 10.0.0.0/8 via 10.88.0.2',
    ],
  ],
  [
    "the network's first address as gateway where IPAM names none",
    { ipam, isDefaultGateway: true },
    { ips: [{ address: '10.88.0.5/24' }] },
    ['address 10.88.0.5/24', 'bridge 10.88.0.1/24', 'route 0.0.0.0/0 via 10.88.0.1'],
  ],
  [
    'one default route for two addresses of a family',
    { ipam, isDefaultGateway: true },
    {
      ips: [
        { address: '10.1.0.5/24', gateway: '10.1.0.1' },
        { address: '10.2.0.5/24', gateway: '10.2.0.1' },
      ],
    },
    [
      'address 10.1.0.5/24',
      'address 10.2.0.5/24',
      'bridge 10.1.0.1/24',
      'bridge 10.2.0.1/24',
      'route 0.0.0.0/0 via 10.1.0.1',
    ],
  ],
]
for (const [title, value, answer, expected] of plans) {
  test(`planEndpoint plans ${title}`, (t) => {
    t.deepEqual(lines(planEndpoint(conf(value), answer)), expected)
  })
}

test('planEndpoint refuses an IPAM plugin that gave no address', (t) => {
  t.throws(() => planEndpoint(conf({ ipam }), {}), { message: /returned missing IP config$/ })
})

test("planEndpoint takes the configuration's dns over IPAM's", (t) => {
  const answer = { ...dual, dns: { domain: 'ipam' } }
  t.deepEqual(planEndpoint(conf({ ipam }), answer).dns, { domain: 'ipam' })
  const own = conf({ ipam, dns: { nameservers: ['10.0.0.1'] } })
  t.is(planEndpoint(own, answer).dns.nameservers?.[0], '10.0.0.1')
})

test("planEndpoint puts the runtime's dns field by field over everybody else's", (t) => {
  const answer = { ...dual, dns: { domain: 'ipam', nameservers: ['10.0.0.1'], search: ['a'] } }
  const runtimeConfig = { dns: { Servers: ['10.9.9.9'], searches: [], options: ['ndots:5'] } }
  t.deepEqual(planEndpoint(conf({ ipam, runtimeConfig }), answer).dns, {
    domain: 'ipam',
    nameservers: ['10.9.9.9'],
    search: ['a'],
    options: ['ndots:5'],
  })
})

function mac(text: string): Mac {
  const read = parseMac(text)
  if (!read) throw new TypeError(text)
  return read
}

test('buildResult lists bridge, host end and container end, with the addresses on the last', (t) => {
  const endpoint = planEndpoint(conf({ ipam, isDefaultGateway: true }), dual)
  const made = buildResult(endpoint, {
    host: [
      { name: 'cni0', mac: mac('02:00:00:00:00:01') },
      { name: 'veth1', mac: mac('02:00:00:00:00:02'), mtu: 1450 },
    ],
    container: { name: 'eth0', mac: mac('02:00:00:00:00:03'), sandbox: '/run/netns/c' },
    mtu: 1450,
  })
  t.deepEqual(JSON.parse(JSON.stringify(made)), {
    interfaces: [
      { name: 'cni0', mac: '02:00:00:00:00:01' },
      { name: 'veth1', mac: '02:00:00:00:00:02', mtu: 1450 },
      { name: 'eth0', mac: '02:00:00:00:00:03', sandbox: '/run/netns/c', mtu: 1450 },
    ],
    ips: dual.ips?.map((ip) => ({ ...ip, interface: 2 })),
    routes: [
      { dst: '0.0.0.0/0', gw: '10.88.0.1' },
      { dst: '::/0', gw: 'fd00:88::1' },
    ],
    dns: {},
  })
})

function prefixes(...texts: string[]): Prefix[] {
  return texts.map((text) => {
    const prefix = parsePrefix(text)
    if (!prefix) throw new TypeError(text)
    return prefix
  })
}

test('exemptNetworks are those of the cluster and of the container', (t) => {
  const endpoint = planEndpoint(conf({ ipam }), dual)
  t.deepEqual(exemptNetworks(endpoint, prefixes('10.0.0.0/8', '10.88.0.0/24')).map(formatPrefix), [
    '10.0.0.0/8',
    '10.88.0.0/24',
    'fd00:88::/64',
  ])
})

test('foreseenGateways are those that any address of a range set will have', (t) => {
  const ranges = [
    [
      { subnet: '10.1.0.0/24', rangeEnd: '10.1.0.9' },
      { subnet: '10.1.0.0/24', rangeStart: '10.1.0.20' },
    ],
    [{ subnet: '10.2.0.0/24' }, { subnet: '10.3.0.0/24' }],
    [{ subnet: 'fd00::/64', gateway: 'fd00::7' }],
  ]
  const own = { isGateway: true, ipam: { type: 'host-local', ranges } }
  t.deepEqual(foreseenGateways(conf(own)).map(formatPrefix), ['10.1.0.1/24', 'fd00::7/64'])
  t.deepEqual(foreseenGateways(conf({ ...own, isGateway: false })), [])
  t.deepEqual(foreseenGateways(conf({ isGateway: true, ipam })), [])
})

const conflicts: readonly [gateways: string[], present: string[], expected: string[]][] = [
  [['10.1.0.1/24'], [], []],
  [['10.1.0.1/24'], ['10.1.0.1/24'], []],
  [['10.1.0.1/24'], ['10.2.0.1/24'], ['10.2.0.1/24']],
  [['10.1.0.1/24'], ['10.1.0.1/16'], ['10.1.0.1/16']],
  [['10.1.0.1/24'], ['10.1.0.1/24', '10.2.0.1/24'], []],
  [['10.1.0.1/24', '10.2.0.1/24'], ['10.1.0.1/24'], []],
  [['10.1.0.1/24'], ['fd00::1/64'], []],
  [['fd00:1::1/64'], ['fd00:2::1/64', 'fe80::1/64'], []],
  [['fd00:1::1/64'], ['fd00:1::2/64'], ['fd00:1::2/64']],
  [['fd00:1::1/64'], ['fd00::1/16'], ['fd00::1/16']],
]
for (const [gateways, present, expected] of conflicts) {
  test(`conflictsOf ${gateways.join()} on a bridge with ${present.join() || 'nothing'}: ${expected.join() || 'none'}`, (t) => {
    const found = conflictsOf(prefixes(...gateways), prefixes(...present))
    t.deepEqual(
      found.map(({ address }) => formatPrefix(address)),
      expected,
    )
  })
}
