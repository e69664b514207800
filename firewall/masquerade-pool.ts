/**
 * The plugin's table, `inet heddle-cni`. Attachments to one network that exempt the same
 * destinations, which are all of them unless the configuration changed, share a pool in each
 * family: two sets and one rule,
 *
 *     ip saddr @hosts4-NETWORK-LIST ip daddr != @exempt4-NETWORK-LIST masquerade
 *
 * so that neither attaching nor a packet pays for the number of containers. An element of `hosts`
 * is an address with its owner as the comment. Names hold hashes of the network's name and of the
 * list. A pool's list never changes: an attachment with another one goes to another pool, and
 * attaching needs no look at what is exempt so far.
 */
import { type Address, addressToBytes, type Family } from '../ip/address.ts'
import { families } from '../ip/by-family.ts'
import { network as networkOf, type Prefix } from '../ip/prefix.ts'
import { type Chain, priorities } from '../netlink/nftables/chain.ts'
import type { SetElement, SetRef } from '../netlink/nftables/element.ts'
import { commentText, nameHash } from './names.ts'
import { pluginTable } from './plugin-parts.ts'
import { tableVersion } from './version.ts'

/** Who an address belongs to: one interface of one container. */
export interface Owner {
  readonly containerId: string
  readonly ifname: string
}

/** One attachment of a container to a network whose traffic to the world is masqueraded. */
export interface Masquerade {
  /** The CNI network's name, whatever it holds. */
  readonly network: string
  readonly owner: Owner
  /** The container's addresses, of both families. */
  readonly addresses: readonly Address[]
  /**
   * Destinations that see the container's own address: its subnets and every cluster network.
   * Multicast need not be among them. Host bits, order and overlaps do not matter.
   */
  readonly exempt: readonly Prefix[]
}

export const postrouting: Chain = {
  name: 'postrouting',
  base: { type: 'nat', hook: 'postrouting', priority: priorities.srcnat, policy: 'accept' },
}

/** Attachments of one network, in one family, with one list of exemptions. */
export interface Pool {
  readonly family: Family
  readonly network: string
  readonly hosts: SetRef
  readonly exempt: SetRef
  readonly exemptions: readonly Prefix[]
}

/** The pools an attachment belongs to: one for each family in which it has an address. */
export function poolsOf({ network, addresses, exempt }: Omit<Masquerade, 'owner'>): Pool[] {
  return families.flatMap((family) => {
    if (!addresses.some((address) => address.family === family)) return []
    const exemptions = exempt.filter(({ address }) => address.family === family)
    const list = nameHash(exemptions.map(prefixKey).sort().join(' '))
    const hosts = { table: pluginTable, set: `${hostsPrefix(network, family)}${list}` }
    const names = { hosts, exempt: { table: pluginTable, set: exemptSetOf(hosts.set) } }
    return [{ family, network, ...names, exemptions }]
  })
}

function prefixKey(prefix: Prefix): string {
  return `${networkOf(prefix).address.value.toString(16)}/${prefix.length}`
}

/** How the names of all of a network's sets of hosts begin. */
export function hostsPrefix(network: string, family: Family): string {
  // With the version in it, a plugin finds none of the sets of a table in a later form, and looks.
  return `hosts${family}-${nameHash(`${tableVersion} ${network}`)}-`
}

/** The set of exemptions that goes with a set of hosts. */
export function exemptSetOf(hosts: string): string {
  return hosts.replace('hosts', 'exempt')
}

/** The comment of an owner's elements. */
export function ownerTag(network: string, { containerId, ifname }: Owner): string {
  return commentText(`${network} ${containerId} ${ifname}`)
}

/** The attachment's elements in one of its pools. */
export function hostElements(pool: Pool, { network, owner, addresses }: Masquerade): SetElement[] {
  const comment = ownerTag(network, owner)
  return addresses
    .filter(({ family }) => family === pool.family)
    .map((address) => ({ key: addressToBytes(address), comment }))
}
