import { type Address, formatAddress, sameAddress } from '../../ip/address.ts'
import type { Mac } from '../../ip/mac.ts'
import { formatPrefix, type Prefix, samePrefix } from '../../ip/prefix.ts'
import type { Route } from '../../netlink/route.ts'

/** rtm_protocol of every route of ours; nobody else's in iproute2's rt_protos. */
export const ROUTE_PROTOCOL = 104

/**
 * One of our own VXLAN devices. All of it but MAC and MTU is fixed when the device is made. Devices
 * go by name: an index is known only when a change is applied.
 */
export interface VxlanDevice {
  readonly name: string
  readonly mac: Mac
  readonly mtu: number
  readonly vni: number
  /** The interface that carries the encapsulated packets, and its address. */
  readonly uplink: string
  readonly local: Address
  readonly port: number
  readonly learning: boolean
  readonly gbp: boolean
}

/** Something in one of the kernel's tables. Each kind has an identity and the rest of its values. */
export type Entry = AddressEntry | NeighbourEntry | FdbEntry | RouteEntry

export interface AddressEntry {
  readonly kind: 'address'
  readonly device: string
  readonly prefix: Prefix
}

/** A permanent neighbour. */
export interface NeighbourEntry {
  readonly kind: 'neighbour'
  readonly device: string
  readonly address: Address
  readonly mac: Mac
}

/** Behind which host a MAC lives: a permanent entry of a VXLAN device. */
export interface FdbEntry {
  readonly kind: 'fdb'
  readonly device: string
  readonly mac: Mac
  readonly destination: Address
}

/** A unicast route in the main table. */
export interface RouteEntry {
  readonly kind: 'route'
  readonly destination: Prefix
  /** Absent only in routes of others: what is reached without a gateway. */
  readonly gateway?: Address
  readonly device: string
  /** The gateway is reached without a route to it. */
  readonly onlink: boolean
  readonly metric: number
  /** rtm_protocol: who made it. */
  readonly protocol: number
  /** It has a source address or a size of its own, which no route of ours has. */
  readonly isOdd?: true
}

/** What the kernel makes of a metric that is not given: none for IPv4, IP6_RT_PRIO_USER for IPv6. */
const defaultMetric = { 4: 0, 6: 1024 } as const

/** A route as we make them. */
export function ourRoute(
  destination: Prefix,
  via: { readonly gateway: Address; readonly device: string; readonly onlink: boolean },
): RouteEntry {
  const metric = defaultMetric[destination.address.family]
  return { kind: 'route', destination, ...via, metric, protocol: ROUTE_PROTOCOL }
}

/** A route as the kernel tells of it, over the device of this name. */
export function routeEntry(route: Route, device: string): RouteEntry {
  const { destination, gateway, onlink = false, protocol = 0, priority } = route
  const isOdd = [route.source, route.mtu, route.advmss].some((value) => value !== undefined)
  return {
    kind: 'route',
    destination,
    ...(gateway && { gateway }),
    device,
    onlink,
    metric: priority ?? defaultMetric[destination.address.family],
    protocol,
    ...(isOdd && { isOdd }),
  }
}

/** What makes it that entry: writing another one with the same id replaces it. */
export function entryId(entry: Entry): string {
  switch (entry.kind) {
    case 'address':
      return `address ${entry.device} ${formatPrefix(entry.prefix)}`
    case 'neighbour':
      return `neighbour ${entry.device} ${formatAddress(entry.address)}`
    case 'fdb':
      return `fdb ${entry.device} ${entry.mac}`
    case 'route':
      return `route ${formatPrefix(entry.destination)} ${entry.metric}`
  }
}

/** Whether all of it is the same; compared field by field, since it is asked for each kernel event. */
export function sameEntry(a: Entry, b: Entry): boolean {
  if (a === b) return true
  if (a.device !== b.device) return false
  if (a.kind === 'address') return b.kind === 'address' && samePrefix(a.prefix, b.prefix)
  if (a.kind === 'neighbour') {
    return b.kind === 'neighbour' && a.mac === b.mac && sameAddress(a.address, b.address)
  }
  if (a.kind === 'fdb') {
    return b.kind === 'fdb' && a.mac === b.mac && sameAddress(a.destination, b.destination)
  }
  return b.kind === 'route' && sameRoute(a, b)
}

function sameRoute(a: RouteEntry, b: RouteEntry): boolean {
  const [one, other] = [a.gateway, b.gateway]
  return (
    samePrefix(a.destination, b.destination) &&
    (one && other ? sameAddress(one, other) : one === other) &&
    a.onlink === b.onlink &&
    a.metric === b.metric &&
    a.protocol === b.protocol &&
    a.isOdd === b.isOdd
  )
}

/** The entry as iproute2 would be told it, the verb left out. */
export function renderEntry(entry: Entry): string {
  switch (entry.kind) {
    case 'address':
      return `address ${formatPrefix(entry.prefix)} dev ${entry.device}`
    case 'neighbour':
      return `neigh ${formatAddress(entry.address)} lladdr ${entry.mac} dev ${entry.device} nud permanent`
    case 'fdb':
      return `fdb ${entry.mac} dev ${entry.device} dst ${formatAddress(entry.destination)} self permanent`
    case 'route': {
      const { destination, gateway, metric, protocol } = entry
      const via = gateway ? ` via ${formatAddress(gateway)}` : ''
      const onlink = entry.onlink ? ' onlink' : ''
      const last = metric === defaultMetric[destination.address.family] ? '' : ` metric ${metric}`
      return `route ${formatPrefix(destination)}${via} dev ${entry.device}${onlink} proto ${protocol}${last}`
    }
  }
}

export function renderDevice(device: VxlanDevice): string {
  return [
    `link ${device.name} address ${device.mac} mtu ${device.mtu} type vxlan id ${device.vni}`,
    `dev ${device.uplink} local ${formatAddress(device.local)} dstport ${device.port}`,
    device.learning ? 'learning' : 'nolearning',
    ...(device.gbp ? ['gbp'] : []),
  ].join(' ')
}
