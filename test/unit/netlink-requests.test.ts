import test from 'ava'
import fc from 'fast-check'
import { type Address, formatAddress, parseAddress } from '../../ip/address.ts'
import { localMac, type Mac, parseMac } from '../../ip/mac.ts'
import { network, type Prefix, parsePrefix } from '../../ip/prefix.ts'
import {
  addAddress,
  decodeAddress,
  deleteAddress,
  listAddresses,
  replaceAddress,
} from '../../netlink/address.ts'
import { addressTable, ifaddrmsg } from '../../netlink/codec/address.ts'
import { ifinfomsg } from '../../netlink/codec/ifinfo.ts'
import { linkTable } from '../../netlink/codec/link.ts'
import type { Request } from '../../netlink/codec/message.ts'
import { ndmsg, neighbourTable } from '../../netlink/codec/neighbour.ts'
import { routeTable, rtmsg } from '../../netlink/codec/route.ts'
import { decodeBody, encodeBody } from '../../netlink/codec/struct.ts'
import { encodeAttrs } from '../../netlink/codec/table.ts'
import { bytes, str } from '../../netlink/codec/wire.ts'
import {
  addLink,
  decodeLink,
  deleteLink,
  getLink,
  listLinks,
  setBridgePort,
  setLink,
} from '../../netlink/link.ts'
import {
  decodeFdb,
  decodeNeighbour,
  deleteFdb,
  deleteNeighbour,
  listFdb,
  listNeighbours,
  replaceFdb,
  replaceNeighbour,
} from '../../netlink/neighbour.ts'
import {
  addRoute,
  appendRoute,
  decodeRoute,
  deleteRoute,
  getRoute,
  listRoutes,
  type Route,
  replaceRoute,
} from '../../netlink/route.ts'

function known<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('a test has a mistake in an address')
  return value
}
const address = (text: string): Address => known(parseAddress(text))
const prefix = (text: string): Prefix => known(parsePrefix(text))
const mac: Mac = known(parseMac('0a:00:00:00:00:01'))

const link = ({ body }: Request<unknown>) => decodeBody(ifinfomsg, linkTable, body)
const addr = ({ body }: Request<unknown>) => decodeBody(ifaddrmsg, addressTable, body)
const route = ({ body }: Request<unknown>) => decodeBody(rtmsg, routeTable, body)
const neighbour = ({ body }: Request<unknown>) => decodeBody(ndmsg, neighbourTable, body)

test('requests say what they do, and to what', (t) => {
  const ten = { index: 3, prefix: prefix('10.0.0.1/24') }
  const entry = { index: 3, mac, destination: address('10.0.0.9') }
  const way: Route = { destination: prefix('10.1.0.0/16'), gateway: address('10.0.0.9'), oif: 3 }
  const requests: readonly Request<unknown>[] = [
    addLink({ kind: 'bridge', name: 'br0' }),
    setLink({ index: 3, up: true }),
    setLink({ index: 3, name: 'eth0' }),
    setBridgePort({ name: 'veth0', hairpin: true }),
    deleteLink({ name: 'br0' }),
    getLink({ index: 3 }),
    listLinks(),
    listLinks({ master: 3 }),
    addAddress(ten),
    replaceAddress(ten),
    deleteAddress(ten),
    listAddresses(),
    listAddresses({ index: 3 }),
    addRoute(way),
    replaceRoute({ destination: prefix('::/0'), gateway: address('fd00::1') }),
    appendRoute({ destination: prefix('10.1.0.0/16'), oif: 3 }),
    deleteRoute(way),
    listRoutes({ family: 6 }),
    getRoute(address('10.0.0.9')),
    replaceNeighbour({ index: 3, address: address('fd00::1'), mac }),
    deleteNeighbour({ index: 3, address: address('fd00::1') }),
    listNeighbours({ family: 4 }),
    replaceFdb(entry),
    deleteFdb(entry),
    listFdb({ index: 3 }),
  ]
  t.deepEqual(
    requests.map(({ op }) => op),
    [
      'add link br0',
      'set link number 3',
      'set link eth0',
      'set bridge port veth0',
      'delete link br0',
      'get link number 3',
      'list links',
      'list ports of bridge 3',
      'add address 10.0.0.1/24 on link 3',
      'replace address 10.0.0.1/24 on link 3',
      'delete address 10.0.0.1/24 from link 3',
      'list addresses',
      'list addresses of link 3',
      'add route 10.1.0.0/16 via 10.0.0.9 on link 3',
      'replace route ::/0 via fd00::1',
      'append route 10.1.0.0/16 on link 3',
      'delete route 10.1.0.0/16 via 10.0.0.9 on link 3',
      'list IPv6 routes',
      'get route to 10.0.0.9',
      'replace neighbour fd00::1 on link 3',
      'delete neighbour fd00::1 from link 3',
      'list IPv4 neighbours',
      'replace fdb entry 0a:00:00:00:00:01 on link 3',
      'delete fdb entry 0a:00:00:00:00:01 from link 3',
      'list fdb entries of link 3',
    ],
  )
})

test('addLink() sends a kind only what belongs to it', (t) => {
  const { attrs } = link(addLink({ kind: 'bridge', name: 'br0', mtu: 1400, stpState: 0 }))
  t.deepEqual(attrs, { name: 'br0', mtu: 1400, info: { kind: 'bridge', bridge: { stpState: 0 } } })
})

test('addLink() can bring the link up in its bridge at once', (t) => {
  const veth = { kind: 'veth', name: 'v', up: true, master: 4, peer: { name: 'e' } } as const
  const { header, attrs } = link(addLink(veth))
  t.like(header, { flags: 1, change: 1 })
  t.deepEqual(attrs, {
    name: 'v',
    master: 4,
    info: { kind: 'veth', veth: { peer: { name: 'e' } } },
  })
})

test('setLink() changes only the flags it was given', (t) => {
  t.like(link(setLink({ index: 3, up: false })).header, { flags: 0, change: 1 })
  t.like(link(setLink({ index: 3, promiscuous: true })).header, { flags: 0x100, change: 0x100 })
  t.like(link(setLink({ index: 3, mtu: 1400 })).header, { flags: 0, change: 0 })
})

test('setLink() sends a name beside an index, which renames, and alone, which finds', (t) => {
  t.like(link(setLink({ index: 3, name: 'eth0' })), {
    header: { index: 3 },
    attrs: { name: 'eth0' },
  })
  t.like(link(setLink({ name: 'eth0' })), { header: { index: 0 }, attrs: { name: 'eth0' } })
})

test('getLink(), deleteLink() and setBridgePort() never rename', (t) => {
  const ref = { index: 3, name: 'eth0' }
  for (const request of [getLink(ref), deleteLink(ref), setBridgePort({ ...ref, hairpin: true })]) {
    t.is(link(request).attrs.name, undefined)
  }
  t.is(link(getLink({ name: 'eth0' })).attrs.name, 'eth0')
})

test('listLinks() leaves counters out and can ask for the ports of a bridge', (t) => {
  t.deepEqual(link(listLinks({ master: 4 })).attrs, { master: 4, extMask: 8 })
})

function linkMessage(attrs: Parameters<typeof encodeAttrs<typeof linkTable>>[1]): Uint8Array {
  return encodeBody(ifinfomsg, { index: 9, flags: 0x41 }, linkTable, attrs)
}

test('decodeLink() has no key for what the kernel did not say', (t) => {
  t.deepEqual(decodeLink(linkMessage({ name: 'sit0', mtu: 1480 })), {
    index: 9,
    name: 'sit0',
    mtu: 1480,
    up: true,
    running: true,
    promiscuous: false,
    operstate: 0,
  })
})

test('decodeLink() reads a link whose address is not a MAC address', (t) => {
  const tunnel = { mac: { type: 1, wire: bytes }, name: { type: 3, wire: str } } as const
  const attrs = { mac: Uint8Array.of(10, 0, 0, 1), name: 'tunl0' }
  const read = decodeLink(encodeBody(ifinfomsg, {}, tunnel, attrs))
  t.is(read.name, 'tunl0')
  t.false('mac' in read)
})

test('decodeLink() knows other kinds by name only', (t) => {
  for (const kind of ['ipvlan', 'toString', '']) {
    const info = { kind: { type: 1, wire: str }, data: { type: 2, wire: bytes } } as const
    const payload = encodeAttrs(info, { kind, data: Uint8Array.of(1, 2, 3) })
    const table = { info: { type: 18, wire: bytes } } as const
    const read = decodeLink(encodeBody(ifinfomsg, {}, table, { info: payload }))
    t.is(read.kind, kind)
  }
})

const uint = (bits: number) => fc.integer({ min: 0, max: 2 ** bits - 1 })
const ipv4 = uint(32).map((value): Address => ({ family: 4, value: BigInt(value) }))
const ipv6 = fc
  .bigInt({ min: 0n, max: 2n ** 128n - 1n })
  .map((value): Address => ({ family: 6, value }))
const anyAddress = fc.oneof(ipv4, ipv6)

test('decodeLink() reads a vxlan as addLink() writes it', (t) => {
  const vxlan = fc.record(
    {
      id: uint(24),
      link: uint(31),
      local: anyAddress,
      group: anyAddress,
      ttl: uint(8),
      learning: fc.boolean(),
      port: uint(16),
      sourcePorts: fc.record({ low: uint(16), high: uint(16) }, { noNullPrototype: true }),
      label: uint(20),
      gbp: fc.boolean(),
      gpe: fc.boolean(),
    },
    { requiredKeys: ['id', 'gbp', 'gpe'], noNullPrototype: true },
  )
  fc.assert(
    fc.property(vxlan, (data) => {
      const { body } = addLink({ kind: 'vxlan', name: 'vx', ...data })
      t.deepEqual(decodeLink(body).vxlan, data)
    }),
  )
  t.pass()
})

test('addAddress() gives an IPv4 network its broadcast address, where it has one', (t) => {
  for (const [text, expected] of [
    ['10.1.2.3/24', '10.1.2.255'],
    ['10.1.2.1/30', '10.1.2.3'],
    ['10.1.2.2/31', undefined],
    ['10.1.2.3/32', undefined],
    ['fd00::1/64', undefined],
  ] as const) {
    const { broadcast } = addr(addAddress({ index: 3, prefix: prefix(text) })).attrs
    t.is(broadcast && formatAddress(broadcast), expected, text)
  }
  const own = { index: 3, prefix: prefix('10.1.2.3/24'), broadcast: address('10.1.2.0') }
  t.deepEqual(addr(addAddress(own)).attrs.broadcast, address('10.1.2.0'))
})

test('decodeAddress() reads an address as addAddress() writes it', (t) => {
  const peer = address('10.0.0.9')
  const { body } = addAddress({
    index: 3,
    prefix: prefix('10.0.0.1/32'),
    peer,
    scope: 253,
    noPrefixRoute: true,
  })
  t.deepEqual(decodeAddress(body), {
    index: 3,
    prefix: prefix('10.0.0.1/32'),
    peer,
    scope: 253,
    tentative: false,
    dadFailed: false,
    temporary: false,
    deprecated: false,
    permanent: false,
    noPrefixRoute: true,
  })
})

test('decodeAddress() tells the states of an address apart', (t) => {
  const attrs = { address: address('fd00::1') }
  for (const [flags, key] of [
    [0x01, 'temporary'],
    [0x08, 'dadFailed'],
    [0x20, 'deprecated'],
    [0x40, 'tentative'],
    [0x80, 'permanent'],
  ] as const) {
    const header = { family: 10, prefixLength: 64, flags }
    const read = decodeAddress(encodeBody(ifaddrmsg, header, addressTable, attrs))
    t.true(read?.[key], key)
    // IFA_FLAGS has the last word.
    const whole = encodeBody(ifaddrmsg, header, addressTable, { ...attrs, flags: 0x200 })
    t.like(decodeAddress(whole), { [key]: false, noPrefixRoute: true })
  }
})

test('decodeAddress() leaves other families alone and refuses a message without an address', (t) => {
  const body = (family: number, given: Address | undefined) =>
    encodeBody(ifaddrmsg, { family }, addressTable, { address: given })
  t.is(decodeAddress(body(28, undefined)), undefined)
  t.throws(() => decodeAddress(body(2, undefined)), { instanceOf: RangeError })
  t.throws(() => decodeAddress(body(2, address('fd00::1'))), { instanceOf: RangeError })
})

test('listAddresses() filters by link and family in the header', (t) => {
  t.like(addr(listAddresses({ index: 3, family: 6 })).header, { index: 3, family: 10 })
  t.like(addr(listAddresses()).header, { index: 0, family: 0 })
})

test('decodeRoute() reads a route as addRoute() writes it', (t) => {
  const routes = fc.constantFrom(ipv4, ipv6).chain((family) =>
    fc.record(
      {
        destination: fc
          .tuple(family, uint(5))
          .map(([value, length]) => network({ address: value, length })),
        gateway: anyAddress,
        oif: uint(31),
        onlink: fc.constant(true as const),
        protocol: uint(8),
        table: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
        scope: uint(8),
        priority: uint(32),
        source: family,
        mtu: uint(16),
        advmss: uint(16),
        type: fc.constantFrom('unicast', 'blackhole', 'throw', 'local'),
        hops: fc.array(
          fc.record(
            {
              gateway: family,
              oif: uint(31),
              weight: fc.integer({ min: 1, max: 256 }),
              flags: uint(8),
            },
            { requiredKeys: ['oif', 'weight', 'flags'], noNullPrototype: true },
          ),
          { maxLength: 3 },
        ),
      },
      {
        requiredKeys: ['destination', 'protocol', 'table', 'scope', 'type'],
        noNullPrototype: true,
      },
    ),
  )
  fc.assert(
    fc.property(routes, (given) => {
      t.deepEqual(decodeRoute(addRoute(given as Route).body), given as Route)
    }),
  )
  t.pass()
})

test('addRoute() chooses a scope as iproute2 does', (t) => {
  const destination = prefix('10.1.0.0/16')
  const gateway = address('10.0.0.1')
  for (const [given, scope] of [
    [{ destination, oif: 3 }, 253],
    [{ destination, gateway }, 0],
    [{ destination, hops: [{ gateway, oif: 3, weight: 1, flags: 0 }] }, 0],
    [{ destination, type: 'blackhole' }, 0],
    [{ destination, type: 'local' }, 254],
    [{ destination, type: 'multicast' }, 253],
    [{ destination, oif: 3, scope: 0 }, 0],
    [{ destination: prefix('fd00::/64'), oif: 3 }, 0],
  ] as const) {
    t.is(route(addRoute(given)).header.scope, scope)
  }
})

test('addRoute() clears host bits and sends no destination for everywhere', (t) => {
  const { attrs, header } = route(addRoute({ destination: prefix('10.1.2.3/16'), oif: 3 }))
  t.deepEqual(attrs.destination, address('10.1.0.0'))
  t.like(header, { destinationLength: 16, table: 254, protocol: 3, type: 1 })
  t.is(route(addRoute({ destination: prefix('::/0'), oif: 3 })).attrs.destination, undefined)
})

test('deleteRoute() compares only what it was given', (t) => {
  const { header } = route(deleteRoute({ destination: prefix('10.1.0.0/16') }))
  t.like(header, { protocol: 0, scope: 255, type: 0, table: 254 })
})

test('decodeRoute() leaves other families alone and refuses a destination that cannot be', (t) => {
  const body = (header: object, destination?: Address) =>
    encodeBody(rtmsg, header, routeTable, { destination })
  t.is(decodeRoute(body({ family: 28 })), undefined)
  t.throws(() => decodeRoute(body({ family: 2, destinationLength: 33 })), {
    instanceOf: RangeError,
  })
  t.throws(() => decodeRoute(body({ family: 2 }, address('fd00::1'))), { instanceOf: RangeError })
  t.is(decodeRoute(body({ family: 2, type: 77 }))?.type, 'unspec')
})

test('decodeRoute() refuses ways that overrun the route', (t) => {
  const table = { hops: { type: 9, wire: bytes } } as const
  for (const hops of [
    [7, 0, 0, 0],
    [7, 0, 0, 0, 1, 0, 0, 0],
    [99, 0, 0, 0, 1, 0, 0, 0],
  ]) {
    const body = encodeBody(rtmsg, { family: 2 }, table, { hops: Uint8Array.from(hops) })
    t.throws(() => decodeRoute(body), { instanceOf: RangeError })
  }
})

test('listRoutes() filters by what the kernel checks strictly', (t) => {
  const { header, attrs } = route(
    listRoutes({ family: 4, table: 1000, protocol: 104, oif: 3, type: 'unicast' }),
  )
  t.like(header, { family: 2, table: 0, protocol: 104, type: 1, scope: 0, destinationLength: 0 })
  t.deepEqual(attrs, { table: 1000, oif: 3 })
})

test('listNeighbours() and listFdb() filter by attribute, not by header', (t) => {
  t.deepEqual(neighbour(listNeighbours({ family: 6, index: 3 })), {
    header: { family: 10, index: 0, state: 0, flags: 0, type: 0 },
    attrs: { ifindex: 3 },
  })
  t.deepEqual(neighbour(listFdb({ index: 3 })), {
    header: { family: 7, index: 0, state: 0, flags: 0, type: 0 },
    attrs: { ifindex: 3 },
  })
})

test('decodeNeighbour() and decodeFdb() read entries as they are written', (t) => {
  const macs = fc.uint8Array({ minLength: 6, maxLength: 6 }).map(localMac)
  fc.assert(
    fc.property(anyAddress, macs, uint(31), (destination, of, index) => {
      t.deepEqual(
        decodeNeighbour(replaceNeighbour({ index, address: destination, mac: of }).body),
        {
          ...{ index, address: destination, mac: of, permanent: true },
        },
      )
      t.deepEqual(decodeFdb(replaceFdb({ index, mac: of, destination }).body), {
        ...{ index, mac: of, destination, self: true, permanent: true },
      })
    }),
  )
  t.pass()
})

test('decodeNeighbour() reads an entry that is not resolved, and refuses one without an address', (t) => {
  const body = (destination?: Address) =>
    encodeBody(ndmsg, { family: 2, index: 3, state: 1 }, neighbourTable, { destination })
  t.deepEqual(decodeNeighbour(body(address('10.0.0.1'))), {
    index: 3,
    address: address('10.0.0.1'),
    permanent: false,
  })
  t.throws(() => decodeNeighbour(body()), { instanceOf: RangeError })
  t.throws(() => decodeFdb(body()), { instanceOf: RangeError })
})
