import type { NetworkConfig } from '../../conf/network-config.ts'
import { formatAddress } from '../../ip/address.ts'
import { type ByFamily, familiesOf } from '../../ip/by-family.ts'
import { formatPrefix, type Prefix, prefixCovers, prefixesOverlap } from '../../ip/prefix.ts'
import type { Connection } from '../../netlink/connection.ts'
import { listLinks } from '../../netlink/link.ts'
import { listRoutes, type Route } from '../../netlink/route.ts'
import { ROUTE_PROTOCOL } from '../backend/kernel-state.ts'

const TABLE_MAIN = 254
/** Devices whose routes inside the cluster's network are ours, flannel's or the plugin's. */
const OWN_DEVICE = /^(?:flannel|cni0$|cni-|cbr0$)/

/** What the cluster's network has in common with what this host reaches otherwise. */
export interface Overlap {
  /** A sentence that names the key and the route. */
  readonly text: string
  /** A wider route gives way to ours and is only worth a warning. */
  readonly isFatal: boolean
}

/**
 * The routes of this host, other than by default, that lead into the cluster's network and are
 * neither ours nor flannel's. Networks that this host has used before are left out: it was found
 * then, and a route that came since does not stop a host at work.
 */
export function findOverlaps(
  connection: Connection,
  { pools }: NetworkConfig,
  used: readonly Prefix[],
): Overlap[] {
  const fresh = familiesOf(pools).filter((family) => {
    const network = pools[family]?.network
    return network && !used.some((one) => prefixCovers(one, network))
  })
  if (fresh.length === 0) return []
  const links = connection.dump(listLinks())
  const names = new Map(links.map(({ index, name }) => [index, name]))
  return fresh.flatMap((family) => {
    const routes = connection.dump(listRoutes({ family, table: TABLE_MAIN }))
    return overlapsWith(pools, routes, { used, nameOf: (index) => names.get(index) })
  })
}

/** The same, from the routes as they are. Pure. */
export function overlapsWith(
  pools: ByFamily<{ readonly network: Prefix }>,
  routes: readonly Route[],
  host: {
    readonly used: readonly Prefix[]
    readonly nameOf: (index: number) => string | undefined
  },
): Overlap[] {
  return routes.flatMap((route): Overlap[] => {
    const { destination, oif, protocol } = route
    const network = pools[destination.address.family]?.network
    if (!network || destination.length === 0 || protocol === ROUTE_PROTOCOL) return []
    if (!prefixesOverlap(network, destination)) return []
    if (host.used.some((one) => prefixCovers(one, destination))) return []
    const device = oif === undefined ? undefined : host.nameOf(oif)
    return device !== undefined && OWN_DEVICE.test(device) ? [] : [describe(route, network, device)]
  })
}

function describe(
  { destination, gateway }: Route,
  network: Prefix,
  device: string | undefined,
): Overlap {
  const key = network.address.family === 4 ? 'Network' : 'IPv6Network'
  const via = gateway ? ` via ${formatAddress(gateway)}` : ''
  const words = `${formatPrefix(destination)}${via}${device === undefined ? '' : ` dev ${device}`}`
  // What this host is itself connected to would be cut off.
  const isWider = gateway !== undefined && destination.length < network.length
  const end = isWider
    ? 'what it leads to there is not reached from here any more'
    : `choose another ${key}, or remove the route`
  const text = `${key} ${formatPrefix(network)} overlaps with this host’s route "${words}": ${end}`
  return { text, isFatal: !isWider }
}
