import { missingForwardAccept } from '../../firewall/forward-accept.ts'
import { formatAddress, sameAddress } from '../../ip/address.ts'
import { listAddresses } from '../../netlink/address.ts'
import { Connection } from '../../netlink/connection.ts'
import type { Link } from '../../netlink/link.ts'
import { CheckFailed, lacksNftables } from '../errors.ts'
import { findLink } from '../link.ts'
import { bridgeNameOf } from './bridge-conf.ts'
import {
  checkContainerLink,
  checkForwarding,
  checkHostEnd,
  checkMac,
  checkMtu,
  gatewaysOf,
  named,
  type Sides,
  type Subject,
} from './check-link.ts'

/** Checks the links of mode bridge, and the host as gateway. Returns the container's. */
export function checkBridged({ host, inside }: Sides, subject: Subject): Link {
  const bridge = checkBridge(host, subject)
  const link = checkContainerLink(inside, subject, 'veth')
  const port = checkHostEnd(host, subject, link)
  checkPort(port, subject, bridge)
  checkMtu(subject, link, port.mtu)
  checkGateways(host, bridge, subject)
  return link
}

function checkBridge(host: Connection, { target, result }: Subject): Link {
  const name = bridgeNameOf(target.conf)
  const bridge = findLink(host, name)
  if (bridge?.kind !== 'bridge') throw new CheckFailed(`bridge ${name} is not there`)
  checkMac(bridge, named(result, name))
  if (!bridge.up) throw new CheckFailed(`bridge ${name} is down`)
  if (target.conf.promiscMode === true && !bridge.promiscuous) {
    throw new CheckFailed(`bridge ${name} is not in promiscuous mode`)
  }
  return bridge
}

function checkPort(port: Link, { target }: Subject, bridge: Link): void {
  if (port.master !== bridge.index) {
    throw new CheckFailed(`${port.name} is not a port of bridge ${bridge.name}`)
  }
  const { hairpin = false, isolated = false } = port.port ?? {}
  // A plugin that publishes ports turns hairpin mode on where it was not asked for.
  if (target.conf.hairpinMode === true && !hairpin) {
    throw new CheckFailed(`${port.name} has hairpin mode off`)
  }
  if ((target.conf.portIsolation === true) !== isolated) {
    throw new CheckFailed(`${port.name} has isolated mode ${isolated ? 'on' : 'off'}`)
  }
}

function checkGateways(host: Connection, bridge: Link, subject: Subject): void {
  const { conf } = subject.target
  if (conf.isGateway !== true && conf.isDefaultGateway !== true) return
  const gateways = gatewaysOf(subject)
  const present = host.dump(listAddresses({ index: bridge.index }))
  for (const gateway of gateways) {
    if (present.some(({ prefix }) => sameAddress(prefix.address, gateway))) continue
    throw new CheckFailed(`bridge ${bridge.name} does not have address ${formatAddress(gateway)}`)
  }
  checkForwarding(subject, gateways)
  const fault = findForwardFault(bridge, subject)
  if (fault !== undefined) throw new CheckFailed(fault)
}

function findForwardFault({ name }: Link, { call }: Subject): string | undefined {
  try {
    using firewall = new Connection(call.deps.openNetlink('netfilter'))
    return missingForwardAccept(firewall, name)
  } catch (error) {
    if (lacksNftables(error)) return undefined
    throw error
  }
}
