/**
 * Published ports in the plugin's table. For each family a map from a protocol and a port to where
 * it leads, another one with the host's address before them, and one rule for each:
 *
 *     dnat ip to meta l4proto . th dport map @ports4
 *
 * so that neither attaching nor a packet pays for the number of containers. The rules see packets
 * for this host's own addresses only. Their chains come after the usual place of address
 * translation (dstnat), so that what others have there, such as kube-proxy and Docker, goes first.
 *
 * Packets from near a container, whose answers would not come back through the host, take the
 * host's address: a third map leads from the container's address to a chain with its neighbours.
 */
import {
  type Address,
  addressToBytes,
  type Family,
  isUnspecified,
  parseAddress,
} from '../ip/address.ts'
import { families } from '../ip/by-family.ts'
import { formatPrefix, network as networkOf, type Prefix } from '../ip/prefix.ts'
import { priorities } from '../netlink/nftables/chain.ts'
import type { SetElement, SetRef } from '../netlink/nftables/element.ts'
import type { Expression } from '../netlink/nftables/expression.ts'
import {
  addressIs,
  addressVerdict,
  destinationIsLocal,
  familyIs,
  interfaceIs,
  masquerade,
  statusHas,
  verdict,
} from '../netlink/nftables/match.ts'
import {
  dnatToMap,
  endpointData,
  type HostPort,
  portKey,
  portMapType,
} from '../netlink/nftables/port-map.ts'
import type { Rule } from '../netlink/nftables/rule.ts'
import type { NftSet } from '../netlink/nftables/set.ts'
import type { ChainSpec } from '../netlink/nftables/table-spec.ts'
import type { Owner } from './masquerade-pool.ts'
import { nameHash } from './names.ts'
import { pluginTable } from './plugin-parts.ts'
import type { PortMapping } from './port-mapping.ts'
import { portTag } from './port-owner.ts'

/** The ports that lead to one interface of one container. */
export interface Published {
  /** The CNI network's name, whatever it holds. */
  readonly network: string
  readonly owner: Owner
  readonly mappings: readonly PortMapping[]
  /** The container's addresses; the first of each family is where ports lead. */
  readonly addresses: readonly Address[]
  /**
   * Whose packets to the published container take the host's address: its own subnets and
   * 127.0.0.0/8, none to translate nobody's. Each list makes a chain, which containers share.
   */
  readonly near: readonly Prefix[]
}

/** An element and where it belongs. */
export interface Place {
  readonly set: SetRef
  readonly element: SetElement
}

/** A place in a port map, and the port it is for. */
export interface PortPlace extends Place {
  readonly family: Family
  readonly hostPort: HostPort
}

/** The map of ports on every address, or of those on one. */
export function portMapRef(family: Family, byAddress: boolean): SetRef {
  return { table: pluginTable, set: portMapName(family, byAddress) }
}

function portMapName(family: Family, byAddress: boolean): string {
  return byAddress ? `ports${family}-at` : `ports${family}`
}

/** The map of chains by a container's address. */
export function nearRef(family: Family): SetRef {
  return { table: pluginTable, set: nearName(family) }
}

function nearName(family: Family): string {
  return `near${family}`
}

/** A place's set and key as text. */
export function placeName({ set: { set }, element: { key } }: Place): string {
  return `${set} ${key.join('.')}`
}

/** Every element that publishes a port, each key once: the first mapping of a port counts. */
export function portPlaces(published: Omit<Published, 'near'>): PortPlace[] {
  const { network, owner, mappings, addresses } = published
  const comment = portTag(network, owner)
  const places = new Map<string, PortPlace>()
  for (const mapping of mappings) {
    const { protocol, hostPort: port, containerPort } = mapping
    const on = hostAddress(mapping)
    for (const family of families) {
      const address = addresses.find((candidate) => candidate.family === family)
      if (!address || (on && on.family !== family)) continue
      const hostPort = { protocol, port, ...(on && !isUnspecified(on) && { address: on }) }
      const data = endpointData({ address, port: containerPort })
      const element = { key: portKey(hostPort), data, comment }
      const set = portMapRef(family, hostPort.address !== undefined)
      const place = { family, hostPort, set, element }
      if (!places.has(placeName(place))) places.set(placeName(place), place)
    }
  }
  return [...places.values()]
}

function hostAddress({ hostIp }: PortMapping): Address | undefined {
  if (hostIp === undefined) return undefined
  const address = parseAddress(hostIp)
  if (!address) throw new RangeError(`"${hostIp}" is not an address of the host`)
  return address
}

/** The elements that lead from the container's addresses to the chains of their neighbours. */
export function nearPlaces(published: Omit<Published, 'mappings'>): Place[] {
  const { network, owner, addresses, near } = published
  const comment = portTag(network, owner)
  return families.flatMap((family) => {
    const address = addresses.find((candidate) => candidate.family === family)
    const chain = nearChain(near, family)
    if (!address || !chain) return []
    const data = { code: 'jump' as const, chain: chain.name }
    return { set: nearRef(family), element: { key: addressToBytes(address), data, comment } }
  })
}

/** Where the elements of `nearPlaces` are, whatever the neighbours. */
export function nearKeys(addresses: readonly Address[]): Place[] {
  return families.flatMap((family) => {
    const address = addresses.find((candidate) => candidate.family === family)
    return address ? { set: nearRef(family), element: { key: addressToBytes(address) } } : []
  })
}

/** The chain for one list of neighbours, named after it; undefined for an empty one. */
export function nearChain(near: readonly Prefix[], family: Family): ChainSpec | undefined {
  const texts = new Map<string, Prefix>()
  for (const prefix of near) {
    if (prefix.address.family === family) texts.set(formatPrefix(networkOf(prefix)), prefix)
  }
  if (texts.size === 0) return undefined
  const names = [...texts.keys()].sort()
  const rules = names.flatMap((name) => {
    const prefix = texts.get(name)
    if (!prefix) return []
    return { expressions: [...familyIs(family), ...addressIs('source', prefix), masquerade()] }
  })
  return { name: `${nearName(family)}-${nameHash(names.join(' '))}`, rules }
}

/** Whether a chain of this name is one of neighbours. */
export function isNearChain(name: string): boolean {
  return /^near[46]-/.test(name)
}

/** The maps, empty. */
export function publishedSets(): NftSet[] {
  return families.flatMap((family) => {
    const address = family === 4 ? ('ipv4_addr' as const) : ('ipv6_addr' as const)
    return [
      { name: portMapName(family, false), ...portMapType(family), flags: [] },
      { name: portMapName(family, true), ...portMapType(family, { byAddress: true }), flags: [] },
      { name: nearName(family), key: [address], data: 'verdict' as const, flags: [] },
    ]
  })
}

/** The chain with the rules for ports, to which the hooks lead. */
export const publishedChain = 'published'

/** The chains that every published port needs. */
export function publishedChains(): ChainSpec[] {
  return [
    { name: publishedChain, rules: dnatRules() },
    { ...natChain('prerouting', PRIORITY), name: 'prerouting', rules: toThisHost() },
    { ...natChain('output', PRIORITY), name: 'output', rules: toThisHost() },
    { ...natChain('postrouting', priorities.srcnat), name: 'near', rules: nearRules() },
    {
      // 127.0.0.1 leads to containers by route_localnet, which would let them reach what listens
      // there on the host.
      name: 'loopback',
      base: { type: 'filter', hook: 'prerouting', priority: priorities.raw, policy: 'accept' },
      rules: rulesOf([
        ...familyIs(4),
        ...addressIs('destination', loopback4),
        ...interfaceIs('input', 'lo', { not: true }),
        verdict('drop'),
      ]),
    },
  ]
}

/** After everything that others have at dstnat. */
const PRIORITY = priorities.dstnat + 5

const loopback4: Prefix = { address: { family: 4, value: 0x7f000000n }, length: 8 }
const loopback6: Prefix = { address: { family: 6, value: 1n }, length: 128 }

function natChain(hook: 'prerouting' | 'output' | 'postrouting', priority: number) {
  return { base: { type: 'nat', hook, priority, policy: 'accept' as const } }
}

function toThisHost(): Rule[] {
  return rulesOf([...destinationIsLocal(), verdict('jump', publishedChain)])
}

function dnatRules(): Rule[] {
  return rulesOf(
    // IPv6 cannot leave the host from ::1: refused at once, clients go on to 127.0.0.1.
    [...familyIs(6), ...addressIs('destination', loopback6), verdict('return')],
    ...families.flatMap((family) => [
      [
        ...familyIs(family),
        ...dnatToMap({ name: portMapName(family, true), family }, { byAddress: true }),
      ],
      dnatToMap({ name: portMapName(family, false), family }),
    ]),
  )
}

function nearRules(): Rule[] {
  return rulesOf(
    ...families.map((family) => [
      ...statusHas('dnat'),
      ...familyIs(family),
      ...addressVerdict('destination', { name: nearName(family), family }),
    ]),
  )
}

function rulesOf(...rules: readonly (readonly Expression[])[]): Rule[] {
  return rules.map((expressions) => ({ expressions }))
}
