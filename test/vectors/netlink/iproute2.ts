import { formatAddress } from '../../../ip/address.ts'
import { formatPrefix, type Prefix } from '../../../ip/prefix.ts'
import type { InterfaceAddress } from '../../../netlink/address.ts'
import type { Link } from '../../../netlink/link.ts'
import type { FdbEntry, Neighbour } from '../../../netlink/neighbour.ts'
import type { Route } from '../../../netlink/route.ts'

// What `ip -j -d` and `bridge -j` print, as far as the tests look at it.

type Values = Readonly<Record<string, unknown>>

export interface PrintedLink extends Values {
  readonly flags: readonly string[]
  readonly linkinfo?: {
    readonly info_kind?: string
    readonly info_data?: Values
    readonly info_slave_data?: Values
  }
}

export interface PrintedAddresses {
  readonly ifindex: number
  readonly addr_info: readonly {
    readonly local: string
    readonly prefixlen: number
    readonly scope: string
    readonly broadcast?: string
    readonly label?: string
    readonly tentative?: boolean
  }[]
}

export interface PrintedRoute extends Values {
  readonly flags: readonly string[]
  readonly via?: { readonly host: string }
  readonly nexthops?: readonly Values[]
}

export interface PrintedNeighbour {
  readonly dst: string
  readonly lladdr: string
}

export interface PrintedFdb {
  readonly mac: string
  readonly ifname: string
  readonly dst?: string
  readonly flags: readonly string[]
  readonly state: string
}

/** The name of a link by its index. */
export type NameOf = (index: number | undefined) => string | undefined

function pick(from: Values | undefined, keys: string): Values {
  return Object.fromEntries(keys.split(' ').map((key) => [key, from?.[key]]))
}

const linkKeys = 'ifindex ifname mtu address operstate master link_netnsid inet6_addr_gen_mode'
const vxlanKeys = 'id link port learning ttl ageing udp_csum'
const bridgeKeys = 'ageing_time stp_state priority vlan_filtering mcast_snooping'
const portKeys = 'hairpin isolated learning flood priority cost'

/** What a printed link says of what we know of links. */
export function readLink({ flags, linkinfo = {}, ...printed }: PrintedLink): object {
  const { info_kind: kind, info_data: data, info_slave_data: port } = linkinfo
  const local = data?.['local'] ?? data?.['local6']
  const vxlan = { ...pick(data, vxlanKeys), local, gbp: data?.['gbp'] ?? false }
  return {
    ...pick(printed, linkKeys),
    up: flags.includes('UP'),
    promiscuous: flags.includes('PROMISC'),
    kind,
    vxlan: kind === 'vxlan' ? vxlan : undefined,
    bridge: kind === 'bridge' ? pick(data, bridgeKeys) : undefined,
    port: port && pick(port, portKeys),
  }
}

const operstates = ['UNKNOWN', 'NOTPRESENT', 'DOWN', 'LOWERLAYERDOWN', 'TESTING', 'DORMANT', 'UP']

/** A link of ours in the same words. */
export function writeLink(link: Link, nameOf: NameOf): object {
  const { vxlan, bridge, port } = link
  return {
    ifindex: link.index,
    ifname: link.name,
    mtu: link.mtu,
    address: link.mac,
    operstate: operstates[link.operstate],
    master: nameOf(link.master),
    link_netnsid: link.linkNetnsid,
    inet6_addr_gen_mode: ['eui64', 'none'][link.addrGenMode ?? 9],
    up: link.up,
    promiscuous: link.promiscuous,
    kind: link.kind,
    vxlan: vxlan && {
      id: vxlan.id,
      link: nameOf(vxlan.link),
      local: vxlan.local && formatAddress(vxlan.local),
      port: vxlan.port,
      learning: vxlan.learning,
      ttl: vxlan.ttl,
      ageing: vxlan.ageing,
      udp_csum: vxlan.udpCsum,
      gbp: vxlan.gbp,
    },
    bridge: bridge && {
      ageing_time: bridge.ageingTime,
      stp_state: bridge.stpState,
      priority: bridge.priority,
      vlan_filtering: Number(bridge.vlanFiltering),
      mcast_snooping: Number(bridge.multicastSnooping),
    },
    port: port && {
      hairpin: port.hairpin,
      isolated: port.isolated,
      learning: port.learning,
      flood: port.unicastFlood,
      priority: port.priority,
      cost: port.cost,
    },
  }
}

const scopes: Readonly<Record<number, string>> = { 0: 'global', 253: 'link', 254: 'host' }

export function readAddresses({ ifindex, addr_info: found }: PrintedAddresses): object[] {
  return found.map(({ local, prefixlen, scope, broadcast, label, tentative = false }) => ({
    ifindex,
    local: `${local}/${prefixlen}`,
    scope,
    broadcast,
    label,
    tentative,
  }))
}

export function writeAddress(address: InterfaceAddress): object {
  const { index, prefix, scope, broadcast, label, tentative } = address
  return {
    ifindex: index,
    local: formatPrefix(prefix),
    scope: scopes[scope],
    broadcast: broadcast && formatAddress(broadcast),
    label,
    tentative,
  }
}

const routeKeys = 'type dst gateway dev table protocol scope metric prefsrc metrics'

export function readRoute({ flags, via, nexthops, ...printed }: PrintedRoute): object {
  return {
    ...pick(printed, routeKeys),
    via: via?.host,
    onlink: flags.includes('onlink'),
    nexthops: nexthops?.map((hop) => pick(hop, 'gateway dev weight')),
  }
}

const tables: Readonly<Record<number, string>> = { 254: 'main', 255: 'local' }
const protocols: Readonly<Record<number, string>> = { 2: 'kernel', 3: 'boot' }

export function writeRoute(route: Route, nameOf: NameOf): Values {
  const { destination, gateway, source, mtu, advmss } = route
  const { table = 0, protocol = 0, scope = 0, onlink = false, hops } = route
  const way = gateway?.family === destination.address.family ? 'gateway' : 'via'
  return {
    gateway: undefined,
    via: undefined,
    [way]: gateway && formatAddress(gateway),
    type: route.type,
    dst: destinationOf(destination),
    dev: nameOf(route.oif),
    table: tables[table] ?? `${table}`,
    protocol: protocols[protocol] ?? `${protocol}`,
    scope: scopes[scope],
    metric: route.priority,
    prefsrc: source && formatAddress(source),
    metrics: mtu === undefined ? undefined : [{ mtu, advmss }],
    onlink,
    nexthops: hops?.map(({ gateway: by, oif, weight }) => ({
      gateway: by && formatAddress(by),
      dev: nameOf(oif),
      weight,
    })),
  }
}

function destinationOf(prefix: Prefix): string {
  if (prefix.length === 0) return 'default'
  const full = prefix.address.family === 4 ? 32 : 128
  return prefix.length === full ? formatAddress(prefix.address) : formatPrefix(prefix)
}

export function writeNeighbour({ address, mac }: Neighbour): object {
  return { dst: formatAddress(address), lladdr: mac }
}

export function readFdb({ mac, ifname, dst, flags, state }: PrintedFdb): object {
  return { mac, ifname, dst, self: flags.includes('self'), permanent: state === 'permanent' }
}

export function writeFdb({ index, mac, destination, ...rest }: FdbEntry, nameOf: NameOf): object {
  const dst = destination && formatAddress(destination)
  return { mac, ifname: nameOf(index), dst, self: rest.self, permanent: rest.permanent }
}
