import {
  type Address,
  formatAddress,
  offsetAddress,
  parseAddress,
  sameAddress,
} from '../../ip/address.ts'
import type { Mac } from '../../ip/mac.ts'
import {
  distinctPrefixes,
  firstAddress,
  formatPrefix,
  network,
  type Prefix,
  parsePrefix,
  prefixContains,
} from '../../ip/prefix.ts'
import { CniError, errorCodes } from '../protocol/error.ts'
import type { CniResult, Dns, IpConfig, Route } from '../protocol/result.ts'
import type { AttachConf } from '../target/attach-conf.ts'

/** A route of the container. Without a gateway the destination is on the link. */
export interface PlannedRoute
  extends Pick<Route, 'mtu' | 'advmss' | 'priority' | 'table' | 'scope'> {
  readonly destination: Prefix
  readonly gateway?: Address
  /** The gateway is on the link, though none of the container's networks holds it. */
  readonly onlink?: true
  /** The address that packets by this route get. */
  readonly source?: Address
}

/** What of a configuration decides about addresses and routes. */
export type EndpointConf = Pick<
  AttachConf,
  'ipam' | 'isGateway' | 'isDefaultGateway' | 'dns' | 'runtimeDns'
>

/** What IPAM's answer makes of an attachment: plain data, nothing done yet. */
export interface Endpoint {
  /** The container's addresses with their networks' lengths. */
  readonly addresses: readonly Prefix[]
  /** The addresses the host must have, none unless it is the gateway. */
  readonly gateways: readonly Prefix[]
  readonly routes: readonly PlannedRoute[]
  /** The same for the result; `interface` is left to whoever lists the interfaces. */
  readonly ips: readonly IpConfig[]
  readonly resultRoutes: readonly Route[]
  readonly dns: Dns
}

const defaultRoute: Readonly<Record<4 | 6, string>> = { 4: '0.0.0.0/0', 6: '::/0' }

/**
 * Works out what to program from the configuration and IPAM's answer.
 * @throws CniError when IPAM was asked and gave no address.
 */
export function planEndpoint(
  conf: EndpointConf,
  { ips = [], routes = [], dns = {} }: CniResult,
): Endpoint {
  if (conf.ipam.kind !== 'none' && ips.length === 0) {
    throw new CniError(errorCodes.invalidConfig, 'IPAM plugin returned missing IP config')
  }
  const placed = ips.map((ip) => placeIp(conf, ip))
  const defaults = conf.isDefaultGateway ? missingDefaultRoutes(placed, routes) : []
  const resultRoutes = [...routes, ...defaults]
  return {
    addresses: placed.map(({ address }) => address),
    gateways: conf.isGateway ? gatewaysOf(placed) : [],
    routes: distinctRoutes(resultRoutes.map((route) => planRoute(route, placed))),
    ips: placed.map(({ address, gateway }) => ({
      address: formatPrefix(address),
      ...(gateway && { gateway: formatAddress(gateway) }),
    })),
    resultRoutes,
    dns: conf.runtimeDns ? { ...(conf.dns ?? dns), ...conf.runtimeDns } : (conf.dns ?? dns),
  }
}

interface PlacedIp {
  readonly address: Prefix
  readonly gateway?: Address
  /** The gateway is outside the address's network: only IPAM's word says where it is. */
  readonly isAway?: boolean
}

/** A host that is the gateway takes the network's first address when IPAM names none. */
function placeIp(conf: EndpointConf, ip: IpConfig): PlacedIp {
  const address = need(parsePrefix(ip.address), ip.address)
  if (ip.gateway) {
    const gateway = need(parseAddress(ip.gateway), ip.gateway)
    // Our own IPAM's gateways are in their networks.
    if (conf.ipam.kind === 'own') return { address, gateway }
    return { address, gateway, isAway: !prefixContains(address, gateway) }
  }
  if (!conf.isGateway) return { address }
  return { address, gateway: offsetAddress(firstAddress(address), 1) }
}

function gatewaysOf(placed: readonly PlacedIp[]): Prefix[] {
  const gateways: Prefix[] = []
  for (const { address, gateway } of placed) {
    if (gateway) gateways.push({ address: gateway, length: address.length })
  }
  return distinctPrefixes(gateways)
}

/** One for each family that has addresses and no default route of IPAM's, with or without gateway. */
function missingDefaultRoutes(placed: readonly PlacedIp[], routes: readonly Route[]): Route[] {
  const missing: Route[] = []
  for (const { address, gateway } of placed) {
    const dst = defaultRoute[address.address.family]
    const isThere = (route: Route) => isDefault(route.dst, dst)
    if (!gateway || routes.some(isThere) || missing.some(isThere)) continue
    missing.push({ dst, gw: formatAddress(gateway) })
  }
  return missing
}

function isDefault(dst: string, wanted: string): boolean {
  const prefix = parsePrefix(dst)
  return prefix !== undefined && formatPrefix(network(prefix)) === wanted
}

function planRoute(route: Route, placed: readonly PlacedIp[]): PlannedRoute {
  const { dst, gw, ...attributes } = route
  const destination = network(need(parsePrefix(dst), dst))
  const { family } = destination.address
  const gateway = gw
    ? need(parseAddress(gw), gw)
    : placed.find((ip) => ip.gateway?.family === family)?.gateway
  if (!gateway) return { destination, ...attributes }
  const isAway = placed.some((ip) => ip.isAway && ip.gateway && sameAddress(ip.gateway, gateway))
  return { destination, gateway, ...(isAway && { onlink: true }), ...attributes }
}

/** Of routes to one destination that the kernel cannot tell apart, the last. */
function distinctRoutes(routes: readonly PlannedRoute[]): readonly PlannedRoute[] {
  if (routes.length < 2) return routes
  return [...new Map(routes.map((route) => [formatRoute(route), route])).values()]
}

function formatRoute({ destination, gateway, priority = 0, table = 0 }: PlannedRoute): string {
  return `${formatPrefix(destination)} ${gateway ? formatAddress(gateway) : ''} ${priority} ${table}`
}

/** IPAM's answers are parsed before they come here; one that is not is a mistake of ours. */
function need<T>(value: T | undefined, text: string): T {
  if (value === undefined) throw new TypeError(`Cannot plan with "${text}": it is not an address`)
  return value
}

/**
 * The gateways that any answer of our own IPAM will have, so that a bridge with another address is
 * noticed before IPAM is asked. A set whose ranges have several is left to its answer.
 */
export function foreseenGateways(conf: EndpointConf): Prefix[] {
  if (!conf.isGateway || conf.ipam.kind !== 'own') return []
  const foreseen: Prefix[] = []
  for (const { ranges } of conf.ipam.plan.sets) {
    const gateways = ranges.map(({ gateway, subnet }) => ({
      address: gateway,
      length: subnet.length,
    }))
    const [only, other] = distinctPrefixes(gateways)
    if (only && !other) foreseen.push(only)
  }
  return foreseen
}

/** The networks that masquerading leaves alone: the cluster's and the container's own. */
export function exemptNetworks(endpoint: Endpoint, cluster: readonly Prefix[]): Prefix[] {
  return distinctPrefixes([...cluster, ...endpoint.addresses].map(network))
}

/** What the interfaces are called, in the result's order; the container's is the last. */
export interface MadeLinks {
  readonly host: readonly { readonly name: string; readonly mac?: Mac; readonly mtu?: number }[]
  readonly container: { readonly name: string; readonly mac: Mac; readonly sandbox: string }
  /** The container's. */
  readonly mtu: number | undefined
}

export function buildResult(endpoint: Endpoint, { host, container, mtu }: MadeLinks): CniResult {
  const inside = mtu === undefined ? container : { ...container, mtu }
  return {
    interfaces: [...host, inside],
    ips: endpoint.ips.map((ip) => ({ ...ip, interface: host.length })),
    routes: endpoint.resultRoutes,
    dns: endpoint.dns,
  }
}
