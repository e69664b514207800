import test from 'ava'
import {
  type Entry,
  entryId,
  ourRoute,
  type VxlanDevice,
} from '../../daemon/backend/kernel-state.ts'
import { planDevice } from '../../daemon/devices.ts'
import { type EventContext, isTrouble } from '../../daemon/kernel-event.ts'
import { parseAddress } from '../../ip/address.ts'
import { parseMac } from '../../ip/mac.ts'
import { parsePrefix } from '../../ip/prefix.ts'
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
const names = ['', 'lo', 'eth0', 'flannel.1', 'cni0']

function context(usesPaths: boolean): EventContext {
  return {
    devices: [device],
    uplinks: ['eth0'],
    networks: [prefix('10.5.0.0/16')],
    usesPaths,
    nameOf: (index) => names[index],
    wanted: (id) => entries.find((entry) => entryId(entry) === id),
  }
}

function trouble(event: KernelEvent, { usesPaths = false } = {}): boolean {
  return isTrouble(event, context(usesPaths))
}

const link: Link = {
  index: 3,
  name: 'flannel.1',
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

test('isTrouble() takes our own writes for what they are', (t) => {
  t.false(trouble({ kind: 'link', gone: false, link }))
  t.false(trouble({ kind: 'route', gone: false, route: kernelRoute }))
  t.false(trouble({ kind: 'neighbour', gone: false, neighbour: neighbour }))
  t.false(trouble({ kind: 'fdb', gone: false, fdb: fdb }))
})

test('isTrouble() sees each of our own objects go', (t) => {
  t.true(trouble({ kind: 'link', gone: true, link }))
  t.true(trouble({ kind: 'route', gone: true, route: kernelRoute }))
  t.true(trouble({ kind: 'neighbour', gone: true, neighbour: neighbour }))
  t.true(trouble({ kind: 'fdb', gone: true, fdb: fdb }))
})

test('isTrouble() sees them changed', (t) => {
  for (const change of [{ up: false }, { mtu: 1300 }, { mac: peerMac }, { index: 9 }]) {
    t.true(trouble({ kind: 'link', gone: false, link: { ...link, ...change } }))
  }
  const elsewhere = { ...kernelRoute, gateway: ip('10.5.2.9') }
  t.true(trouble({ kind: 'route', gone: false, route: elsewhere }))
  t.true(trouble({ kind: 'neighbour', gone: false, neighbour: { ...neighbour, mac } }))
  const moved = { ...fdb, destination: ip('192.168.0.9') }
  t.true(trouble({ kind: 'fdb', gone: false, fdb: moved }))
})

test('isTrouble() sees what nobody wants on our device', (t) => {
  const surplus = { ...kernelRoute, destination: prefix('10.5.77.0/24') }
  t.true(trouble({ kind: 'route', gone: false, route: surplus }))
  t.false(trouble({ kind: 'route', gone: true, route: surplus }))
})

test('isTrouble() leaves strangers alone, unless they give way to us', (t) => {
  const { onlink: _, ...plain } = kernelRoute
  const theirs = { ...plain, oif: 2, protocol: 4, gateway: ip('192.168.0.9') }
  t.true(trouble({ kind: 'route', gone: true, route: theirs }))
  const apart = { ...theirs, destination: prefix('10.5.88.0/24') }
  t.false(trouble({ kind: 'route', gone: false, route: apart }))
  t.false(trouble({ kind: 'route', gone: false, route: { ...theirs, table: 100 } }))
  t.false(trouble({ kind: 'fdb', gone: true, fdb: { ...fdb, index: 4 } }))
})

test('isTrouble() minds the host’s other routes only where paths matter', (t) => {
  const { onlink: _, ...plain } = kernelRoute
  const other = { ...plain, oif: 2, protocol: 2, destination: prefix('192.168.7.0/24') }
  t.false(trouble({ kind: 'route', gone: false, route: other }))
  t.true(trouble({ kind: 'route', gone: false, route: other }, { usesPaths: true }))
  const local = { ...other, destination: prefix('fe80::/64'), gateway: ip('fe80::1') }
  t.false(trouble({ kind: 'route', gone: false, route: local }, { usesPaths: true }))
})

const vxlan = { id: 1, link: 2, local: ip('192.168.0.1'), port: 8472, learning: false, gbp: false }
const found: Link = { ...link, kind: 'vxlan', vxlan }

test('planDevice() leaves a device alone that is as wanted', (t) => {
  t.is(planDevice(device, found, 2).kind, 'fine')
})

test('planDevice() changes MAC, MTU and state in place', (t) => {
  for (const change of [{ mac: peerMac }, { mtu: 1400 }, { up: false }]) {
    t.is(planDevice(device, { ...found, ...change }, 2).kind, 'change')
  }
})

test('planDevice() makes a device anew for whatever else differs', (t) => {
  t.is(planDevice(device, undefined, 2).kind, 'create')
  const differences = [{ id: 2 }, { link: 7 }, { local: ip('192.168.0.7') }, { port: 4789 }]
  for (const change of [...differences, { learning: true }, { gbp: true }]) {
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
