import { type Address, formatAddress, parseAddress, sameAddress } from '../ip/address.ts'
import { formatPrefix, type Prefix, parsePrefix, sameNetwork } from '../ip/prefix.ts'
import { listAddresses } from '../netlink/address.ts'
import { Connection } from '../netlink/connection.ts'
import type { Link } from '../netlink/link.ts'
import { listRoutes, type Route } from '../netlink/route.ts'
import { forwardingKeys } from './bridge.ts'
import { bridgeNameOf } from './bridge-conf.ts'
import { type Call, keyOf } from './call.ts'
import { runDelegate } from './delegate.ts'
import { CheckFailed } from './errors.ts'
import { checkAddresses } from './ipam.ts'
import { findLink } from './link.ts'
import { masqueradeFault } from './masquerade.ts'
import { openContainer } from './netns.ts'
import { CniError, errorCodes } from './protocol/error.ts'
import { parseResult } from './protocol/parse-result.ts'
import type { CniResult, Interface } from './protocol/result.ts'
import { targetOfExisting } from './resolve.ts'
import type { Target } from './target.ts'

const RT_TABLE_MAIN = 254

/**
 * Makes sure that a container is attached as the final result of its ADD says, what chained
 * plugins changed included, and that the host still does its part.
 * @throws CheckFailed naming the first difference; what IPAM says.
 */
export function check(call: Call): void {
  const saved = targetOfExisting(call)
  const { prevResult } = call.conf
  // What was saved at ADD does not hold the result that the runtime kept.
  const text = saved.text === call.stdin ? call.stdin : addResult(saved, prevResult)
  if (saved.type !== 'bridge') {
    runDelegate(call, { type: saved.type, command: 'CHECK', stdin: text })
    return
  }
  if (!prevResult) throw new CniError(errorCodes.invalidConfig, 'Required prevResult missing')
  const result = parseResult(prevResult, call.version, 'prevResult')
  const target = { ...saved, text }
  checkAddresses(call, target)
  checkAttachment({ call, target, result })
}

function addResult({ conf }: Target, prevResult: object | undefined): string {
  return JSON.stringify({ ...conf, prevResult })
}

interface Subject {
  readonly call: Call
  readonly target: Target
  readonly result: CniResult
}

function checkAttachment(subject: Subject): void {
  const { deps } = subject.call
  using netns = openContainer(subject.call)
  using host = new Connection(deps.openNetlink('route'))
  using inside = new Connection(deps.inNetns(netns, () => deps.openNetlink('route')))
  const bridge = checkBridge(host, subject)
  const link = checkContainerLink(inside, subject)
  checkPort(host, subject, bridge, link)
  checkInside(inside, link, subject)
  checkGateways(host, bridge, subject)
  checkMasquerade(subject)
}

function checkBridge(host: Connection, { target, result }: Subject): Link {
  const name = bridgeNameOf(target.conf)
  const bridge = findLink(host, name)
  if (bridge?.kind !== 'bridge') throw new CheckFailed(`bridge ${name} is not there`)
  checkMac(bridge, named(result, name))
  if (target.conf.promiscMode === true && !bridge.promiscuous) {
    throw new CheckFailed(`bridge ${name} is not in promiscuous mode`)
  }
  return bridge
}

function checkContainerLink(inside: Connection, { call, target, result }: Subject): Link {
  const { ifname, netns } = call.invocation
  const expected = named(result, ifname, netns)
  if (!expected) throw new CheckFailed(`prevResult has no interface ${ifname} in ${netns}`)
  const link = findLink(inside, ifname)
  if (!link) throw new CheckFailed(`interface ${ifname} is not in the container`)
  if (link.kind !== 'veth') throw new CheckFailed(`interface ${ifname} is not a veth`)
  checkMac(link, expected)
  if (!link.up && target.conf.disableContainerInterface !== true) {
    throw new CheckFailed(`interface ${ifname} is down`)
  }
  return link
}

/** The host end, found by its peer: a port of the bridge, up, with the port's options. */
function checkPort(host: Connection, { target, result }: Subject, bridge: Link, link: Link): void {
  const port = link.linkIndex === undefined ? undefined : findLink(host, { index: link.linkIndex })
  if (!port) throw new CheckFailed(`the host end of ${link.name} is not there`)
  const expected = named(result, port.name)
  if (!expected) throw new CheckFailed(`the host end of ${link.name} is ${port.name}, not ADD's`)
  checkMac(port, expected)
  if (port.master !== bridge.index) {
    throw new CheckFailed(`${port.name} is not a port of bridge ${bridge.name}`)
  }
  if (!port.up) throw new CheckFailed(`${port.name} is down`)
  checkOption(port, 'hairpin', target.conf.hairpinMode === true)
  checkOption(port, 'isolated', target.conf.portIsolation === true)
}

function checkOption(port: Link, option: 'hairpin' | 'isolated', wanted: boolean): void {
  if ((port.port?.[option] ?? false) === wanted) return
  throw new CheckFailed(`${port.name} has ${option} mode ${wanted ? 'off' : 'on'}`)
}

function checkMac(link: Link, expected: Interface | undefined): void {
  if (!expected?.mac || expected.mac.toLowerCase() === link.mac) return
  throw new CheckFailed(`${link.name} has MAC address ${link.mac}, not ${expected.mac}`)
}

function named({ interfaces = [] }: CniResult, name: string, sandbox = ''): Interface | undefined {
  return interfaces.find((one) => one.name === name && (one.sandbox ?? '') === sandbox)
}

function checkInside(inside: Connection, link: Link, subject: Subject): void {
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
function ownIps({ call, result }: Subject): NonNullable<CniResult['ips']> {
  const { ifname, netns } = call.invocation
  const own = (result.interfaces ?? []).findIndex(
    (one) => one.name === ifname && one.sandbox === netns,
  )
  return (result.ips ?? []).filter((ip) => ip.interface === undefined || ip.interface === own)
}

function checkGateways(host: Connection, bridge: Link, subject: Subject): void {
  const { conf } = subject.target
  if (conf.isGateway !== true && conf.isDefaultGateway !== true) return
  const gateways = ownIps(subject).flatMap(({ gateway }) => parseAddress(gateway ?? '') ?? [])
  const present = host.dump(listAddresses({ index: bridge.index }))
  for (const gateway of gateways) {
    if (!present.some(({ prefix }) => sameAddress(prefix.address, gateway))) {
      throw new CheckFailed(`bridge ${bridge.name} does not have address ${formatAddress(gateway)}`)
    }
    const key = forwardingKeys[gateway.family]
    if (subject.call.deps.sysctl.read(key) !== '1') {
      throw new CheckFailed(`the host does not forward: net/${key} is not 1`)
    }
  }
}

function checkMasquerade(subject: Subject): void {
  if (subject.target.conf.ipMasq !== true) return
  const addresses = ownIps(subject).map(({ address }) => address)
  const fault = masqueradeFault(keyOf(subject.call), addresses, subject.call.deps)
  if (fault) throw new CheckFailed(fault)
}
