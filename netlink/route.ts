import { type Address, addressBits, type Family, formatAddress } from '../ip/address.ts'
import { firstAddress, formatPrefix, type Prefix } from '../ip/prefix.ts'
import { afOf, familyOf, unspecified } from './codec/family.ts'
import {
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  type Request,
} from './codec/message.ts'
import {
  type Hop,
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  RT_SCOPE_NOWHERE,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_MAIN,
  RTM_DELROUTE,
  RTM_GETROUTE,
  RTM_NEWROUTE,
  RTNH_F_ONLINK,
  routeTable,
  routeTypes,
  rtmsg,
} from './codec/route.ts'
import { decodeBody, encodeBody } from './codec/struct.ts'
import type { Given } from './codec/table.ts'
import { ENOENT } from './errors.ts'
import { present } from './present.ts'

export type RouteType = keyof typeof routeTypes

/** RTPROT_BOOT: what a route has whose maker gave no protocol. */
export const RTPROT_BOOT = 3

/** A route, to be made or as the kernel describes it. */
export interface Route {
  readonly destination: Prefix
  readonly gateway?: Address
  /** Index of the interface packets leave by. */
  readonly oif?: number
  /** The gateway is on `oif`, whatever the other routes say. */
  readonly onlink?: true
  /** RTPROT_*: who made it. Absent when made: boot. */
  readonly protocol?: number
  /** Absent when made: main, 254. */
  readonly table?: number
  /** RT_SCOPE_*, IPv4 only. Absent when made: by gateway and type, as iproute2 does. */
  readonly scope?: number
  /** The lower wins. Absent when made: 0 for IPv4, which the kernel makes 1024 for IPv6. */
  readonly priority?: number
  /** The address that packets of this host's own get by this route (RTA_PREFSRC). */
  readonly source?: Address
  /** Bytes; both are the route's metrics (RTA_METRICS). */
  readonly mtu?: number
  readonly advmss?: number
  /** Absent: unicast. */
  readonly type?: RouteType
  /** Several ways to one destination; then `gateway` and `oif` are absent. */
  readonly hops?: readonly Hop[]
}

/** `ip route add`. EEXIST if there is one with the same destination, table and priority. */
export function addRoute(route: Route): Request {
  return newRoute(route, NLM_F_CREATE | NLM_F_EXCL, 'add')
}

/** `ip route replace`: instead of the one with the same destination, table and priority, if any. */
export function replaceRoute(route: Route): Request {
  return newRoute(route, NLM_F_CREATE | NLM_F_REPLACE, 'replace')
}

/** `ip route prepend`: before those there are, so that for IPv4 this one counts. EEXIST if it is there. */
export function prependRoute(route: Route): Request {
  return newRoute(route, NLM_F_CREATE, 'prepend')
}

/** `ip route append`: beside those there are, which for IPv6 makes one route of several ways. */
export function appendRoute(route: Route): Request {
  return newRoute(route, NLM_F_CREATE | NLM_F_APPEND, 'append')
}

function newRoute(route: Route, flags: number, verb: string): Request {
  const { protocol = RTPROT_BOOT, scope = usualScope(route), type = 'unicast', onlink } = route
  const header = {
    ...headerOf(route),
    protocol,
    scope,
    type: routeTypes[type],
    flags: onlink ? RTNH_F_ONLINK : 0,
  }
  const body = encodeBody(rtmsg, header, routeTable, attrsOf(route))
  return { type: RTM_NEWROUTE, flags, body, op: `${verb} route ${describe(route)}` }
}

/**
 * `ip route del`: the first route that is like this in all that is given; ESRCH if there is none.
 * The kernel compares destination, table, priority, protocol, type, scope, gateway, link, source
 * and metrics.
 */
export function deleteRoute(route: Route): Request {
  const { protocol, scope = RT_SCOPE_NOWHERE, type = 'unspec' } = route
  const header = { ...headerOf(route), protocol, scope, type: routeTypes[type] }
  const body = encodeBody(rtmsg, header, routeTable, attrsOf(route))
  return { type: RTM_DELROUTE, flags: 0, body, op: `delete route ${describe(route)}` }
}

/** What a dump of routes may be narrowed to; the kernel does it. */
export interface RouteFilter {
  readonly family: Family
  readonly table?: number | undefined
  readonly protocol?: number | undefined
  readonly oif?: number | undefined
  readonly type?: RouteType | undefined
}

/** For a dump: the routes of a family. Empty, not an error, if there is no such table. */
export function listRoutes({ family, table, protocol, oif, type }: RouteFilter): Request<Route> {
  const header = { family: afOf(family), protocol, type: type && routeTypes[type] }
  return {
    type: RTM_GETROUTE,
    flags: 0,
    body: encodeBody(rtmsg, header, routeTable, { table, oif }),
    op: `list IPv${family} routes`,
    decode,
    // A namespace has no main table before its first route.
    noneErrno: ENOENT,
  }
}

/** `ip route get`: the way that a packet to this address takes. ENETUNREACH if there is none. */
export function getRoute(destination: Address): Request<Route> {
  const destinationLength = addressBits(destination.family)
  const header = { family: afOf(destination.family), destinationLength }
  return {
    type: RTM_GETROUTE,
    flags: 0,
    body: encodeBody(rtmsg, header, routeTable, { destination }),
    op: `get route to ${formatAddress(destination)}`,
    decode,
  }
}

function decode(_type: number, payload: Uint8Array): Route | undefined {
  return decodeRoute(payload)
}

/**
 * Reads RTM_NEWROUTE or RTM_DELROUTE; undefined for a family that is not IP. Throws `RangeError` on
 * bytes it cannot be.
 */
export function decodeRoute(payload: Uint8Array): Route | undefined {
  const { header, attrs } = decodeBody(rtmsg, routeTable, payload)
  const family = familyOf(header.family)
  if (!family) return undefined
  const address = attrs.destination ?? unspecified(family)
  if (address.family !== family || header.destinationLength > addressBits(family)) {
    throw new RangeError(`route has no IPv${family} destination`)
  }
  return present({
    destination: { address, length: header.destinationLength },
    gateway: attrs.gateway ?? attrs.via,
    oif: attrs.oif,
    onlink: header.flags & RTNH_F_ONLINK ? (true as const) : undefined,
    protocol: header.protocol,
    table: attrs.table ?? header.table,
    scope: header.scope,
    priority: attrs.priority,
    source: attrs.source,
    mtu: attrs.metrics?.mtu,
    advmss: attrs.metrics?.advmss,
    type: typeName(header.type),
    hops: attrs.hops,
  })
}

const typeNames = Object.keys(routeTypes) as RouteType[]

function typeName(type: number): RouteType {
  return typeNames[type] ?? 'unspec'
}

function headerOf({ destination, table = RT_TABLE_MAIN }: Route) {
  return {
    family: afOf(destination.address.family),
    destinationLength: destination.length,
    table: table > 255 ? 0 : table,
  }
}

function attrsOf(route: Route): Given<typeof routeTable> {
  const { destination, gateway, oif, priority, source, mtu, advmss, table = 0, hops } = route
  const isOther = gateway && gateway.family !== destination.address.family
  return {
    // The kernel refuses host bits; a route to everywhere has no destination.
    destination: destination.length > 0 ? firstAddress(destination) : undefined,
    [isOther ? 'via' : 'gateway']: gateway,
    oif,
    priority,
    source,
    metrics: mtu === undefined && advmss === undefined ? undefined : present({ mtu, advmss }),
    hops,
    table: table > 255 ? table : undefined,
  }
}

/** As iproute2: on-link networks and a host's own addresses reach no further than that. */
function usualScope({ destination, gateway, hops, type = 'unicast' }: Route): number {
  if (destination.address.family === 6) return RT_SCOPE_UNIVERSE
  if (type === 'local' || type === 'nat') return RT_SCOPE_HOST
  if (type === 'broadcast' || type === 'multicast' || type === 'anycast') return RT_SCOPE_LINK
  return type === 'unicast' && !gateway && !hops ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE
}

function describe({ destination, gateway, oif }: Route): string {
  const via = gateway ? ` via ${formatAddress(gateway)}` : ''
  return `${formatPrefix(destination)}${via}${oif === undefined ? '' : ` on link ${oif}`}`
}
