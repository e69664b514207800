import test from 'ava'
import { parseLeaseKey, parseLeaseValue } from '../../conf/lease.ts'
import type { Backend, FindPath, Uplink } from '../../daemon/backend/backend.ts'
import { createBackend } from '../../daemon/backend/create-backend.ts'
import { renderDevice, renderEntry } from '../../daemon/backend/kernel-state.ts'
import { planPeer } from '../../daemon/backend/plan-peer.ts'
import type { Lease } from '../../daemon/lease/lease.ts'
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
  return [...of.devices.map(renderDevice), ...entries.map(renderEntry), ...problems]
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
    'the broadcast address',
    '10.5.9.0-24',
    `{"PublicIP":"255.255.255.255","BackendType":"vxlan",${vtep}}`,
    '255.255.255.255 cannot be a host’s address',
  ],
  [
    'an address in the cluster’s own network',
    '10.5.9.0-24',
    `{"PublicIP":"10.5.9.1","BackendType":"vxlan",${vtep}}`,
    'its public address 10.5.9.1 is inside the cluster’s network 10.5.0.0/16',
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

test('vxlan takes no MTU that its interface does not carry, and says so', (t) => {
  const of = backend('vxlan', { mtu: 9000 })
  t.is(of.mtu, 1450)
  t.deepEqual(of.warnings, [
    'eth0 carries 1500 bytes, less than Backend.MTU, 9000: its own MTU counts',
  ])
  t.is(backend('vxlan', { mtu: 0 }).mtu, 1450)
  t.throws(() => backend('vxlan', { mtu: 100 }), {
    name: 'ConfigError',
    message: 'Backend.MTU must be at least 118 for IPv4, not 100',
  })
  t.throws(() => backend('vxlan', { mtu: 1300 }, both), { message: /at least 1350 for IPv6/ })
  const small = backend('vxlan', {}, { 6: uplink('fd00::1', 'fd00::1', 1300) })
  t.deepEqual(small.warnings, ['eth0 carries 1300 bytes, and IPv6 with vxlan needs 1350'])
})

test('vxlan with DirectRouting takes no way through its own tunnel, or to no host, for one around it', (t) => {
  const of = backend('vxlan', { directrouting: true })
  const tunnel = state(backend('vxlan'), [peer])
  const through: FindPath = () => ({ device: 'flannel.1', onLink: true })
  t.deepEqual(state(of, [peer], { findPath: through }), tunnel)
  t.deepEqual(state(of, [peer], { findPath: () => 'no host' }), tunnel)
})

test('host-gw skips a peer whose address is no host’s', (t) => {
  const of = backend('host-gw')
  const other = { ...peer, attrs: { ...peer.attrs, backendType: 'host-gw' } }
  t.deepEqual(state(of, [other], { findPath: () => 'no host' }), [
    '! 192.168.0.2 is no other host’s address',
  ])
})

test('alloc wants nothing in the kernel, and leaves no type in the lease, as flannel’s', (t) => {
  const of = backend('alloc', { x: 1 }, both)
  t.deepEqual([of.mtu, of.leaseType, of.leaseData], [1500, '', {}])
  t.deepEqual(of.warnings, ['unknown key "x" for backend alloc'])
  const untyped = lease('10.5.34.0-24', '{"PublicIP":"192.168.0.2","PublicIPv6":null}')
  t.deepEqual(state(of, [untyped], { uplinks: both }), [])
  const plan = planPeer(untyped, { backend: of, networks, subnets: own, uplinks: both }, noPath)
  t.deepEqual(plan, { state: 'none', entries: [] })
})

const extensionLease = (value: string) =>
  lease(
    '10.5.34.0-24&fc00:0:0:5::-64',
    `{"PublicIP":"192.168.0.2","PublicIPv6":"fd00::2","BackendType":"extension"${value}}`,
  )

test('extension runs its commands with both families in the environment', (t) => {
  const of = backend(
    'extension',
    {
      prestartupcommand: 'cat /etc/key',
      poststartupcommand: ['/bin/up', '$NETWORK'],
      subnetaddcommand: 'ip route replace $SUBNET via $PUBLIC_IP',
      subnetremovecommand: ['ip', 'route', 'delete', '${SUBNET}'],
    },
    both,
  )
  t.is(of.mtu, 1500)
  t.deepEqual(of.commands?.prepare?.argv, ['cat', '/etc/key'])
  t.deepEqual(of.commands?.leaseData('key'), { 4: 'key', 6: 'key' })
  t.deepEqual(of.commands?.own({ networks, subnets: own }), {
    argv: ['/bin/up', '10.5.0.0/16'],
    env: {
      NETWORK: '10.5.0.0/16',
      IPV6NETWORK: 'fc00::/48',
      SUBNET: '10.5.1.0/24',
      IPV6SUBNET: 'fc00:0:0:1::/64',
      PUBLIC_IP: '192.168.0.1',
      PUBLIC_IPV6: 'fd00::1',
    },
    input: '',
  })
  const ours = { backend: of, networks, subnets: own, uplinks: both }
  const env = {
    SUBNET: '10.5.34.0/24',
    IPV6SUBNET: 'fc00:0:0:5::/64',
    PUBLIC_IP: '192.168.0.2',
    PUBLIC_IPV6: 'fd00::2',
  }
  t.deepEqual(planPeer(extensionLease(',"BackendData":"its key"'), ours, noPath), {
    state: 'commands',
    entries: [],
    commands: {
      add: {
        argv: ['ip', 'route', 'replace', '10.5.34.0/24', 'via', '192.168.0.2'],
        env,
        input: 'its key',
      },
      remove: { argv: ['ip', 'route', 'delete', '10.5.34.0/24'], env, input: 'its key' },
    },
  })
  const four = { ...ours, backend: backend('extension', {}), subnets: { 4: own[4] } }
  t.deepEqual(planPeer(extensionLease(''), four, noPath), {
    state: 'commands',
    entries: [],
    commands: { add: undefined, remove: undefined },
  })
  t.is(
    planPeer(extensionLease(',"BackendData":{"a":1}'), ours, noPath).problem,
    'its BackendData is not a text',
  )
})

for (const command of [7, ['ip', 7], ['', 'x'], { a: 1 }, ['x\0y']]) {
  test(`extension refuses the command ${JSON.stringify(command)}`, (t) => {
    t.throws(() => backend('extension', { subnetaddcommand: command }), {
      name: 'ConfigError',
      message: /^Backend\.SubnetAddCommand must be a list of words, the program first, or a text/,
    })
  })
}
