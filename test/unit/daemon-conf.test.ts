import test from 'ava'
import * as fc from 'fast-check'
import {
  formatLeaseKey,
  formatLeaseValue,
  parseLeaseKey,
  parseLeaseValue,
} from '../../conf/lease.ts'
import { type Pool, parseNetworkConfig, poolHas } from '../../conf/network-config.ts'
import { formatSubnetEnv, parseSubnetEnv } from '../../conf/subnet-env.ts'
import { formatSubnetStatus, parseSubnetStatus } from '../../conf/subnet-status.ts'
import { type Address, formatAddress, parseAddress } from '../../ip/address.ts'
import { formatPrefix, network, type Prefix, parsePrefix } from '../../ip/prefix.ts'

function prefix(text: string): Prefix {
  const value = parsePrefix(text)
  if (!value) throw new Error(text)
  return value
}

function pool(text: string, family: 4 | 6 = 4): Pool {
  const found = parseNetworkConfig(text).pools[family]
  if (!found) throw new Error(text)
  return found
}

function show({ network, subnetLen, min, max }: Pool): string {
  return `${formatPrefix(network)} len ${subnetLen} ${formatAddress(min)}..${formatAddress(max)}`
}

test('parseNetworkConfig() gives IPv4 flannel’s defaults', (t) => {
  const config = parseNetworkConfig('{ "network": "10.3.0.0/16" }')
  t.is(show(pool('{ "network": "10.3.0.0/16" }')), '10.3.0.0/16 len 24 10.3.1.0..10.3.255.0')
  t.is(config.pools[6], undefined)
  t.is(config.backend, undefined)
  t.deepEqual(config.warnings, [])
})

test('parseNetworkConfig() gives IPv6 flannel’s defaults', (t) => {
  const text = '{"enableIPv6":true,"ipv6Network":"fc00::/48","network":"10.3.0.0/16"}'
  t.is(show(pool(text, 6)), 'fc00::/48 len 64 fc00:0:0:1::..fc00:0:0:ffff::')
})

test('parseNetworkConfig() takes the overrides of both families', (t) => {
  const v4 = `{"Network":"10.3.0.0/16","SubnetMin":"10.3.5.0","SubnetMax":"10.3.8.0","SubnetLen":28}`
  t.is(show(pool(v4)), '10.3.0.0/16 len 28 10.3.5.0..10.3.8.0')
  const v6 = `{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fc00::/48",
    "IPv6SubnetMin":"fc00:0:0:1::","IPv6SubnetMax":"fc00:0:0:f::","IPv6SubnetLen":124}`
  t.is(show(pool(v6, 6)), 'fc00::/48 len 124 fc00:0:0:1::..fc00:0:0:f::')
  t.is(parseNetworkConfig(v6).pools[4], undefined)
})

test('parseNetworkConfig() clears host bits and derives the length of small networks', (t) => {
  t.is(show(pool('{"Network":"10.3.7.9/23"}')), '10.3.6.0/23 len 25 10.3.6.128..10.3.7.128')
  t.is(show(pool('{"Network":"10.3.0.0/28"}')), '10.3.0.0/28 len 30 10.3.0.4..10.3.0.12')
})

const refused: [config: string, message: string][] = [
  ['{}', 'please define a correct Network parameter in the flannel config'],
  ['{"Network":"0.0.0.0/0"}', 'please define a correct Network parameter in the flannel config'],
  [
    '{"Network":"10.0.0.0/8","EnableIPv6":true}',
    'please define a correct IPv6Network parameter in the flannel config',
  ],
  ['{"Network":"10.0.0.0/8","SubnetLen":31}', 'SubnetLen must be less than /31'],
  [
    '{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fc00::/48","IPv6SubnetLen":127}',
    'SubnetLen must be less than /127',
  ],
  [
    '{"Network":"10.0.0.0/16","SubnetLen":17}',
    'network must be able to accommodate at least four subnets',
  ],
  ['{"Network":"10.0.0.0/29"}', 'network is too small. Minimum useful network prefix is /28'],
  [
    '{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fc00::/125"}',
    'IPv6Network is too small. Minimum useful network prefix is /124',
  ],
  [
    '{"Network":"10.0.0.0/16","SubnetMin":"10.1.0.0"}',
    'SubnetMin is not in the range of the Network',
  ],
  [
    '{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fc00::/48","IPv6SubnetMax":"fd00::"}',
    'IPv6SubnetMax is not in the range of the IPv6Network',
  ],
  [
    '{"Network":"10.0.0.0/16","SubnetMax":"10.0.5.1"}',
    'SubnetMax is not on a SubnetLen boundary: 10.0.5.1',
  ],
  [
    '{"Network":"10.0.0.0/16","SubnetMin":"10.0.9.0","SubnetMax":"10.0.5.0"}',
    'SubnetMin is greater than SubnetMax',
  ],
  [
    '{"Network":"10.0.0.0/16","Backend":"vxlan"}',
    'error decoding Backend property of config: it is not a JSON object',
  ],
]
for (const [config, message] of refused) {
  test(`parseNetworkConfig() refuses ${config}`, (t) => {
    t.is(t.throws(() => parseNetworkConfig(config), { name: 'ConfigError' })?.message, message)
  })
}

test('parseNetworkConfig() names unknown keys and lower-cases the backend', (t) => {
  const config = parseNetworkConfig(
    '{"Network":"10.0.0.0/8","Subnetlen":24,"MTU":1,"Backend":{"Type":"VXLAN","DirectRouting":true}}',
  )
  t.deepEqual(config.backend, { type: 'vxlan', options: { directrouting: true } })
  t.deepEqual(config.warnings, ['unknown key "MTU" in the network configuration'])
  t.throws(() => parseNetworkConfig('Network: 10.0.0.0/8'), { name: 'DecodeError' })
})

test('poolHas() asks for the length and the bounds', (t) => {
  const subnets = pool('{"Network":"10.3.0.0/16","SubnetMin":"10.3.5.0","SubnetMax":"10.3.8.0"}')
  const has = ['10.3.4.0/24', '10.3.5.0/24', '10.3.8.0/24', '10.3.9.0/24', '10.3.6.0/25'].map(
    (text) => poolHas(subnets, prefix(text)),
  )
  t.deepEqual(has, [false, true, true, false, false])
})

test('parseLeaseKey() reads what flannel writes, and IPv6 alone', (t) => {
  for (const key of ['10.5.34.0-24', '10.5.34.0-24&fc00:0:0:5::-64', 'fd00:0:0:5::-64']) {
    const subnets = parseLeaseKey(key)
    t.is(subnets && formatLeaseKey(subnets), key)
  }
})

const badKeys = `
  10 10.12.13.0 10.12.13-24 10.12.13.300-24 10.12.13.0-24hi &2001::-56 10.12.13.0-24&:12:13:-56
  10.12.13.0-24&20011::-56 10.12.13.0-24&2001-56 10.12.13.0-24&2001:: 10.12.13.0-24&2001::-56hi
  10.12.13.7-24 10.12.13.0-32 2001::-56&10.12.13.0-24 10.1.1.0-24&10.1.2.0-24 10.1.1.0-24& x10.1.1.0-24`
  .trim()
  .split(/\s+/)
for (const key of ['', ...badKeys]) {
  test(`parseLeaseKey() refuses "${key}"`, (t) => {
    t.is(parseLeaseKey(key), undefined)
  })
}

test('parseLeaseKey() inverts formatLeaseKey()', (t) => {
  const subnet = (family: 4 | 6, bits: bigint, max: number) =>
    fc
      .tuple(fc.bigInt({ min: 0n, max: (1n << bits) - 1n }), fc.integer({ min: 0, max }))
      .map(([value, length]) => network({ address: { family, value }, length }))
  fc.assert(
    fc.property(subnet(4, 32n, 31), subnet(6, 128n, 127), (v4, v6) => {
      // An IPv4-mapped address has no text that could go into a key.
      if (v6.address.value >> 32n === 0xffffn) return
      for (const subnets of [{ 4: v4 }, { 6: v6 }, { 4: v4, 6: v6 }]) {
        t.deepEqual(parseLeaseKey(formatLeaseKey(subnets)), subnets)
      }
    }),
  )
})

function ip(text: string): Address {
  const value = parseAddress(text)
  if (!value) throw new Error(text)
  return value
}

test('formatLeaseValue() writes flannel’s bytes', (t) => {
  const bare = { publicIP: { 4: ip('1.2.3.4') }, backendType: '', backendData: {} }
  t.is(formatLeaseValue(bare), '{"PublicIP":"1.2.3.4","PublicIPv6":null}')
  const vxlan = {
    publicIP: { 4: ip('192.168.64.3') },
    backendType: 'vxlan',
    backendData: { 4: { VNI: 1, VtepMAC: 'c6:d2:32:6f:8f:44' } },
  }
  const text =
    '{"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}'
  t.is(formatLeaseValue(vxlan), text)
  t.deepEqual(parseLeaseValue(text), vxlan)
})

test('formatLeaseValue() puts NodeID last and 0.0.0.0 where there is no IPv4', (t) => {
  const attrs = {
    publicIP: { 6: ip('fd00::1') },
    backendType: 'host-gw',
    backendData: {},
    nodeId: 'e2c0a2b6-6b0e-4e0c-a1d5-000000000001',
  }
  const text = formatLeaseValue(attrs)
  t.is(
    text,
    '{"PublicIP":"0.0.0.0","PublicIPv6":"fd00::1","BackendType":"host-gw","NodeID":"e2c0a2b6-6b0e-4e0c-a1d5-000000000001"}',
  )
  t.deepEqual(parseLeaseValue(text), attrs)
})

for (const value of [
  '',
  '[]',
  '{"PublicIP":4}',
  '{"PublicIP":"::1"}',
  '{"BackendType":{}}',
  '{"NodeID":"\\u001b[2J"}',
]) {
  test(`parseLeaseValue() refuses ${JSON.stringify(value)}`, (t) => {
    t.throws(() => parseLeaseValue(value), { name: 'DecodeError' })
  })
}

test('parseLeaseValue() never fails otherwise than by DecodeError', (t) => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      try {
        parseLeaseValue(text)
      } catch (error) {
        t.is((error as Error).name, 'DecodeError')
      }
    }),
  )
  t.pass()
})

const subnetFiles = [
  'FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.72.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n',
  'FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=10.42.0.1/24\nFLANNEL_IPV6_NETWORK=2001:cafe:42::/56\nFLANNEL_IPV6_SUBNET=2001:cafe:42::1/64\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n',
  'FLANNEL_IPV6_NETWORK=fc00::/48\nFLANNEL_IPV6_SUBNET=fc00::1/64\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=true\n',
]
for (const [index, text] of subnetFiles.entries()) {
  test(`formatSubnetEnv() inverts parseSubnetEnv(), example ${index + 1}`, (t) => {
    t.is(formatSubnetEnv(parseSubnetEnv(text, 'subnet.env')), text)
  })
}

test('parseSubnetEnv() names what is missing in flannel’s words', (t) => {
  const error = t.throws(() => parseSubnetEnv('foo=bar', '/run/flannel/subnet.env'))
  t.is(
    error?.message,
    '/run/flannel/subnet.env is missing FLANNEL_NETWORK, FLANNEL_IPV6_NETWORK, FLANNEL_SUBNET, FLANNEL_IPV6_SUBNET, FLANNEL_MTU, FLANNEL_IPMASQ',
  )
})

test('parseSubnetEnv() takes comma lists once, CRLF and quotes', (t) => {
  const text =
    'FLANNEL_NETWORK="10.5.0.0/16,10.6.0.0/16,10.5.0.0/16"\r\nFLANNEL_SUBNET=10.5.1.1/24\r\nFLANNEL_MTU=1450\r\nFLANNEL_IPMASQ=TRUE\r\n'
  const env = parseSubnetEnv(text, 'f')
  t.deepEqual(env.networks.map(formatPrefix), ['10.5.0.0/16', '10.6.0.0/16'])
  t.false(env.ipMasq)
  t.throws(() => parseSubnetEnv(`${text}FLANNEL_SUBNET=10.5.1.1`, 'f'), { name: 'SubnetEnvError' })
  t.throws(() => parseSubnetEnv(`${text}FLANNEL_MTU=x`, 'f'), { name: 'SubnetEnvError' })
})

test('parseSubnetStatus() inverts formatSubnetStatus() and refuses newer versions', (t) => {
  const since = '2026-11-21T04:00:00.000Z'
  const held = { expires: 1000, bootId: 'b' }
  for (const status of [
    { ready: true, since, held },
    { ready: false, error: 'out of subnets', since },
  ]) {
    t.deepEqual(parseSubnetStatus(formatSubnetStatus(status)), status)
  }
  t.throws(() => parseSubnetStatus('{"v":2}'), { name: 'DecodeError' })
})
