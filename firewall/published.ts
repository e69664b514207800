/**
 * What the plugin does to the firewall for the ports of one attachment; `published-parts.ts` has
 * the form of it. A port belongs to one owner: of two who want it at once one comes first, since a
 * transaction counts only if nothing changed since its maps were looked at.
 */
import { type Address, formatAddress } from '../ip/address.ts'
import { families } from '../ip/by-family.ts'
import type { Connection } from '../netlink/connection.ts'
import { flushConntrack } from '../netlink/conntrack.ts'
import { isErrno } from '../netlink/errors.ts'
import { portKey } from '../netlink/nftables/port-map.ts'
import { renderRule } from '../netlink/nftables/render-rule.ts'
import { listRules, type Rule } from '../netlink/nftables/rule.ts'
import { applyTransaction } from '../netlink/nftables/transaction.ts'
import type { Owner } from './masquerade-pool.ts'
import { pluginTable } from './plugin-parts.ts'
import type { PortMapping } from './port-mapping.ts'
import {
  type Holder,
  holderOf,
  isSameContainer,
  networkTag,
  PortTaken,
  portTag,
} from './port-owner.ts'
import { chainsOf, createPublishedParts } from './published-create.ts'
import { allPlaces, lookAt, portsIn } from './published-look.ts'
import {
  nearKeys,
  nearPlaces,
  type Place,
  type PortPlace,
  type Published,
  portMapRef,
  portPlaces,
} from './published-parts.ts'
import { deletions, insertions, isAsWanted, isSiblings, present } from './published-places.ts'
import { whileUnchanged } from './sync.ts'
import { isCurrent } from './version.ts'

export interface PublishOptions {
  /** Whether whoever has a port is still there; from one who is not it is taken over. */
  readonly isAlive?: (holder: Holder) => boolean
}

/**
 * Sends the host's ports to the container, in one transaction, and forgets the connections that
 * were tracked to these ports before, where clients stay with them. Doing it again changes nothing,
 * and a port that leads to another interface of the container goes on doing so.
 * Throws `PortTaken`, `NetlinkError` or `FirewallVersionError`, with nothing published.
 */
export function publishPorts(
  connection: Connection,
  published: Published,
  { isAlive = () => true }: PublishOptions = {},
): void {
  const ports = portPlaces(published)
  const near = nearPlaces(published)
  if (ports.length === 0) return
  const attempt = () => whileUnchanged(() => publishOnce(connection, { ports, near, isAlive }))
  try {
    attempt()
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error
    createPublishedParts(connection, published)
    attempt()
  }
  forgetConnections(connection, ports)
}

interface Wanted extends Required<PublishOptions> {
  readonly ports: readonly PortPlace[]
  readonly near: readonly Place[]
}

function publishOnce(connection: Connection, { ports, near, isAlive }: Wanted): void {
  const guards = ports.filter(({ hostPort }) => hostPort.address).map(onEveryAddress)
  const { generation, table, found } = lookAt(connection, [...ports, ...near, ...guards])
  // Throws for a newer one. A missing one shows when elements are added.
  if (table) isCurrent(table)
  const mine = ports[0]?.element.comment
  const rivals = [...present([...ports, ...guards], found), ...narrower(connection, ports)].filter(
    ({ element: { comment } }) => comment !== mine && !isSameContainer(comment, mine),
  )
  for (const { hostPort, element } of rivals) {
    const { protocol, port, address } = hostPort
    const holder = holderOf(element.comment ?? '')
    const hostIp = address && formatAddress(address)
    if (isAlive(holder)) throw new PortTaken({ protocol, port, hostIp }, holder)
  }
  const additions = [...ports.filter((place) => !isSiblings(place, found)), ...near].filter(
    (place) => !isAsWanted(place, found),
  )
  const removals = [...present(additions, found), ...rivals]
  applyTransaction(connection, [...deletions(removals), ...insertions(additions)], { generation })
}

/** The place of every address's port, for one that is wanted on a single address. */
function onEveryAddress(place: PortPlace): PortPlace {
  const { family, hostPort, element } = place
  const { protocol, port } = hostPort
  const key = portKey({ protocol, port })
  // `hostPort` keeps the address: it is where the two clash.
  return { family, hostPort, set: portMapRef(family, false), element: { ...element, key } }
}

/** What single addresses have of the ports that are wanted on every one. */
function narrower(connection: Connection, ports: readonly PortPlace[]): PortPlace[] {
  return families.flatMap((family) => {
    const wanted = new Set<string>()
    for (const { family: own, hostPort } of ports) {
      if (own === family && !hostPort.address) wanted.add(`${hostPort.protocol} ${hostPort.port}`)
    }
    if (wanted.size === 0) return []
    return portsIn(connection, family, true).filter(({ hostPort }) =>
      wanted.has(`${hostPort.protocol} ${hostPort.port}`),
    )
  })
}

/** Whose ports: all of the owner's, or with the record's mappings and addresses these. */
export interface Unpublished {
  readonly network: string
  readonly owner: Owner
  readonly mappings?: readonly PortMapping[]
  readonly addresses?: readonly Address[]
}

/**
 * Ends what `publishPorts` began, in one transaction, and forgets the connections tracked to the
 * ports. Only what carries the owner's tag goes; nothing there is success. With mappings and
 * addresses, both, it asks for these alone, otherwise it reads everything that is published.
 */
export function unpublishPorts(connection: Connection, what: Unpublished): void {
  const { network, owner, mappings, addresses } = what
  const tag = portTag(network, owner)
  const isMine = ({ element }: Place) => element.comment === tag
  if (!mappings || !addresses) {
    forgetConnections(connection, removeWhere(connection, isMine))
    return
  }
  const ports = portPlaces({ network, owner, mappings, addresses })
  const places = [...ports, ...nearKeys(addresses)]
  whileUnchanged(() => {
    const { generation, found } = lookAt(connection, places)
    const removals = present(places, found).filter(isMine)
    applyTransaction(connection, deletions(removals), { generation })
  })
  // All of them: a DEL that was killed in between has removed the elements.
  forgetConnections(connection, ports)
}

/**
 * Removes what the network's owners have published who are not among these; returns how many ports
 * that was, of each family and address. For the CNI verb GC.
 */
export function prunePublished(
  connection: Connection,
  network: string,
  keep: readonly Owner[],
): number {
  const tags = new Set(keep.map((owner) => portTag(network, owner)))
  const start = networkTag(network)
  const removed = removeWhere(connection, ({ element: { comment = '' } }) => {
    return comment.startsWith(start) && !tags.has(comment)
  })
  forgetConnections(connection, removed)
  return removed.length
}

function removeWhere(connection: Connection, isDoomed: (place: Place) => boolean): PortPlace[] {
  return whileUnchanged(() => {
    const { generation, ports, near } = allPlaces(connection)
    const doomed = ports.filter(isDoomed)
    const removals = [...doomed, ...near.filter(isDoomed)]
    applyTransaction(connection, deletions(removals), { generation })
    return doomed
  })
}

/**
 * What the firewall lacks of an attachment's ports, in words for an operator; undefined when all
 * lead to it. For the CNI verb CHECK.
 */
export function missingPublished(connection: Connection, published: Published): string | undefined {
  const table = `nftables table ${pluginTable.family} ${pluginTable.name}`
  const ports = portPlaces(published)
  const places = [...ports, ...nearPlaces(published)]
  if (ports.length === 0) return undefined
  const { found } = lookAt(connection, places)
  const lacking = places.find((place) => !isAsWanted(place, found) && !isSiblings(place, found))
  if (lacking) return `map ${lacking.set.set} of ${table} has no ${describe(lacking)}`
  const rules = connection.dump(listRules(pluginTable))
  for (const chain of chainsOf(published)) {
    const text = renderRules(chain.rules)
    const there = rules.filter((listed) => listed.chain === chain.name).map(({ rule }) => rule)
    if (renderRules(there) !== text) return `chain ${chain.name} of ${table} is not: ${text}`
  }
  return undefined
}

function describe(place: Place & Partial<PortPlace>): string {
  const { hostPort, element } = place
  if (!hostPort) return `entry of ${element.comment}`
  const { protocol, port, address } = hostPort
  const where = address ? `${formatAddress(address)} ` : ''
  return `${where}${port}/${protocol} of ${element.comment}`
}

function renderRules(rules: readonly Rule[]): string {
  return rules.map((rule) => renderRule(rule, pluginTable.family)).join('; ')
}

/**
 * Clients of UDP stay with one port for long, and those of SCTP often use a fixed one: their
 * packets would go on to where the first one went. TCP's begin anew from another port.
 */
export function forgetConnections(connection: Connection, ports: readonly PortPlace[]): void {
  for (const protocol of ['udp', 'sctp'] as const) {
    for (const family of families) {
      const own = ports.filter((place) => place.family === family)
      const hostPorts = own.flatMap(({ hostPort }) =>
        hostPort.protocol === protocol ? hostPort : [],
      )
      flushConntrack(connection, { family, protocol, ports: hostPorts })
    }
  }
}
