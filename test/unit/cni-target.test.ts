import test from 'ava'
import type { Role } from '../../cni/call.ts'
import {
  bareTarget,
  modeOf,
  ownTarget,
  refuseTwoSources,
  subnetTarget,
  usesSubnetFile,
} from '../../cni/target/target.ts'
import { type NetConf, parseNetConf } from '../../conf/net-conf.ts'
import { parseSubnetEnv } from '../../conf/subnet-env.ts'

const v4 = parseSubnetEnv(
  'FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.17.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=true\n',
  'v4',
)
const dual = parseSubnetEnv(
  'FLANNEL_NETWORK=10.42.0.0/16,192.168.0.0/16\nFLANNEL_SUBNET=10.42.0.1/24\n' +
    'FLANNEL_IPV6_NETWORK=2001:cafe:42::/56\nFLANNEL_IPV6_SUBNET=2001:cafe:42::1/64\n' +
    'FLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n',
  'dual',
)

function conf(value: object): NetConf {
  return parseNetConf(JSON.stringify(value))
}

function textOf(target: { text: string }): unknown {
  return JSON.parse(target.text)
}

test("subnetTarget under flannel makes flannel's own example", (t) => {
  const target = subnetTarget('flannel', conf({ name: 'cni-flannel', type: 'flannel' }), v4)
  t.is(target.type, 'bridge')
  t.deepEqual(textOf(target), {
    ipMasq: false,
    ipam: {
      routes: [{ dst: '10.1.0.0/16' }],
      ranges: [[{ subnet: '10.1.17.0/24' }]],
      type: 'host-local',
    },
    isGateway: true,
    mtu: 1472,
    name: 'cni-flannel',
    type: 'bridge',
  })
})

test('subnetTarget gives both families a range and every network a route', (t) => {
  const target = subnetTarget(
    'flannel',
    conf({
      cniVersion: '0.3.1',
      name: 'n',
      ipam: { type: 'my-ipam', color: 'red', routes: [{ dst: '1.0.0.0/8', gw: '1.2.3.4' }] },
      runtimeConfig: { ips: ['10.42.0.9'] },
      args: { cni: { mac: 'x' } },
      dns: { domain: 'd' },
    }),
    dual,
  )
  t.deepEqual(textOf(target), {
    cniVersion: '0.3.1',
    name: 'n',
    type: 'bridge',
    isGateway: true,
    ipMasq: true,
    mtu: 1450,
    runtimeConfig: { ips: ['10.42.0.9'] },
    ipam: {
      type: 'my-ipam',
      color: 'red',
      ranges: [[{ subnet: '10.42.0.0/24' }], [{ subnet: '2001:cafe:42::/64' }]],
      routes: [
        { dst: '1.0.0.0/8', gw: '1.2.3.4' },
        { dst: '10.42.0.0/16' },
        { dst: '192.168.0.0/16' },
        { dst: '2001:cafe:42::/56' },
      ],
    },
  })
  t.is(target.clusterNetworks.length, 3)
})

test('subnetTarget lets the delegate win over the subnet file', (t) => {
  const delegate = { mtu: 1400, ipMasq: true, isGateway: false, hairpinMode: true, MTU: 1 }
  const { conf: made } = subnetTarget('flannel', conf({ name: 'n', delegate }), v4)
  t.like(made, { mtu: 1400, ipMasq: true, isGateway: false, hairpinMode: true })
})

test('subnetTarget leaves bridge options out for another delegate', (t) => {
  const target = subnetTarget('flannel', conf({ name: 'n', delegate: { type: 'ptp' } }), v4)
  t.is(target.type, 'ptp')
  t.false('isGateway' in target.conf)
})

test('subnetTarget under heddle adds what most people want, and takes options beside delegate', (t) => {
  const made = subnetTarget('heddle', conf({ name: 'n', bridge: 'br7', dns: { domain: 'd' } }), v4)
  t.like(made.conf, {
    bridge: 'br7',
    isGateway: true,
    isDefaultGateway: true,
    hairpinMode: true,
    ipMasq: false,
    mtu: 1472,
  })
  t.is(made.conf.dns?.domain, 'd')
  const promiscuous = subnetTarget('heddle', conf({ name: 'n', promiscMode: true }), v4)
  t.is(promiscuous.conf.hairpinMode, false)
})

const badDelegates: readonly [delegate: object, message: string][] = [
  [{ type: 5 }, "'delegate' dictionary, if present, must have (string) 'type' field"],
  [{ name: 'x' }, "'delegate' dictionary must not have 'name' field, it'll be set by flannel"],
  [{ ipam: {} }, "'delegate' dictionary must not have 'ipam' field, it'll be set by flannel"],
]
for (const [delegate, message] of badDelegates) {
  test(`subnetTarget refuses delegate ${JSON.stringify(delegate)}`, (t) => {
    for (const role of ['flannel', 'heddle'] as const) {
      t.throws(() => subnetTarget(role, conf({ name: 'n', delegate }), v4), {
        name: 'ConfigError',
        message,
      })
    }
  })
}

test('bareTarget knows enough to undo by', (t) => {
  const target = bareTarget('flannel', conf({ name: 'n', ipam: { dataDir: '/d' } }))
  t.like(target.conf, { name: 'n', type: 'bridge' })
  t.like(target.conf.ipam, { type: 'host-local', dataDir: '/d' })
})

test('ownTarget under bridge changes nothing', (t) => {
  const given = conf({ name: 'n', ipam: { type: 'host-local', subnet: '10.0.0.0/24' } })
  const target = ownTarget('bridge', given, 'the text')
  t.is(target.conf, given)
  t.is(target.text, 'the text')
})

test('ownTarget under heddle fills in defaults that the configuration may turn off', (t) => {
  const ipam = { subnet: '10.0.0.0/24' }
  const filled = ownTarget('heddle', conf({ name: 'n', ipam }), '')
  t.like(filled.conf, { isGateway: true, isDefaultGateway: true, hairpinMode: true })
  t.is(filled.conf.ipam?.type, 'host-local')
  const off = conf({ name: 'n', ipam, isDefaultGateway: false, delegate: { hairpinMode: false } })
  t.like(ownTarget('heddle', off, '').conf, { isDefaultGateway: false, hairpinMode: false })
})

const sources: readonly [role: 'heddle' | 'flannel' | 'bridge', value: object, uses: boolean][] = [
  ['flannel', { ipam: { subnet: '10.0.0.0/24' } }, true],
  ['bridge', { subnetFile: '/x' }, false],
  ['heddle', {}, true],
  ['heddle', { ipam: {} }, true],
  ['heddle', { ipam: { subnet: '10.0.0.0/24' } }, false],
  ['heddle', { ipam: { ranges: [[{ subnet: '10.0.0.0/24' }]] } }, false],
  ['heddle', { ipam: { type: 'host-local', routes: [] } }, true],
  ['heddle', { ipam: { type: 'static' } }, false],
  ['heddle', { ipam: { type: 'whereabouts' }, subnetFile: '/x' }, true],
]
for (const [role, value, uses] of sources) {
  test(`usesSubnetFile says ${uses} under ${role} to ${JSON.stringify(value)}`, (t) => {
    t.is(usesSubnetFile(role, conf({ name: 'n', ...value })), uses)
  })
}

test('refuseTwoSources refuses a range beside a subnet file under heddle alone', (t) => {
  const both = conf({ name: 'n', subnetFile: '/x', ipam: { subnet: '10.0.0.0/24' } })
  t.throws(() => refuseTwoSources('heddle', both), { name: 'ConfigError' })
  t.notThrows(() => refuseTwoSources('flannel', both))
})

const modes: readonly [role: Role, conf: object, expected: ReturnType<typeof modeOf>][] = [
  ['heddle', {}, 'bridge'],
  ['heddle', { mode: '' }, 'bridge'],
  ['heddle', { mode: 'bridge' }, 'bridge'],
  ['heddle', { mode: 'ptp' }, 'ptp'],
  ['heddle', { mode: 'macvlan' }, 'macvlan'],
  // Refused by whoever reads the bridge's configuration.
  ['heddle', { mode: 'ipvlan' }, 'bridge'],
  ['bridge', { mode: 'macvlan' }, 'bridge'],
  ['heddle', { mode: 'ptp', delegate: { type: 'macvlan' } }, 'elsewhere'],
  ['heddle', { delegate: { mode: 'ptp' } }, 'ptp'],
]
for (const [role, value, expected] of modes) {
  test(`modeOf ${role} with ${JSON.stringify(value)} is ${expected}`, (t) => {
    const ipam = { subnet: '10.1.0.0/24' }
    const target = ownTarget(role, conf({ name: 'n', ipam, ...value }), '')
    t.is(modeOf(role, target), expected)
  })
}

test('heddle fills in only what has a meaning in the mode', (t) => {
  const filled = (mode: string) => {
    const target = subnetTarget('heddle', conf({ name: 'n', mode }), dual)
    const { isGateway, isDefaultGateway, hairpinMode, ipMasq, mtu } = target.conf
    return { isGateway, isDefaultGateway, hairpinMode, ipMasq, mtu }
  }
  const host = { isGateway: true, isDefaultGateway: true, ipMasq: true, mtu: 1450 }
  t.deepEqual(filled('bridge'), { ...host, hairpinMode: true })
  t.deepEqual(filled('ptp'), { ...host, hairpinMode: undefined })
  const nothing = { isGateway: undefined, isDefaultGateway: undefined, hairpinMode: undefined }
  t.deepEqual(filled('macvlan'), { ...nothing, ipMasq: undefined, mtu: undefined })
})

test('ownTarget() gives no default route by a bridge that is not to be the gateway', (t) => {
  const conf = { name: 'n', type: 'heddle', isGateway: false, ipam: { subnet: '10.1.0.0/24' } }
  const { isGateway, isDefaultGateway } = ownTarget('heddle', conf, '').conf
  t.deepEqual({ isGateway, isDefaultGateway }, { isGateway: false, isDefaultGateway: false })
})
