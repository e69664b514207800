import test from 'ava'
import { parseLeaseKey, parseLeaseValue } from '../../conf/lease.ts'
import type { Backend, FindPath, Uplink } from '../../daemon/backend/backend.ts'
import { createBackend } from '../../daemon/backend/create-backend.ts'
import { renderState } from '../../daemon/backend/kernel-state.ts'
import { planPeer } from '../../daemon/backend/plan-peer.ts'
import type { Lease } from '../../daemon/lease.ts'
import { type Address, parseAddress } from '../../ip/address.ts'
import { type ByFamily, byFamily } from '../../ip/by-family.ts'
import { type Mac, parseMac } from '../../ip/mac.ts'
import { type Prefix, parsePrefix } from '../../ip/prefix.ts'

function ip(text: string): Address {
  const value = parseAddress(text)
  if (!value) throw new Error(text)
  return value
}

function prefix(text: string): Prefix {
  const value = parsePrefix(text)
  if (!value) throw new Error(text)
  return value
}

function mac(text: string): Mac {
  const value = parseMac(text)
  if (!value) throw new Error(text)
  return value
}

function uplink(address: string, publicIP = address, mtu = 1500): Uplink {
  return { index: 2, name: 'eth0', mtu, address: ip(address), publicIP: ip(publicIP) }
}

const one: ByFamily<Uplink> = { 4: uplink('192.168.0.1') }
const both: ByFamily<Uplink> = { 4: uplink('192.168.0.1'), 6: uplink('fd00::1') }
const networks = { 4: prefix('10.5.0.0/16'), 6: prefix('fc00::/48') }
const own = { 4: prefix('10.5.1.0/24'), 6: prefix('fc00:0:0:1::/64') }

function backend(type: string, options: Record<string, unknown> = {}, uplinks = one): Backend {
  const macFor = (device: string): Mac =>
    mac(device.includes('v6') ? '02:00:00:00:06:01' : '02:00:00:00:00:01')
  return createBackend({ config: { type, options }, uplinks, macFor })
}

function lease(key: string, value: string): Lease {
  const subnets = parseLeaseKey(key)
  if (!subnets) throw new Error(key)
  return { key, subnets, attrs: parseLeaseValue(value), revision: 1, reserved: false }
}

const peer = lease(
  '10.5.34.0-24',
  '{"PublicIP":"192.168.0.2","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}',
)
const dualPeer = lease(
  '10.5.34.0-24&fc00:0:0:5::-64',
  '{"PublicIP":"192.168.0.2","PublicIPv6":"fd00::2","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"},"BackendV6Data":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:66"}}',
)
const noPath: FindPath = () => undefined
const onLink: FindPath = () => ({ device: 'eth0', onLink: true })
const routed: FindPath = () => ({ device: 'eth0', onLink: false })

/** The whole wanted state for some leases, as text. */
function state(
  of: Backend,
  leases: readonly Lease[],
  { uplinks = one, findPath = noPath }: { uplinks?: ByFamily<Uplink>; findPath?: FindPath } = {},
): string[] {
  const subnets = byFamily((family) => (uplinks[family] ? own[family] : undefined))
  const plans = leases.map((lease) =>
    planPeer(lease, { backend: of, networks, subnets, uplinks }, findPath),
  )
  const entries = [...of.own(subnets), ...plans.flatMap((plan) => plan.entries)]
  const problems = plans.flatMap(({ problem }) => (problem === undefined ? [] : [`! ${problem}`]))
  return [...renderState({ devices: of.devices, entries }), ...problems]
}

test('vxlan wants a device, and a neighbour, an FDB entry and an on-link route for a peer', (t) => {
  t.deepEqual(state(backend('vxlan'), [peer]), [
    'link flannel.1 address 02:00:00:00:00:01 mtu 1450 type vxlan id 1 dev eth0 local 192.168.0.1 dstport 8472 nolearning',
    'address 10.5.1.0/32 dev flannel.1',
    'neigh 10.5.34.0 lladdr c6:d2:32:6f:8f:44 dev flannel.1 nud permanent',
    'fdb c6:d2:32:6f:8f:44 dev flannel.1 dst 192.168.0.2 self permanent',
    'route 10.5.34.0/24 via 10.5.34.0 dev flannel.1 onlink proto 104',
  ])
})

test('vxlan carries IPv6 over an IPv6 device of its own, 70 bytes smaller', (t) => {
  const of = backend('vxlan', {}, both)
  t.is(of.mtu, 1430)
  t.deepEqual(of.leaseData, {
    4: { VNI: 1, VtepMAC: '02:00:00:00:00:01' },
    6: { VNI: 1, VtepMAC: '02:00:00:00:06:01' },
  })
  t.deepEqual(state(of, [dualPeer], { uplinks: both }), [
    'link flannel.1 address 02:00:00:00:00:01 mtu 1450 type vxlan id 1 dev eth0 local 192.168.0.1 dstport 8472 nolearning',
    'link flannel-v6.1 address 02:00:00:00:06:01 mtu 1430 type vxlan id 1 dev eth0 local fd00::1 dstport 8472 nolearning',
    'address 10.5.1.0/32 dev flannel.1',
    'address fc00:0:0:1::/128 dev flannel-v6.1',
    'neigh 10.5.34.0 lladdr c6:d2:32:6f:8f:44 dev flannel.1 nud permanent',
    'fdb c6:d2:32:6f:8f:44 dev flannel.1 dst 192.168.0.2 self permanent',
    'route 10.5.34.0/24 via 10.5.34.0 dev flannel.1 onlink proto 104',
    'neigh fc00:0:0:5:: lladdr c6:d2:32:6f:8f:66 dev flannel-v6.1 nud permanent',
    'fdb c6:d2:32:6f:8f:66 dev flannel-v6.1 dst fd00::2 self permanent',
    'route fc00:0:0:5::/64 via fc00:0:0:5:: dev flannel-v6.1 onlink proto 104',
  ])
})

test('vxlan takes VNI, Port, MTU, Learning and GBP, and names keys it does not know', (t) => {
  const options = { vni: 7, port: 4789, mtu: 1400, learning: true, gbp: true, name: 'x' }
  const of = backend('vxlan', options)
  t.deepEqual(state(of, []), [
    'link flannel.7 address 02:00:00:00:00:01 mtu 1350 type vxlan id 7 dev eth0 local 192.168.0.1 dstport 4789 learning gbp',
    'address 10.5.1.0/32 dev flannel.7',
  ])
  t.deepEqual(of.warnings, ['unknown key "name" for backend vxlan'])
})

for (const options of [
  { vni: '1' },
  { vni: -1 },
  { vni: 2 ** 24 },
  { learning: 1 },
  { vni: 10000000 },
]) {
  test(`vxlan refuses ${JSON.stringify(options)}`, (t) => {
    t.throws(() => backend('vxlan', options), { name: 'ConfigError' })
  })
}

test('vxlan with DirectRouting tunnels only to peers behind a router', (t) => {
  const of = backend('vxlan', { directrouting: true })
  const tunnel = state(backend('vxlan'), [peer])
  t.deepEqual(state(of, [peer], { findPath: routed }), tunnel)
  t.deepEqual(state(of, [peer], { findPath: noPath }), tunnel)
  t.deepEqual(state(of, [peer], { findPath: onLink }), [
    ...tunnel.slice(0, 2),
    'route 10.5.34.0/24 via 192.168.0.2 dev eth0 proto 104',
  ])
})

test('vxlan without DirectRouting asks for no path', (t) => {
  const findPath: FindPath = () => {
    throw new Error('asked')
  }
  t.is(state(backend('vxlan'), [peer], { findPath }).length, 5)
})

test('host-gw wants a plain route through the peer, in both families', (t) => {
  const of = backend('host-gw', {}, both)
  t.is(of.mtu, 1500)
  t.deepEqual(of.leaseData, {})
  const hostGw = {
    ...dualPeer,
    attrs: { ...dualPeer.attrs, backendType: 'host-gw', backendData: {} },
  }
  t.deepEqual(state(of, [hostGw], { uplinks: both, findPath: onLink }), [
    'route 10.5.34.0/24 via 192.168.0.2 dev eth0 proto 104',
    'route fc00:0:0:5::/64 via fd00::2 dev eth0 proto 104',
  ])
})

test('host-gw skips a peer behind a router and keeps one while there is no path at all', (t) => {
  const of = backend('host-gw')
  const hostGw = { ...peer, attrs: { ...peer.attrs, backendType: 'host-gw', backendData: {} } }
  t.deepEqual(state(of, [hostGw], { findPath: routed }), [
    '! 192.168.0.2 is behind a router: host-gw reaches only hosts on its own link',
  ])
  t.deepEqual(state(of, [hostGw], { findPath: noPath }), [
    'route 10.5.34.0/24 via 192.168.0.2 dev eth0 proto 104',
  ])
})

test('host-gw refuses a public address that the host does not have', (t) => {
  const nat = { 4: uplink('192.168.0.1', '203.0.113.1') }
  const error = t.throws(() => backend('host-gw', {}, nat), { name: 'ConfigError' })
  t.regex(error?.message ?? '', /^your PublicIP differs from interface IP/)
})

test('createBackend() refuses a type it does not have in flannel’s words', (t) => {
  t.throws(() => backend('udp'), { message: /^unknown backend type: udp/ })
  t.throws(() => backend(''), { message: /^unknown backend type: / })
  t.throws(() => backend('constructor'), { message: /^unknown backend type: constructor/ })
})

const vtep = '"BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}'
const hostile: [what: string, key: string, value: string, problem: string][] = [
  [
    'another backend',
    '10.5.9.0-24',
    `{"PublicIP":"192.168.0.9","BackendType":"wireguard"}`,
    'its backend is wireguard, ours is vxlan',
  ],
  ['no backend', '10.5.9.0-24', `{"PublicIP":"192.168.0.9"}`, 'its backend is no, ours is vxlan'],
  [
    'a subnet outside',
    '10.6.9.0-24',
    `{"PublicIP":"192.168.0.9","BackendType":"vxlan",${vtep}}`,
    '10.6.9.0/24 is outside 10.5.0.0/16',
  ],
  [
    'the whole network',
    '10.4.0.0-15',
    `{"PublicIP":"192.168.0.9","BackendType":"vxlan",${vtep}}`,
    '10.4.0.0/15 is outside 10.5.0.0/16',
  ],
  [
    'our own subnet',
    '10.5.1.128-25',
    `{"PublicIP":"192.168.0.9","BackendType":"vxlan",${vtep}}`,
    '10.5.1.128/25 overlaps this host’s own 10.5.1.0/24',
  ],
  [
    'our own address',
    '10.5.9.0-24',
    `{"PublicIP":"192.168.0.1","BackendType":"vxlan",${vtep}}`,
    'its public address 192.168.0.1 is this host’s own',
  ],
  [
    'a loopback address',
    '10.5.9.0-24',
    `{"PublicIP":"127.0.0.1","BackendType":"vxlan",${vtep}}`,
    '127.0.0.1 cannot be a host’s address',
  ],
  [
    'a multicast address',
    '10.5.9.0-24',
    `{"PublicIP":"224.0.0.1","BackendType":"vxlan",${vtep}}`,
    '224.0.0.1 cannot be a host’s address',
  ],
  [
    'no address',
    '10.5.9.0-24',
    `{"PublicIP":"0.0.0.0","BackendType":"vxlan",${vtep}}`,
    'it has no public IPv4 address',
  ],
  [
    'a group MAC',
    '10.5.9.0-24',
    `{"PublicIP":"192.168.0.9","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"ff:ff:ff:ff:ff:ff"}}`,
    'its lease has no usable VtepMAC',
  ],
  [
    'a zero MAC',
    '10.5.9.0-24',
    `{"PublicIP":"192.168.0.9","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"00:00:00:00:00:00"}}`,
    'its lease has no usable VtepMAC',
  ],
  [
    'no MAC',
    '10.5.9.0-24',
    `{"PublicIP":"192.168.0.9","BackendType":"vxlan","BackendData":[]}`,
    'its lease has no usable VtepMAC',
  ],
  [
    'our MAC',
    '10.5.9.0-24',
    `{"PublicIP":"192.168.0.9","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:01"}}`,
    'it has the same VtepMAC as this host, 02:00:00:00:00:01',
  ],
  [
    'another VNI',
    '10.5.9.0-24',
    `{"PublicIP":"192.168.0.9","BackendType":"vxlan","BackendData":{"VNI":2,"VtepMAC":"02:00:00:00:00:09"}}`,
    'its VNI is 2, ours is 1',
  ],
]
for (const [what, key, value, problem] of hostile) {
  test(`planPeer() skips a lease with ${what} and keeps the others`, (t) => {
    const good = state(backend('vxlan'), [peer])
    t.deepEqual(state(backend('vxlan'), [lease(key, value), peer]), [...good, `! ${problem}`])
  })
}

test('planPeer() takes from a dual-stack peer what a host of one family can use', (t) => {
  t.deepEqual(state(backend('vxlan'), [dualPeer]), state(backend('vxlan'), [peer]))
})

test('planPeer() reaches an IPv4 peer from a dual-stack host', (t) => {
  const of = backend('vxlan', {}, both)
  t.is(state(of, [peer], { uplinks: both }).length, 2 + 2 + 3)
})

test('planPeer() reaches one family when the other is bad', (t) => {
  const of = backend('vxlan', {}, both)
  const half = { ...dualPeer, attrs: { ...dualPeer.attrs, publicIP: { 4: ip('192.168.0.2') } } }
  const lines = state(of, [half], { uplinks: both })
  t.is(lines.length, 2 + 2 + 3 + 1)
  t.is(lines.at(-1), '! it has no public IPv6 address')
})
