import test from 'ava'
import {
  type Entry,
  entryId,
  ourRoute,
  type VxlanDevice,
} from '../../daemon/backend/kernel-state.ts'
import { planDevice } from '../../daemon/kernel/devices.ts'
import { Doubts, leasesOn } from '../../daemon/kernel/doubts.ts'
import { type EventContext, type Finding, judgeEvent } from '../../daemon/kernel/kernel-event.ts'
import type { Lease } from '../../daemon/lease/lease.ts'
import { type Address, type Family, parseAddress } from '../../ip/address.ts'
import type { ByFamily } from '../../ip/by-family.ts'
import { parseMac } from '../../ip/mac.ts'
import { type Prefix, parsePrefix } from '../../ip/prefix.ts'
import type { InterfaceAddress } from '../../netlink/address.ts'
import type { KernelEvent } from '../../netlink/events.ts'
import type { Link } from '../../netlink/link.ts'
import type { Route } from '../../netlink/route.ts'

function need<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('bad example')
  return value
}

const ip = (text: string) => need(parseAddress(text))
const prefix = (text: string) => need(parsePrefix(text))
const mac = need(parseMac('02:00:00:00:00:01'))
const peerMac = need(parseMac('02:00:00:00:00:02'))

const device: VxlanDevice = {
  name: 'flannel.1',
  mac,
  mtu: 1450,
  vni: 1,
  uplink: 'eth0',
  local: ip('192.168.0.1'),
  port: 8472,
  learning: false,
  gbp: false,
}
const route = ourRoute(prefix('10.5.2.0/24'), {
  gateway: ip('10.5.2.0'),
  device: 'flannel.1',
  onlink: true,
})
const entries: Entry[] = [
  { kind: 'address', device: 'flannel.1', prefix: prefix('10.5.1.0/32') },
  { kind: 'neighbour', device: 'flannel.1', address: ip('10.5.2.0'), mac: peerMac },
  { kind: 'fdb', device: 'flannel.1', mac: peerMac, destination: ip('192.168.0.2') },
  route,
]
const names = ['', 'lo', 'eth0', 'flannel.1', 'cni0', 'eth1']

function context(usesPaths: boolean): EventContext {
  return {
    devices: [device],
    carries: (name) => name === 'eth0' || name === 'eth1',
    networks: [prefix('10.5.0.0/16')],
    usesPaths,
    known: (index) => (names[index] ? { name: names[index], up: true } : undefined),
    indexOf: (name) => names.indexOf(name),
    wanted: (id) => entries.find((entry) => entryId(entry) === id),
  }
}

function judge(event: KernelEvent, { usesPaths = false } = {}): Finding {
  return judgeEvent(event, context(usesPaths))
}

/** Whether something is to be looked at after these events. */
function trouble(event: KernelEvent, options: { usesPaths?: boolean } = {}): boolean {
  const doubts = new Doubts()
  doubts.take(judge(event, options))
  return doubts.any
}

const vxlan = { id: 1, link: 2, local: ip('192.168.0.1'), port: 8472, learning: false, gbp: false }
const link: Link = {
  index: 3,
  name: 'flannel.1',
  kind: 'vxlan',
  vxlan,
  mac,
  mtu: 1450,
  up: true,
  running: true,
  operstate: 0,
  promiscuous: false,
}
const kernelRoute: Route = {
  destination: prefix('10.5.2.0/24'),
  gateway: ip('10.5.2.0'),
  oif: 3,
  onlink: true,
  protocol: 104,
  table: 254,
}
const neighbour = { index: 3, address: ip('10.5.2.0'), mac: peerMac, permanent: true }
const fdb = { index: 3, mac: peerMac, destination: ip('192.168.0.2'), permanent: true, self: true }

test('judgeEvent() takes our own writes for what they are', (t) => {
  t.false(trouble({ kind: 'link', gone: false, link }))
  t.false(trouble({ kind: 'route', gone: false, route: kernelRoute }))
  t.false(trouble({ kind: 'neighbour', gone: false, neighbour: neighbour }))
  t.false(trouble({ kind: 'fdb', gone: false, fdb: fdb }))
})

test('judgeEvent() sees each of our own objects go', (t) => {
  t.true(trouble({ kind: 'link', gone: true, link }))
  t.true(trouble({ kind: 'route', gone: true, route: kernelRoute }))
  t.true(trouble({ kind: 'neighbour', gone: true, neighbour: neighbour }))
  t.true(trouble({ kind: 'fdb', gone: true, fdb: fdb }))
})

test('judgeEvent() sees them changed', (t) => {
  for (const change of [{ up: false }, { mtu: 1300 }, { mac: peerMac }, { index: 9 }]) {
    t.true(trouble({ kind: 'link', gone: false, link: { ...link, ...change } }))
  }
  const elsewhere = { ...kernelRoute, gateway: ip('10.5.2.9') }
  t.true(trouble({ kind: 'route', gone: false, route: elsewhere }))
  t.true(trouble({ kind: 'neighbour', gone: false, neighbour: { ...neighbour, mac } }))
  const moved = { ...fdb, destination: ip('192.168.0.9') }
  t.true(trouble({ kind: 'fdb', gone: false, fdb: moved }))
})

test('judgeEvent() sees what nobody wants on our device', (t) => {
  const surplus = { ...kernelRoute, destination: prefix('10.5.77.0/24') }
  t.true(trouble({ kind: 'route', gone: false, route: surplus }))
  t.false(trouble({ kind: 'route', gone: true, route: surplus }))
})

test('judgeEvent() leaves strangers alone, unless they give way to us', (t) => {
  const { onlink: _, ...plain } = kernelRoute
  const theirs = { ...plain, oif: 2, protocol: 4, gateway: ip('192.168.0.9') }
  t.true(trouble({ kind: 'route', gone: true, route: theirs }))
  const apart = { ...theirs, destination: prefix('10.5.88.0/24') }
  t.false(trouble({ kind: 'route', gone: false, route: apart }))
  t.false(trouble({ kind: 'route', gone: false, route: { ...theirs, table: 100 } }))
  t.false(trouble({ kind: 'fdb', gone: true, fdb: { ...fdb, index: 4 } }))
})

test('judgeEvent() minds the host’s other routes only where paths matter', (t) => {
  const { onlink: _, ...plain } = kernelRoute
  const other = { ...plain, oif: 2, protocol: 2, destination: prefix('192.168.7.0/24') }
  t.false(trouble({ kind: 'route', gone: false, route: other }))
  const to = { kind: 'paths', to: other.destination } as const
  t.deepEqual(judge({ kind: 'route', gone: false, route: other }, { usesPaths: true }), to)
  const elsewhere = { ...other, table: 100 }
  t.deepEqual(judge({ kind: 'route', gone: true, route: elsewhere }, { usesPaths: true }), to)
  const local = { ...other, destination: prefix('fe80::/64'), gateway: ip('fe80::1') }
  t.false(trouble({ kind: 'route', gone: false, route: local }, { usesPaths: true }))
  const rule = { kind: 'rule', gone: true, family: 6 } as const
  t.deepEqual(judge(rule, { usesPaths: true }), { kind: 'paths', to: 6 })
  t.false(trouble(rule))
})

test('judgeEvent() sees an uplink go, come back and stop, and no other link', (t) => {
  const { kind: _kind, vxlan: _vxlan, ...plain } = link
  const uplink = { ...plain, index: 2, name: 'eth0' }
  t.false(trouble({ kind: 'link', gone: false, link: uplink }))
  t.true(trouble({ kind: 'link', gone: true, link: uplink }))
  t.true(trouble({ kind: 'link', gone: false, link: { ...uplink, up: false } }))
  t.true(trouble({ kind: 'link', gone: false, link: { ...uplink, index: 9 } }))
  t.true(trouble({ kind: 'link', gone: false, link: { ...uplink, name: 'renamed' } }))
  const other = { ...uplink, index: 4, name: 'cni0' }
  t.false(trouble({ kind: 'link', gone: true, link: other }))
  t.false(trouble({ kind: 'link', gone: false, link: { ...other, up: false } }))
})

test('judgeEvent() knows that with an address routes go of which nobody is told', (t) => {
  const address = { index: 3, prefix: prefix('10.5.1.0/32') } as InterfaceAddress
  t.deepEqual(judge({ kind: 'address', gone: true, address }), { kind: 'link' })
  const uplinks = { ...address, index: 2, prefix: prefix('192.168.0.1/24') }
  t.deepEqual(judge({ kind: 'address', gone: true, address: uplinks }, { usesPaths: true }), {
    kind: 'link',
  })
  t.false(trouble({ kind: 'address', gone: true, address: uplinks }))
  t.false(
    trouble(
      { kind: 'address', gone: true, address: { ...uplinks, index: 4 } },
      { usesPaths: true },
    ),
  )
})

test('Doubts: the last event about an entry counts', (t) => {
  const doubts = new Doubts()
  const take = (gone: boolean) => doubts.take(judge({ kind: 'route', gone, route: kernelRoute }))
  take(true)
  t.deepEqual([...doubts.kinds], ['route'])
  t.false(doubts.isWhole)
  take(false)
  t.false(doubts.any)
  take(true)
  doubts.take(judge({ kind: 'fdb', gone: true, fdb }))
  t.deepEqual([...doubts.kinds].toSorted(), ['fdb', 'route'])
  doubts.clear()
  t.false(doubts.any)
})

test('leasesOn() finds the peers whose packets a way may carry', (t) => {
  const lease = (publicIP: ByFamily<Address>) => ({ attrs: { publicIP } }) as Lease
  const leases = new Map([
    ['one', lease({ 4: ip('192.168.0.2') })],
    ['two', lease({ 4: ip('192.168.1.2'), 6: ip('fd00::2') })],
    ['six', lease({ 6: ip('fd00::3') })],
  ])
  const on = (...ways: (Prefix | Family)[]) => [...leasesOn(ways, leases).keys()]
  t.deepEqual(on(prefix('192.168.0.0/24')), ['one'])
  t.deepEqual(on(prefix('192.168.0.2/32'), prefix('fd00::3/128')), ['one', 'six'])
  t.deepEqual(on(prefix('192.168.0.0/16')), ['one', 'two'])
  t.deepEqual(on(prefix('0.0.0.0/0')), ['one', 'two'])
  t.deepEqual(on(prefix('::/0')), ['two', 'six'])
  t.deepEqual(on(6), ['two', 'six'])
  t.deepEqual(on(prefix('10.0.0.0/8'), prefix('fd00::4/128')), [])
})

test('judgeEvent() sees a size or a source that somebody gave a route of ours', (t) => {
  t.true(trouble({ kind: 'route', gone: false, route: { ...kernelRoute, mtu: 1200 } }))
  const source = ip('10.5.1.1')
  t.true(trouble({ kind: 'route', gone: false, route: { ...kernelRoute, source } }))
})

test('Doubts: many ways are all ways', (t) => {
  const doubts = new Doubts()
  for (let n = 0; n < 11_000; n++) {
    doubts.take({ kind: 'paths', to: prefix(`10.${n >> 8}.${n & 255}.0/24`) })
  }
  t.true(doubts.paths.length < 11_000)
  t.true(doubts.paths.includes(4) && doubts.paths.includes(6))
})

const found = link

test('planDevice() leaves a device alone that is as wanted', (t) => {
  t.is(planDevice(device, found, 2).kind, 'fine')
})

test('planDevice() changes in place what the kernel lets it', (t) => {
  const changes = [{ mac: peerMac }, { mtu: 1400 }, { up: false }, { master: 4 }, { name: 'other' }]
  for (const change of changes) {
    t.is(planDevice(device, { ...found, ...change }, 2).kind, 'change', JSON.stringify(change))
  }
  for (const change of [{ link: 7 }, { local: ip('192.168.0.7') }, { learning: true }]) {
    const plan = planDevice(device, { ...found, vxlan: { ...vxlan, ...change } }, 2)
    t.is(plan.kind, 'change', Object.keys(change).join())
  }
})

test('planDevice() makes a device anew for whatever else differs', (t) => {
  t.is(planDevice(device, undefined, 2).kind, 'create')
  const differences = [{ id: 2 }, { local: ip('fd00::1') }, { port: 4789 }, { gbp: true }]
  for (const change of [...differences, { group: ip('239.1.1.1') }]) {
    const plan = planDevice(device, { ...found, vxlan: { ...vxlan, ...change } }, 2)
    t.is(plan.kind, 'create', JSON.stringify(Object.keys(change)))
  }
})

test('planDevice() touches no interface of another kind', (t) => {
  const error = t.throws(() => planDevice(device, { ...link, kind: 'bridge' }, 2), {
    name: 'DeviceConflictError',
  })
  t.regex(error.message, /^interface flannel\.1 exists and is no vxlan device but bridge/)
})
