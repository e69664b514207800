/** The rtnetlink side of the model kernel. */
import { ifaddrmsg } from '../../netlink/codec/address.ts'
import { familyOf } from '../../netlink/codec/family.ts'
import type { Message, Request } from '../../netlink/codec/message.ts'
import { ndmsg } from '../../netlink/codec/neighbour.ts'
import { RTNH_F_ONLINK, routeTable, rtmsg } from '../../netlink/codec/route.ts'
import { decodeAttrs } from '../../netlink/codec/table.ts'
import type { Answer } from './model-kernel.ts'
import { answerLink, linkLine } from './model-link.ts'
import type { Kept, ModelNetns } from './model-netns.ts'
import { bytesKey, errnos, isDump, rawAttrs } from './model-wire.ts'

const loopback = { index: 1, name: 'lo', mac: '00:00:00:00:00:00', mtu: 65536 } as const

export function newNetns(name: string, number: number): ModelNetns {
  const netns: ModelNetns = {
    name,
    fd: 100 + number,
    others: [],
    links: new Map(),
    addresses: [],
    routes: [],
    traffic: [],
    nextIndex: 2,
  }
  netns.links.set(1, { ...loopback, netns, up: false, promiscuous: false, info: {} })
  return netns
}

export function netnsLines({ name, links, addresses, routes, traffic }: ModelNetns): string[] {
  const kept = (what: string, list: readonly Kept[]) =>
    list.map(({ key, index }) => `${name} ${what} on ${index}: ${key}`)
  return [
    ...[...links.values()].map((link) => `${name} ${linkLine(link)}`),
    ...kept('address', addresses),
    ...kept('route', routes),
    ...kept('traffic', traffic),
  ]
}

const ok: Answer = { errno: 0 }

/** RTM_* come in groups of four: new, delete, get, set. */
const groups: Readonly<Record<number, (netns: ModelNetns, message: Message) => Answer>> = {
  16: answerLink,
  20: answerAddress,
  24: answerRouteMessage,
  28: answerNeighbour,
  36: answerTraffic,
  44: answerTraffic,
}
const newObject = 0
const deleteObject = 1

export function answerRoute(netns: ModelNetns, message: Message): Answer {
  try {
    const group = groups[message.type & ~3]
    return group ? group(netns, message) : { errno: errnos.EOPNOTSUPP }
  } catch (error) {
    if (error instanceof RangeError) return { errno: errnos.EINVAL }
    throw error
  }
}

function shown(type: number, kept: readonly Kept[]): Answer {
  const replies = kept.map(({ body }): Request => ({ type, flags: 0, body, op: 'reply' }))
  return { errno: 0, replies }
}

function answerAddress(netns: ModelNetns, { type, flags, payload }: Message): Answer {
  const { index, family, prefixLength } = ifaddrmsg.read(payload)
  if (isDump(flags)) {
    if (index !== 0 && !netns.links.has(index)) return { errno: errnos.ENODEV }
    const wanted = netns.addresses.filter(({ index: on, body }) => {
      return (index === 0 || on === index) && (family === 0 || body[0] === family)
    })
    return shown(20, wanted)
  }
  if (!netns.links.has(index)) return { errno: errnos.ENODEV }
  const local = rawAttrs(payload.subarray(ifaddrmsg.size)).get(2)
  if (!local || familyOf(family) === undefined) return { errno: errnos.EINVAL }
  if (prefixLength > local.length * 8) return { errno: errnos.EINVAL }
  const key = `${bytesKey(local)}/${prefixLength}`
  const found = netns.addresses.find((one) => one.index === index && one.key === key)
  if ((type & 3) === deleteObject) {
    if (!found) return { errno: errnos.EADDRNOTAVAIL }
    netns.addresses = netns.addresses.filter((one) => one !== found)
    return ok
  }
  if (found) return { errno: errnos.EEXIST }
  netns.addresses.push({ key, index, body: payload.slice() })
  return ok
}

function answerRouteMessage(netns: ModelNetns, { type, flags, payload }: Message): Answer {
  const header = rtmsg.read(payload)
  if (isDump(flags)) {
    return shown(
      24,
      netns.routes.filter(({ body }) => header.family === 0 || body[0] === header.family),
    )
  }
  const attrs = decodeAttrs(routeTable, payload.subarray(rtmsg.size))
  const link = netns.links.get(attrs.oif ?? 0)
  const key = bytesKey(payload)
  const found = netns.routes.find((one) => one.key === key)
  if ((type & 3) === deleteObject) {
    if (!found) return { errno: errnos.ESRCH }
    netns.routes = netns.routes.filter((one) => one !== found)
    return ok
  }
  if (!link) return { errno: errnos.ENODEV }
  if (!link.up) return { errno: errnos.ENETDOWN }
  const onlink = (header.flags & RTNH_F_ONLINK) !== 0
  if (attrs.gateway && !onlink && !isReachable(netns, link.index, attrs.gateway)) {
    return { errno: header.family === 2 ? errnos.ENETUNREACH : errnos.EHOSTUNREACH }
  }
  if (found) return { errno: errnos.EEXIST }
  netns.routes.push({ key, index: link.index, body: payload.slice() })
  return ok
}

/** Whether an address of the link or a route over it leads there without another gateway. */
function isReachable(
  { addresses, routes }: ModelNetns,
  index: number,
  gateway: { readonly family: 4 | 6; readonly value: bigint },
): boolean {
  const bits = gateway.family === 4 ? 32 : 128
  const covers = (value: bigint, length: number) =>
    value >> BigInt(bits - length) === gateway.value >> BigInt(bits - length)
  const byAddress = addresses.some(({ index: on, body }) => {
    const { family, prefixLength } = ifaddrmsg.read(body)
    if (on !== index || familyOf(family) !== gateway.family) return false
    const local = rawAttrs(body.subarray(ifaddrmsg.size)).get(2)
    return local !== undefined && covers(BigInt(`0x${bytesKey(local)}`), prefixLength)
  })
  return (
    byAddress ||
    routes.some(({ index: on, body }) => {
      const { family, destinationLength } = rtmsg.read(body)
      const attrs = decodeAttrs(routeTable, body.subarray(rtmsg.size))
      if (on !== index || familyOf(family) !== gateway.family || attrs.gateway) return false
      return covers(attrs.destination?.value ?? 0n, destinationLength)
    })
  )
}

/** Nobody has talked to anybody in this kernel: there are no neighbours. */
function answerNeighbour(netns: ModelNetns, { type, flags, payload }: Message): Answer {
  const { index } = ndmsg.read(payload)
  if (isDump(flags)) return { errno: 0, replies: [] }
  if (index !== 0 && !netns.links.has(index)) return { errno: errnos.ENODEV }
  return (type & 3) === deleteObject ? { errno: errnos.ENOENT } : ok
}

/** struct tcmsg: index, handle, parent and info, 4 bytes each, after 4 of the family. */
const TCMSG_SIZE = 20
/** A link's own qdisc, as it is written in `parent`, and the one that takes what comes in. */
const ROOT = 'ffffffff'
const INGRESS = 'f1ffffff'

function answerTraffic(netns: ModelNetns, { type, flags, payload }: Message): Answer {
  const group = type & ~3
  const index = new DataView(payload.buffer, payload.byteOffset).getInt32(4, true)
  const what = group === 36 ? 'qdisc' : 'filter'
  if (isDump(flags)) {
    const wanted = netns.traffic.filter(({ key, index: on }) => {
      return key.startsWith(what) && (index === 0 || on === index)
    })
    return shown(group, wanted)
  }
  if (!netns.links.has(index)) return { errno: errnos.ENODEV }
  // By parent, which is where it is; a filter also by info, its priority.
  const parent = bytesKey(payload.subarray(12, 16))
  const place = what === 'qdisc' ? parent : `${parent} ${bytesKey(payload.subarray(16, 20))}`
  const isHere = (one: Kept) => one.index === index && one.key.startsWith(`${what} ${place}`)
  const isThere = netns.traffic.some(isHere)
  const isRemoval = (type & 3) === deleteObject
  if (!isRemoval && !hasParent(netns, index, what, parent)) return { errno: errnos.EINVAL }
  if (isRemoval && !isThere) return { errno: errnos.ENOENT }
  if (!isRemoval && (type & 3) !== newObject) return { errno: errnos.EOPNOTSUPP }
  const goesWith = what === 'qdisc' ? belowOf(parent) : () => false
  netns.traffic = netns.traffic.filter((one) => {
    return !isHere(one) && !(one.index === index && goesWith(one.key))
  })
  if (isRemoval) return ok
  const rest = bytesKey(payload.subarray(TCMSG_SIZE))
  netns.traffic.push({ key: `${what} ${place} ${rest}`, index, body: payload.slice() })
  return ok
}

/** Filters are where an ingress qdisc is, and the queue of a class where the link's own qdisc is. */
function hasParent({ traffic }: ModelNetns, index: number, what: string, parent: string): boolean {
  if (what === 'qdisc' && (parent === ROOT || parent === INGRESS)) return true
  const needed = `qdisc ${what === 'qdisc' ? ROOT : INGRESS}`
  return traffic.some((one) => one.index === index && one.key.startsWith(needed))
}

/** What goes with the qdisc in this place: those of its classes, or the filters of what comes in. */
function belowOf(parent: string): (key: string) => boolean {
  if (parent === INGRESS) return (key) => key.startsWith('filter')
  return (key) => parent === ROOT && key.startsWith('qdisc') && !key.startsWith(`qdisc ${INGRESS}`)
}
