import { type Family, formatAddress, isLinkLocal } from '../../ip/address.ts'
import { type Prefix, prefixCovers } from '../../ip/prefix.ts'
import type { KernelEvent } from '../../netlink/events.ts'
import type { Link } from '../../netlink/link.ts'
import type { Route } from '../../netlink/route.ts'
import {
  type Entry,
  entryId,
  ROUTE_PROTOCOL,
  routeEntry,
  sameEntry,
  type VxlanDevice,
} from '../backend/kernel-state.ts'
import { planDevice } from './devices.ts'

/** What is known of a link from a dump or an earlier event. */
export type KnownLink = Pick<Link, 'name' | 'up'>

/** What an event is judged by. */
export interface EventContext {
  readonly devices: readonly VxlanDevice[]
  /** Whether traffic between hosts leaves by the interface of this name. */
  readonly carries: (name: string) => boolean
  readonly networks: readonly Prefix[]
  /** Whether wanted entries depend on the host's other routes. */
  readonly usesPaths: boolean
  readonly known: (index: number) => KnownLink | undefined
  readonly indexOf: (name: string) => number | undefined
  /** The wanted entry of this identity. */
  readonly wanted: (id: string) => Entry | undefined
}

/**
 * What an event says of the kernel's being as wanted. Our own changes come back as events too: they
 * say of an entry that it `isRight`, which takes back what was heard of it before.
 */
export type Finding =
  | { readonly kind: 'nothing' }
  | {
      readonly kind: 'entry'
      readonly id: string
      readonly of: Entry['kind']
      readonly isRight: boolean
    }
  /** A link came, went or changed, and with it anything that is on it. */
  | { readonly kind: 'link' }
  /** Packets to these addresses may take another way than before. */
  | { readonly kind: 'paths'; readonly to: Prefix | Family }

const TABLE_MAIN = 254
const RTPROT_KERNEL = 2
const NOTHING: Finding = { kind: 'nothing' }
const LINK: Finding = { kind: 'link' }

export function judgeEvent(event: KernelEvent, context: EventContext): Finding {
  switch (event.kind) {
    case 'link':
      return judgeLink(event, context)
    case 'address':
      return judgeAddress(event, context)
    case 'neighbour':
      return judgeNeighbour(event, context)
    case 'fdb':
      return judgeFdb(event, context)
    case 'route':
      return judgeRoute(event.route, event.gone, context)
    case 'rule':
      return context.usesPaths ? { kind: 'paths', to: event.family } : NOTHING
    case 'port':
      return NOTHING
  }
}

function ourDevice(index: number, { devices, known }: EventContext): string | undefined {
  const name = known(index)?.name
  return devices.find((device) => device.name === name)?.name
}

function judgeLink(
  { gone, link }: Extract<KernelEvent, { kind: 'link' }>,
  context: EventContext,
): Finding {
  const { devices, carries, known, indexOf } = context
  const { index, name } = link
  const before = known(index)
  const was = devices.find((one) => one.name === before?.name)
  const device = devices.find((one) => one.name === name)
  // The end of a link that another one has replaced already is no news.
  if (gone) return before && (device || carries(name)) ? LINK : NOTHING
  // A link that came back under a known name has a new index.
  if (was !== device) return LINK
  if (device) return isAsWanted(device, link, indexOf(device.uplink)) ? NOTHING : LINK
  return isUplinkNews(link, before, carries) ? LINK : NOTHING
}

/** Up again, or up no more: the kernel drops routes then and tells nobody. */
function isUplinkNews(
  { name, up }: Link,
  before: KnownLink | undefined,
  carries: EventContext['carries'],
): boolean {
  const isOther = before?.name !== name || before.up !== up
  return isOther && (carries(name) || (before !== undefined && carries(before.name)))
}

function isAsWanted(device: VxlanDevice, link: Link, uplink: number | undefined): boolean {
  const isOurs = link.kind === 'vxlan' && uplink !== undefined
  return isOurs && planDevice(device, link, uplink).kind === 'fine'
}

function judgeAddress(
  { gone, address: { index, prefix } }: Extract<KernelEvent, { kind: 'address' }>,
  context: EventContext,
): Finding {
  const device = ourDevice(index, context)
  if (device !== undefined) {
    const finding = judgeEntry({ kind: 'address', device, prefix }, { gone }, context)
    // With a link's last address go its routes, of which nobody is told.
    return gone && finding.kind === 'entry' && !finding.isRight ? LINK : finding
  }
  const name = context.known(index)?.name
  const isLoss = gone && context.usesPaths && name !== undefined
  return isLoss && context.carries(name) ? LINK : NOTHING
}

function judgeNeighbour(
  { gone, neighbour }: Extract<KernelEvent, { kind: 'neighbour' }>,
  context: EventContext,
): Finding {
  const { index, address, mac, permanent } = neighbour
  const device = ourDevice(index, context)
  if (device === undefined) return NOTHING
  if (!gone && mac && permanent) {
    return judgeEntry({ kind: 'neighbour', device, address, mac }, { gone }, context)
  }
  // Gone, or there no more as an entry of ours.
  return judgeLoss(`neighbour ${device} ${formatAddress(address)}`, 'neighbour', context)
}

function judgeFdb(
  { gone, fdb }: Extract<KernelEvent, { kind: 'fdb' }>,
  context: EventContext,
): Finding {
  const { index, mac, destination, permanent } = fdb
  const device = ourDevice(index, context)
  if (device === undefined) return NOTHING
  if (!destination || !permanent) return judgeLoss(`fdb ${device} ${mac}`, 'fdb', context)
  return judgeEntry({ kind: 'fdb', device, mac, destination }, { gone }, context)
}

function judgeRoute(route: Route, gone: boolean, context: EventContext): Finding {
  const { destination, oif, protocol = 0, table = TABLE_MAIN } = route
  const isInside = context.networks.some((network) => prefixCovers(network, destination))
  if (!isInside || table !== TABLE_MAIN) {
    // Each link that comes up brings a link-local route, which leads to no peer.
    const matters = context.usesPaths && !isLinkLocal(destination.address)
    return matters ? { kind: 'paths', to: destination } : NOTHING
  }
  const device = (oif === undefined ? undefined : context.known(oif)?.name) ?? ''
  const entry = routeEntry(route, device)
  const isOnOurs = context.devices.some(({ name }) => name === device)
  const isOurs = protocol === ROUTE_PROTOCOL || (isOnOurs && protocol !== RTPROT_KERNEL)
  // Somebody else’s route matters where it gives way to one of ours, or takes its place.
  if (!isOurs) return judgeLoss(entryId(entry), 'route', context)
  return judgeEntry(entry, { gone }, context)
}

/** Something happened to what has this identity: it matters if we want something there. */
function judgeLoss(id: string, of: Entry['kind'], context: EventContext): Finding {
  return context.wanted(id) ? { kind: 'entry', id, of, isRight: false } : NOTHING
}

function judgeEntry(
  entry: Entry,
  { gone }: { readonly gone: boolean },
  context: EventContext,
): Finding {
  const id = entryId(entry)
  const wanted = context.wanted(id)
  const is = wanted !== undefined && sameEntry(wanted, entry)
  // What goes is right if nobody wants it; of what replaced it there is another event.
  const isRight = gone ? wanted === undefined : is
  if (gone && wanted && !is) return NOTHING
  return { kind: 'entry', id, of: entry.kind, isRight }
}
