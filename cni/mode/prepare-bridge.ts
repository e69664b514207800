import { ensureForwardAccept } from '../../firewall/forward-accept.ts'
import { isLinkLocal } from '../../ip/address.ts'
import { formatPrefix, type Prefix, parsePrefix, prefixContains } from '../../ip/prefix.ts'
import { Connection } from '../../netlink/connection.ts'
import { type Link, listLinks } from '../../netlink/link.ts'
import { ConflictError, lacksNftables } from '../errors.ts'
import { listRecords } from '../records/records.ts'
import { bridgeMac } from '../stable-names.ts'
import { type Bridge, type Conflict, readHostName } from './bridge.ts'
import type { BridgeConf } from './bridge-conf.ts'
import type { Site } from './mode.ts'

/**
 * Makes sure that an address of the bridge may go for a gateway's: an IPv4 address that an earlier
 * subnet of this node left, and that no container uses any more.
 * @throws ConflictError in the words of the reference plugin; the details say what uses it.
 */
export function requireUnused(
  { host, conf, target }: Site<BridgeConf>,
  bridge: Bridge,
  { gateway, address }: Conflict,
): void {
  const users = address.address.family === 4 ? usersOf(host, bridge.link, address) : []
  const isOurs = isDerived(bridge) || isIn(target.clusterNetworks, address)
  if (address.address.family === 4 && isOurs && users.length === 0) return
  const mend = `it has ${formatPrefix(address)}: delete that, set "forceAddress" or name another bridge`
  throw new ConflictError(
    conf.bridge,
    `"${conf.bridge}" already has an IP address different from ${formatPrefix(gateway)}`,
    users.length === 0 ? mend : `${mend}; it is used by ${users.join(', ')}`,
  )
}

/** Ports whose attachment has an address in the subnet, or is not known. */
function usersOf(host: Connection, { index, name }: Link, subnet: Prefix): string[] {
  const records = listRecords().filter(({ link }) => link?.bridge === name)
  const users: string[] = []
  for (const port of host.dump(listLinks({ master: index }))) {
    const record = records.find(({ link }) => link?.hostVeth === port.name)
    const addresses = record?.link?.addresses.flatMap((text) => parsePrefix(text) ?? [])
    if (!record) users.push(`port ${port.name}`)
    else if (addresses?.some((one) => prefixContains(subnet, one.address))) {
      users.push(`container ${record.containerId} (${record.ifname})`)
    }
  }
  return users
}

/**
 * Whether heddle made the bridge for the addresses it has: then its MAC address tells so. Of IPv6
 * addresses those of earlier subnets may have stayed.
 */
function isDerived({ link, present }: Bridge): boolean {
  const host = readHostName()
  const v4 = present.filter(({ address }) => address.family === 4)
  const v6 = present.filter(({ address }) => address.family === 6 && !isLinkLocal(address))
  const choices = [v6, [], ...v6.map((one) => [one])]
  return choices.some((some) =>
    [v4.concat(some), some.concat(v4)].some(
      (gateways) => bridgeMac(host, link.name, gateways.map(formatPrefix)) === link.mac,
    ),
  )
}

function isIn(networks: readonly Prefix[], { address }: Prefix): boolean {
  return networks.some((network) => prefixContains(network, address))
}

/** Accepts what the bridge's containers send and get where the host's FORWARD chain may drop it. */
export function acceptForwarding({ call }: Site, bridge: string): void {
  try {
    using firewall = new Connection(call.deps.openNetlink('netfilter'))
    ensureForwardAccept(firewall, bridge)
  } catch (error) {
    if (!lacksNftables(error)) throw error
    const { log } = call.deps
    log.warn('cannot look at the FORWARD chain', { bridge, error: String(error) })
  }
}
