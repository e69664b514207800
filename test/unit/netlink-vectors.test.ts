import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { formatAddress, isMulticast } from '../../ip/address.ts'
import { formatPrefix } from '../../ip/prefix.ts'
import { decodeAddress } from '../../netlink/address.ts'
import { addressTable, ifaddrmsg, RTM_NEWADDR } from '../../netlink/codec/address.ts'
import { ifinfomsg } from '../../netlink/codec/ifinfo.ts'
import { linkTable } from '../../netlink/codec/link.ts'
import {
  decodeError,
  decodeMessages,
  type Message,
  NLMSG_MIN_TYPE,
} from '../../netlink/codec/message.ts'
import { ndmsg, neighbourTable, RTM_NEWNEIGH } from '../../netlink/codec/neighbour.ts'
import { RTM_NEWROUTE, routeTable, rtmsg } from '../../netlink/codec/route.ts'
import { decodeBody } from '../../netlink/codec/struct.ts'
import { decodeEvents, type KernelEvent } from '../../netlink/events.ts'
import { decodeLink } from '../../netlink/link.ts'
import { decodeFdb, decodeNeighbour } from '../../netlink/neighbour.ts'
import { decodeRoute } from '../../netlink/route.ts'
import { requestCases, undoCases } from '../vectors/netlink/cases.ts'
import {
  type NameOf,
  type PrintedAddresses,
  type PrintedFdb,
  type PrintedLink,
  type PrintedNeighbour,
  type PrintedRoute,
  readAddresses,
  readFdb,
  readLink,
  readRoute,
  writeAddress,
  writeFdb,
  writeLink,
  writeNeighbour,
  writeRoute,
} from '../vectors/netlink/iproute2.ts'

interface Recorded {
  readonly requests: readonly {
    readonly name: string
    readonly theirs: string
    readonly ours: { readonly type: number; readonly flags: number; readonly body: string }
  }[]
  readonly replies: readonly Reply[]
  readonly errors: readonly Reply[]
  readonly events: { readonly received: readonly string[] }
}

interface Reply {
  readonly name: string
  readonly received: readonly string[]
  readonly printed: unknown
}

const file = join(import.meta.dirname, '../vectors/netlink/recorded.json')
const recorded = JSON.parse(readFileSync(file, 'utf8')) as Recorded

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'))
}

/** A request by its meaning. The connection, not the builder, sets NLM_F_REQUEST and NLM_F_ACK. */
function meaning({ type, flags, payload }: Pick<Message, 'type' | 'flags' | 'payload'>): object {
  const about = { type, flags: flags & ~5 }
  if (type < RTM_NEWADDR) return { ...about, ...decodeBody(ifinfomsg, linkTable, payload) }
  if (type < RTM_NEWROUTE) return { ...about, ...decodeBody(ifaddrmsg, addressTable, payload) }
  if (type < RTM_NEWNEIGH) return { ...about, ...decodeBody(rtmsg, routeTable, payload) }
  return { ...about, ...decodeBody(ndmsg, neighbourTable, payload) }
}

/** Where we say the same in other words, by our words. */
const differences: Readonly<Record<string, object>> = {
  // The number of the descriptor.
  'veth with its peer born in another namespace': {
    attrs: { info: { veth: { peer: { netnsFd: 7 } } } },
  },
  // iproute2 gives "bridge_slave" as the link's own kind, which the kernel overlooks.
  'bridge port': { attrs: { info: { kind: undefined, port: { hairpin: true, isolated: true } } } },
  // iproute2 puts flags below 256 in the header, where there is room for eight of them.
  'IPv6 address': { header: { flags: 0 }, attrs: { flags: 2 } },
  // iproute2 adds NUD_NOARP to an entry that is permanent, and to what it deletes.
  'forwarding entry to IPv4': { header: { state: 128 } },
  'forwarding entry to IPv6': { header: { state: 128 } },
  'forwarding entry for floods': { header: { state: 128 } },
  'IPv4 neighbour deleted': { header: { state: 0 } },
  'forwarding entry deleted': { header: { state: 0 } },
}

/** Puts the values of `patch` over those of `base`, key by key; undefined takes a key away. */
function patched(base: unknown, patch: object | undefined): unknown {
  if (!patch) return base
  const result = { ...(base as Record<string, unknown>) }
  for (const [key, value] of Object.entries(patch)) {
    if (value === undefined) delete result[key]
    else result[key] = typeof value === 'object' ? patched(result[key], value as object) : value
  }
  return result
}

for (const { name, ours } of [...requestCases, ...undoCases]) {
  test(`requests: ${name} is as iproute2 asks for it, and as approved`, (t) => {
    const vector = recorded.requests.find((candidate) => candidate.name === name)
    const theirs = decodeMessages(bytes(vector?.theirs ?? ''))[0]
    if (!vector || !theirs) return t.fail('not recorded: run test/vectors/netlink/capture.ts')
    const { type, flags, body } = ours
    t.deepEqual(
      meaning({ type, flags, payload: body }),
      patched(meaning(theirs), differences[name]),
    )
    const { ours: approved } = vector
    t.deepEqual(
      { type, flags, body: Buffer.from(body).toString('hex') },
      { type: approved.type, flags: approved.flags, body: approved.body },
    )
  })
}

function reply(name: string): Reply {
  const found = [...recorded.replies, ...recorded.errors].find((each) => each.name === name)
  if (!found) throw new Error(`${name} is not recorded`)
  return found
}

function messages(name: string): Message[] {
  return reply(name).received.flatMap((hex) => decodeMessages(bytes(hex)))
}

/** The answers to a question as `decode` reads them. */
function answers<T>(name: string, decode: (payload: Uint8Array) => T | undefined): T[] {
  const objects = messages(name).filter(({ type }) => type >= NLMSG_MIN_TYPE)
  return objects.flatMap(({ payload }) => decode(payload) ?? [])
}

const links = answers('links', decodeLink)
const nameOf: NameOf = (index) => links.find((link) => link.index === index)?.name

for (const name of ['links', 'ports of a bridge']) {
  test(`decodeLink() reads ${name} as iproute2 does`, (t) => {
    const expected = (reply(name).printed as readonly PrintedLink[]).map(readLink)
    t.true(expected.length > 0)
    // A bridge's number is asked for before its ports are.
    const found = answers(name, decodeLink).slice(-expected.length)
    t.deepEqual(
      found.map((link) => writeLink(link, nameOf)),
      expected,
    )
  })
}

test('decodeAddress() reads addresses as iproute2 does', (t) => {
  // The kernel answers by family, iproute2 prints by link.
  const byLink = answers('addresses', decodeAddress).toSorted((a, b) => a.index - b.index)
  const expected = (reply('addresses').printed as readonly PrintedAddresses[]).flatMap(
    readAddresses,
  )
  t.deepEqual(byLink.map(writeAddress), expected)
  t.true(byLink.every(({ permanent }) => permanent))
})

for (const name of ['IPv4 routes', 'IPv6 routes']) {
  test(`decodeRoute() reads ${name} as iproute2 does`, (t) => {
    const found = answers(name, decodeRoute)
    t.deepEqual(
      found.map((route) => writeRoute(route, nameOf)),
      (reply(name).printed as readonly PrintedRoute[]).map(readRoute),
    )
  })
}

test('decodeRoute() reads the answer to a lookup', (t) => {
  const [route] = answers('one route', decodeRoute)
  t.like(route && writeRoute(route, nameOf), {
    dst: '10.244.7.9',
    gateway: '10.244.7.0',
    dev: 'vx4',
    prefsrc: '10.1.0.1',
  })
})

for (const [family, dev] of [
  ['IPv4', 'vx4'],
  ['IPv6', 'vx6'],
]) {
  test(`decodeNeighbour() reads ${family} neighbours as iproute2 does`, (t) => {
    // iproute2 asks for all states and prints what it was asked for.
    const found = answers(`${family} neighbours`, decodeNeighbour).filter(
      ({ index, permanent, address }) =>
        permanent && nameOf(index) === dev && !isMulticast(address),
    )
    const expected = reply(`${family} neighbours`).printed as readonly PrintedNeighbour[]
    t.deepEqual(
      found.map(writeNeighbour),
      expected.map(({ dst, lladdr }) => ({ dst, lladdr })),
    )
  })
}

test('decodeFdb() reads forwarding entries as bridge does', (t) => {
  const found = answers('forwarding entries', decodeFdb)
  t.deepEqual(
    found.map((entry) => writeFdb(entry, nameOf)),
    (reply('forwarding entries').printed as readonly PrintedFdb[]).map(readFdb),
  )
})

test("decodeError() reads the kernel's own words", (t) => {
  const verdicts = ['gateway out of reach', 'address twice'].flatMap(messages).map(decodeError)
  t.deepEqual(verdicts, [
    { errno: 101, text: 'Nexthop has invalid gateway' },
    { errno: 17, text: 'ipv4: Address already assigned' },
  ])
})

function printEvent(event: KernelEvent): string {
  const sign = event.gone ? '-' : '+'
  switch (event.kind) {
    case 'link':
      return `${sign}link ${event.link.name} ${event.link.up ? 'up' : 'down'}`
    case 'port':
      return `${sign}port ${event.port.name} of ${event.port.master}`
    case 'address':
      return `${sign}address ${formatPrefix(event.address.prefix)}`
    case 'route':
      return `${sign}route ${formatPrefix(event.route.destination)} ${event.route.table}`
    case 'neighbour':
      return `${sign}neighbour ${formatAddress(event.neighbour.address)} ${event.neighbour.mac}`
    case 'rule':
      return `${sign}rule IPv${event.family}`
    case 'fdb':
      return `${sign}fdb ${event.fdb.mac}`
  }
}

test('decodeEvents() tells what happened to the links of a namespace', (t) => {
  const events = recorded.events.received.flatMap((hex) => decodeEvents(bytes(hex)))
  const printed = events.map(printEvent)
  // What follows from these by itself, such as local routes, is left out.
  const told = [
    '+link br1 down',
    '+port veth0 of 2',
    '-port veth0 of 2',
    '+link veth0 up',
    '+address 10.2.0.1/24',
    '+link br1 up',
    '+route 10.3.0.0/16 254',
    '+neighbour 10.2.0.2 0e:00:00:00:00:08',
    '-neighbour 10.2.0.2 0e:00:00:00:00:08',
    '-address 10.2.0.1/24',
    '-link br1 down',
  ]
  let from = 0
  for (const text of told) {
    const at = printed.indexOf(text, from)
    t.not(at, -1, `${text} comes after what is before it here`)
    from = at + 1
  }
  t.false(printed.includes('-link veth0 up'), 'a port that leaves its bridge is not gone')
})
