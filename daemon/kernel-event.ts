import { formatAddress, isLinkLocal } from '../ip/address.ts'
import { type Prefix, prefixCovers } from '../ip/prefix.ts'
import type { KernelEvent } from '../netlink/events.ts'
import type { Route } from '../netlink/route.ts'
import {
  defaultMetric,
  type Entry,
  entryId,
  ROUTE_PROTOCOL,
  sameEntry,
  type VxlanDevice,
} from './backend/kernel-state.ts'

/** What an event is judged by. */
export interface EventContext {
  readonly devices: readonly VxlanDevice[]
  /** Names of the interfaces that carry the traffic between hosts. */
  readonly uplinks: readonly string[]
  readonly networks: readonly Prefix[]
  /** Whether wanted entries depend on the host's other routes. */
  readonly usesPaths: boolean
  readonly nameOf: (index: number) => string | undefined
  /** The wanted entry of this identity. */
  readonly wanted: (id: string) => Entry | undefined
}

const TABLE_MAIN = 254
const RTPROT_KERNEL = 2

/**
 * Whether an event may mean that the kernel is no longer as wanted. Our own changes come back as
 * events too; they show what is wanted, and are none.
 */
export function isTrouble(event: KernelEvent, context: EventContext): boolean {
  switch (event.kind) {
    case 'link':
      return isLinkTrouble(event, context)
    case 'address': {
      const device = ourDevice(event.address.index, context)
      if (device === undefined) return context.usesPaths
      return isEntryTrouble(
        { kind: 'address', device, prefix: event.address.prefix },
        event,
        context,
      )
    }
    case 'neighbour':
      return isNeighbourTrouble(event, context)
    case 'fdb':
      return isFdbTrouble(event, context)
    case 'route':
      return isRouteTrouble(event.route, event.gone, context)
    case 'port':
      return false
  }
}

function ourDevice(index: number, { devices, nameOf }: EventContext): string | undefined {
  const name = nameOf(index)
  return devices.find((device) => device.name === name)?.name
}

function isLinkTrouble(
  { gone, link }: Extract<KernelEvent, { kind: 'link' }>,
  { devices, uplinks, nameOf }: EventContext,
): boolean {
  // A link that came back under a known name has a new index.
  const isNew = nameOf(link.index) !== link.name
  if (uplinks.includes(link.name)) return gone || isNew || !link.up
  const device = devices.find(({ name }) => name === link.name)
  if (!device) return false
  return gone || isNew || !link.up || link.mtu !== device.mtu || link.mac !== device.mac
}

function isNeighbourTrouble(
  { gone, neighbour }: Extract<KernelEvent, { kind: 'neighbour' }>,
  context: EventContext,
): boolean {
  const { index, address, mac, permanent } = neighbour
  const device = ourDevice(index, context)
  if (device === undefined) return false
  const isWanted = context.wanted(`neighbour ${device} ${formatAddress(address)}`) !== undefined
  if (gone || !mac || !permanent) return isWanted
  return isEntryTrouble({ kind: 'neighbour', device, address, mac }, { gone }, context)
}

function isFdbTrouble(
  { gone, fdb }: Extract<KernelEvent, { kind: 'fdb' }>,
  context: EventContext,
): boolean {
  const { index, mac, destination, permanent } = fdb
  const device = ourDevice(index, context)
  if (device === undefined) return false
  if (!destination || !permanent) return context.wanted(`fdb ${device} ${mac}`) !== undefined
  return isEntryTrouble({ kind: 'fdb', device, mac, destination }, { gone }, context)
}

function isRouteTrouble(route: Route, gone: boolean, context: EventContext): boolean {
  const { destination, gateway, oif, protocol = 0, table = TABLE_MAIN, priority } = route
  if (table !== TABLE_MAIN) return false
  const isInside = context.networks.some((network) => prefixCovers(network, destination))
  // Each link that comes up brings a link-local route, which leads to no peer.
  if (!isInside) return context.usesPaths && !isLinkLocal(destination.address)
  const device = (oif === undefined ? undefined : context.nameOf(oif)) ?? ''
  const entry: Entry = {
    kind: 'route',
    destination,
    ...(gateway && { gateway }),
    device,
    onlink: route.onlink === true,
    metric: priority ?? defaultMetric[destination.address.family],
    protocol,
  }
  const isOnOurs = context.devices.some(({ name }) => name === device)
  const isOurs = protocol === ROUTE_PROTOCOL || (isOnOurs && protocol !== RTPROT_KERNEL)
  // Somebody else’s route matters where it gives way to one of ours, or takes its place.
  if (!isOurs) return context.wanted(entryId(entry)) !== undefined
  return isEntryTrouble(entry, { gone }, context)
}

function isEntryTrouble(entry: Entry, { gone }: { gone: boolean }, context: EventContext): boolean {
  const wanted = context.wanted(entryId(entry))
  if (gone) return wanted !== undefined && sameEntry(wanted, entry)
  return wanted === undefined || !sameEntry(wanted, entry)
}
