import test from 'ava'
import type { Uplink } from '../../daemon/backend/backend.ts'
import type { UplinkChoice, UplinkFacts } from '../../daemon/uplink/uplink.ts'
import { UplinkWatch } from '../../daemon/uplink/uplink-watch.ts'
import { type Address, formatAddress, parseAddress } from '../../ip/address.ts'
import type { ByFamily } from '../../ip/by-family.ts'
import { parsePrefix } from '../../ip/prefix.ts'
import type { InterfaceAddress } from '../../netlink/address.ts'
import { EINTR, NetlinkError } from '../../netlink/errors.ts'
import type { KernelEvent } from '../../netlink/events.ts'
import type { Link } from '../../netlink/link.ts'

function ip(text: string): Address {
  const value = parseAddress(text)
  if (!value) throw new Error(text)
  return value
}

function link(index: number, name: string, mtu = 1500): Link {
  return { index, name, mtu, up: true, running: true, operstate: 6, promiscuous: false }
}

function address(
  index: number,
  text: string,
  more: Partial<InterfaceAddress> = {},
): InterfaceAddress {
  const prefix = parsePrefix(text)
  if (!prefix) throw new Error(text)
  const flags = { scope: 0, permanent: true, temporary: false, deprecated: false }
  const others = { noPrefixRoute: false, tentative: false, dadFailed: false }
  return { index, prefix, ...flags, ...others, ...more }
}

const facts: UplinkFacts = {
  links: [link(2, 'eth0'), link(3, 'eth1')],
  addresses: [address(2, '192.168.0.1/24'), address(3, '172.16.0.1/24')],
  defaults: { 4: [2, 3] },
  reach: {},
}
const present: ByFamily<Uplink> = {
  4: { index: 2, name: 'eth0', mtu: 1500, address: ip('192.168.0.1'), publicIP: ip('192.168.0.1') },
}
const byDefault: UplinkChoice = { ifaces: [], regexes: [], canReach: undefined, publicIP: {} }

/** A watch over a host that the test changes, with a clock that it moves. */
function watchOf(choice: Partial<UplinkChoice> = {}) {
  const host = { facts, now: 0, reads: 0, failure: undefined as Error | undefined }
  const watch = new UplinkWatch({
    choice: { ...byDefault, ...choice },
    read: () => {
      host.reads++
      if (host.failure) throw host.failure
      return host.facts
    },
    now: () => host.now,
  })
  watch.look(present)
  const look = (changed: Partial<UplinkFacts> = {}, from = present): string => {
    host.facts = { ...facts, ...changed }
    watch.onLost()
    const { uplinks } = watch.look(from)
    const { name, index, mtu, address: own } = uplinks[4] ?? present[4] ?? {}
    return uplinks === from ? 'same' : `${name} ${index} ${mtu} ${own && formatAddress(own)}`
  }
  return { host, watch, look }
}

test('UplinkWatch reads the host only when there is a reason to', (t) => {
  const { host, watch } = watchOf()
  t.is(host.reads, 1)
  t.is(watch.look(present).uplinks, present)
  t.is(host.reads, 1)
  const event = (index: number): KernelEvent => ({
    kind: 'address',
    gone: false,
    address: address(index, '10.0.0.1/24'),
  })
  t.false(watch.onEvents([event(9)], present))
  watch.look(present)
  t.is(host.reads, 1)
  t.true(watch.onEvents([event(2)], present))
  watch.look(present)
  t.is(host.reads, 2)
})

test('UplinkWatch hears of its links by index and by name, and of default routes', (t) => {
  const { watch } = watchOf()
  const linked = (one: Link): KernelEvent => ({ kind: 'link', gone: false, link: one })
  const routed = (text: string): KernelEvent => {
    const destination = parsePrefix(text)
    if (!destination) throw new Error(text)
    return { kind: 'route', gone: true, route: { destination } }
  }
  t.true(watch.onEvents([linked(link(2, 'eth0', 1400))], present))
  t.true(watch.onEvents([linked(link(7, 'eth0'))], present))
  t.false(watch.onEvents([linked(link(8, 'veth8'))], present))
  t.true(watch.onEvents([routed('0.0.0.0/0')], present))
  t.false(watch.onEvents([routed('10.244.7.0/24')], present))
  t.false(watchOf({ ifaces: ['eth0'] }).watch.onEvents([routed('0.0.0.0/0')], present))
  const reach = watchOf({ canReach: ip('10.9.9.9') }).watch
  t.true(reach.onEvents([routed('10.9.0.0/16')], present))
  t.false(reach.onEvents([routed('10.8.0.0/16')], present))
})

test('UplinkWatch follows another address, MTU and index of the same interface at once', (t) => {
  const { look } = watchOf()
  t.is(look(), 'same')
  t.is(look({ addresses: [address(2, '192.168.0.9/24')] }), 'eth0 2 1500 192.168.0.9')
  t.is(look({ links: [link(2, 'eth0', 1400), link(3, 'eth1')] }), 'eth0 2 1400 192.168.0.1')
  const again = { links: [link(9, 'eth0')], addresses: [address(9, '192.168.0.1/24')] }
  t.is(look({ ...again, defaults: { 4: [9] } }), 'eth0 9 1500 192.168.0.1')
})

test('UplinkWatch keeps the address in use while the interface has it, whatever else comes', (t) => {
  const { look } = watchOf()
  const better = address(2, '192.168.0.0/24')
  const [first] = facts.addresses
  t.is(look({ addresses: first ? [better, first] : [] }), 'same')
  t.is(look({ defaults: { 4: [3, 2] } }), 'same')
})

test('UplinkWatch keeps what it has while there is nothing else, and says so', (t) => {
  const { look, watch } = watchOf({ ifaces: ['eth0'] })
  t.is(look({ addresses: [address(3, '172.16.0.1/24')] }), 'same')
  t.is(watch.problem, 'no IPv4 address on an interface that is eth0: eth0 stays in use')
  t.is(look({ addresses: [address(2, '192.168.0.1/24', { tentative: true })] }), 'same')
  t.is(look(), 'same')
  t.is(watch.problem, undefined)
})

test('UplinkWatch moves to another interface only when that stays the better one', (t) => {
  const { host, look, watch } = watchOf()
  const gone = { addresses: [address(3, '172.16.0.1/24')] }
  t.is(look(gone), 'same')
  host.now = 4_000
  t.is(look(gone), 'same')
  t.is(look(), 'same')
  host.now = 8_000
  t.is(look(gone), 'same')
  host.now = 12_999
  t.is(watch.look(present).againMs, 1)
  host.now = 13_000
  t.is(look(gone), 'eth1 3 1500 172.16.0.1')
})

test('UplinkWatch offers what could not be used again only after a while, or when it has come anew', (t) => {
  const { host, look, watch } = watchOf()
  const other = { addresses: [address(2, '192.168.0.9/24')] }
  const own = present[4]
  if (!own) throw new Error('no uplink')
  const rejected = { 4: { ...own, address: ip('192.168.0.9'), publicIP: ip('192.168.0.9') } }
  watch.reject(rejected, 'because')
  t.is(look(other), 'same')
  t.is(watch.problem, 'because')
  host.now = 10_000
  t.is(watch.look(present).againMs, 20_000)
  t.is(look({ addresses: [address(2, '192.168.0.8/24')] }), 'eth0 2 1500 192.168.0.8')
  t.is(watch.problem, undefined)
  // There were others between.
  t.is(look(other), 'eth0 2 1500 192.168.0.9')
  watch.reject(rejected, 'because')
  t.is(look(other), 'same')
  t.is(look(), 'same')
  t.is(look(other), 'eth0 2 1500 192.168.0.9')
  watch.reject(rejected, 'because')
  t.is(look(other), 'same')
  host.now = 40_000
  // No event tells of it.
  t.deepEqual(watch.look(present).uplinks, rejected)
  t.is(watch.problem, undefined)
  t.is(watch.look(present).againMs, undefined)
})

test('UplinkWatch keeps what it has while the host cannot be looked at, and looks again', (t) => {
  const { host, watch } = watchOf()
  const failed = new NetlinkError({ op: 'list links', errno: EINTR, source: 'kernel' })
  host.failure = failed
  watch.onLost()
  for (const _ of [1, 2]) {
    t.deepEqual(watch.look(present), {
      uplinks: present,
      problem: `the interfaces cannot be looked at: ${failed.message}`,
      againMs: 1_000,
    })
  }
  host.failure = undefined
  t.deepEqual(watch.look(present), { uplinks: present })
})
