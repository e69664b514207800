import { type Address, parseAddress, sameAddress } from '../../ip/address.ts'
import { formatPrefix, type Prefix, parsePrefix, sameNetwork } from '../../ip/prefix.ts'
import { listAddresses } from '../../netlink/address.ts'
import type { Connection } from '../../netlink/connection.ts'
import type { Link } from '../../netlink/link.ts'
import { listRoutes, type Route } from '../../netlink/route.ts'
import type { Call } from '../call.ts'
import { CheckFailed } from '../errors.ts'
import { findLink } from '../link.ts'
import type { CniResult, Interface } from '../protocol/result.ts'
import type { Target } from '../target/target.ts'
import { forwardingKeys } from './bridge.ts'

export const RT_TABLE_MAIN = 254

/** What is checked against what. */
export interface Subject {
  readonly call: Call
  readonly target: Target
  readonly result: CniResult
}

/** Connections to the host's rtnetlink and to the container's. */
export interface Sides {
  readonly host: Connection
  readonly inside: Connection
}

/** The container's interface: there, of its kind, with its MAC address, up. @throws CheckFailed */
export function checkContainerLink(
  inside: Connection,
  { call, target, result }: Subject,
  kind: string,
): Link {
  const { ifname, netns } = call.invocation
  const expected = named(result, ifname, netns)
  if (!expected) throw new CheckFailed(`prevResult has no interface ${ifname} in ${netns}`)
  const link = findLink(inside, ifname)
  if (!link) throw new CheckFailed(`interface ${ifname} is not in the container`)
  if (link.kind !== kind) throw new CheckFailed(`interface ${ifname} is not a ${kind}`)
  checkMac(link, expected)
  if (!link.up && target.conf.disableContainerInterface !== true) {
    throw new CheckFailed(`interface ${ifname} is down`)
  }
  return link
}

/** The host's end, found by its peer: there, as ADD's result has it, up. @throws CheckFailed */
export function checkHostEnd(host: Connection, { result, target }: Subject, link: Link): Link {
  const end = link.linkIndex === undefined ? undefined : findLink(host, { index: link.linkIndex })
  if (!end) throw new CheckFailed(`the host end of ${link.name} is not there`)
  const expected = named(result, end.name)
  if (!expected) throw new CheckFailed(`the host end of ${link.name} is ${end.name}, not ADD's`)
  checkMac(end, expected)
  if (!end.up) throw new CheckFailed(`${end.name} is down`)
  const { mtu = 0 } = target.conf
  if (mtu !== 0 && end.mtu !== mtu) throw wrongMtu(end, mtu)
  return end
}

/**
 * The container's end may have another MTU by a chained plugin: exactly the one that the result
 * tells, or a smaller one where it cannot tell (before CNI 1.1.0).
 * @throws CheckFailed
 */
export function checkMtu({ call, result }: Subject, link: Link, most: number): void {
  const { ifname, netns } = call.invocation
  const told = named(result, ifname, netns)?.mtu
  if (told === undefined ? link.mtu > most : link.mtu !== told) throw wrongMtu(link, told ?? most)
}

function wrongMtu({ name, mtu }: Link, wanted: number): CheckFailed {
  return new CheckFailed(`${name} has MTU ${mtu}, not ${wanted}`)
}

/** @throws CheckFailed */
export function checkMac(link: Link, expected: Interface | undefined): void {
  if (!expected?.mac || expected.mac.toLowerCase() === link.mac) return
  throw new CheckFailed(`${link.name} has MAC address ${link.mac}, not ${expected.mac}`)
}

/** The result's interface of that name, in a namespace or the host's own. */
export function named(
  { interfaces = [] }: CniResult,
  name: string,
  sandbox = '',
): Interface | undefined {
  return interfaces.find((one) => one.name === name && (one.sandbox ?? '') === sandbox)
}

/** Addresses and routes of the container. @throws CheckFailed */
export function checkContents(inside: Connection, link: Link, subject: Subject): void {
  const present = inside.dump(listAddresses({ index: link.index }))
  for (const { address } of ownIps(subject)) {
    if (present.some(({ prefix }) => formatPrefix(prefix) === address)) continue
    throw new CheckFailed(`${link.name} does not have address ${address}`)
  }
  for (const { dst, gw, table } of subject.result.routes ?? []) {
    const destination = parsePrefix(dst)
    if (!destination) continue
    const { family } = destination.address
    const routes = inside.dump(listRoutes({ family, table: table || RT_TABLE_MAIN }))
    const gateway = gw === undefined ? undefined : parseAddress(gw)
    if (routes.some((route) => leadsTo(route, destination, gateway))) continue
    const via = gw === undefined ? '' : ` via ${gw}`
    throw new CheckFailed(`Expected Route ${dst}${via} not found in routing table`)
  }
}

/** Which gateway a default route has may be a chained plugin's choice. */
function leadsTo(route: Route, destination: Prefix, gateway: Address | undefined): boolean {
  if (!sameNetwork(route.destination, destination)) return false
  if (gateway === undefined || destination.length === 0) return true
  const ways = [route, ...(route.hops ?? [])]
  return ways.some((way) => way.gateway !== undefined && sameAddress(way.gateway, gateway))
}

/** The result's addresses on the container's interface, those of unknown interface included. */
export function ownIps({ call, result }: Subject): NonNullable<CniResult['ips']> {
  const { ifname, netns } = call.invocation
  const own = (result.interfaces ?? []).findIndex(
    (one) => one.name === ifname && one.sandbox === netns,
  )
  return (result.ips ?? []).filter((ip) => ip.interface === undefined || ip.interface === own)
}

/** The gateways of those addresses. */
export function gatewaysOf(subject: Subject): Address[] {
  return ownIps(subject).flatMap(({ gateway }) => parseAddress(gateway ?? '') ?? [])
}

/** The host routes in the families of these addresses. @throws CheckFailed */
export function checkForwarding({ call }: Subject, gateways: readonly Address[]): void {
  for (const { family } of gateways) {
    const key = forwardingKeys[family]
    if (call.deps.sysctl.read(key) === '1') continue
    throw new CheckFailed(`the host does not forward: net/${key} is not 1`)
  }
}
