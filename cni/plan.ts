import { type Address, formatAddress, offsetAddress, parseAddress } from '../ip/address.ts'
import type { Mac } from '../ip/mac.ts'
import {
  distinctPrefixes,
  firstAddress,
  formatPrefix,
  network,
  type Prefix,
  parsePrefix,
} from '../ip/prefix.ts'
import type { BridgeConf } from './bridge-conf.ts'
import { CniError, errorCodes } from './protocol/error.ts'
import type { CniResult, Dns, IpConfig, Route } from './protocol/result.ts'

/** A route of the container. Without a gateway the destination is on the link. */
export interface PlannedRoute
  extends Pick<Route, 'mtu' | 'advmss' | 'priority' | 'table' | 'scope'> {
  readonly destination: Prefix
  readonly gateway?: Address
}

/** What IPAM's answer makes of an attachment: plain data, nothing done yet. */
export interface Endpoint {
  /** The container's addresses with their networks' lengths. */
  readonly addresses: readonly Prefix[]
  /** The addresses the bridge must have, none unless it is the gateway. */
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
  conf: BridgeConf,
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
    dns: conf.dns ?? dns,
  }
}

interface PlacedIp {
  readonly address: Prefix
  readonly gateway?: Address
}

/** A bridge that is the gateway takes its network's first address when IPAM names none. */
function placeIp(conf: BridgeConf, ip: IpConfig): PlacedIp {
  const address = need(parsePrefix(ip.address), ip.address)
  if (ip.gateway) return { address, gateway: need(parseAddress(ip.gateway), ip.gateway) }
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
  const gateway = gw
    ? need(parseAddress(gw), gw)
    : placed.find((ip) => ip.gateway?.family === destination.address.family)?.gateway
  return { destination, ...(gateway && { gateway }), ...attributes }
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
export function foreseenGateways(conf: BridgeConf): Prefix[] {
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

/** What the three interfaces are called, in the result's order. */
export interface MadeLinks {
  readonly bridge: { readonly name: string; readonly mac?: Mac }
  readonly host: { readonly name: string; readonly mac: Mac }
  readonly container: { readonly name: string; readonly mac: Mac; readonly sandbox: string }
  readonly mtu?: number
}

const CONTAINER_INTERFACE = 2

export function buildResult(endpoint: Endpoint, links: MadeLinks): CniResult {
  const mtu = links.mtu === undefined ? {} : { mtu: links.mtu }
  return {
    interfaces: [links.bridge, { ...links.host, ...mtu }, { ...links.container, ...mtu }],
    ips: endpoint.ips.map((ip) => ({ ...ip, interface: CONTAINER_INTERFACE })),
    routes: endpoint.resultRoutes,
    dns: endpoint.dns,
  }
}
