import {
  type Address,
  type Family,
  formatAddress,
  parseAddress,
  sameAddress,
} from '../../ip/address.ts'
import { type ByFamily, byFamily, families } from '../../ip/by-family.ts'
import { type InterfaceAddress, listAddresses } from '../../netlink/address.ts'
import type { Connection } from '../../netlink/connection.ts'
import { isErrno } from '../../netlink/errors.ts'
import { type Link, listLinks } from '../../netlink/link.ts'
import { getRoute, listRoutes } from '../../netlink/route.ts'
import type { Uplink } from '../backend/backend.ts'

/** How the operator wants the interface chosen: flannel's `--iface…` and `--public-ip…`. */
export interface UplinkChoice {
  /** Names or addresses, the first that exists wins. */
  readonly ifaces: readonly string[]
  /** Matched against addresses, then against names. */
  readonly regexes: readonly RegExp[]
  readonly canReach: Address | undefined
  readonly publicIP: ByFamily<Address>
}

/** What the host has, in the kernel's order. */
export interface UplinkFacts {
  readonly links: readonly Link[]
  readonly addresses: readonly InterfaceAddress[]
  /** Indexes of the interfaces that default routes leave by, the preferred one first. */
  readonly defaults: ByFamily<readonly number[]>
  /** The interface by which `canReach` is reached, for its family. */
  readonly reach: ByFamily<number>
}

const TABLE_MAIN = 254

/** Asks the kernel for everything a choice may depend on. */
export function readUplinkFacts(connection: Connection, choice: UplinkChoice): UplinkFacts {
  const { canReach } = choice
  const reach = canReach && reachedBy(connection, canReach)
  return {
    links: connection.dump(listLinks()),
    addresses: connection.dump(listAddresses()),
    defaults: byFamily((family) =>
      connection
        .dump(listRoutes({ family, table: TABLE_MAIN }))
        .filter(
          ({ destination, type }) => destination.length === 0 && (type ?? 'unicast') === 'unicast',
        )
        .sort((a, b) => (a.priority ?? 0) - (b.priority ?? 0))
        .flatMap(({ oif, hops }) =>
          oif === undefined ? (hops ?? []).map((hop) => hop.oif) : [oif],
        )
        .filter((index) => index !== undefined),
    ),
    reach: byFamily((family) => (canReach?.family === family ? reach : undefined)),
  }
}

function reachedBy(connection: Connection, address: Address): number | undefined {
  try {
    return connection.get(getRoute(address)).oif
  } catch (error) {
    if (isErrno(error, 'ENETUNREACH', 'EHOSTUNREACH')) return undefined
    throw error
  }
}

/**
 * Chooses for each family that is needed the interface and address that traffic between hosts uses:
 * the `present` ones as long as they will do. A string says what is missing: the caller waits for it.
 */
export function chooseUplinks(
  needed: readonly Family[],
  choice: UplinkChoice,
  facts: UplinkFacts,
  present: ByFamily<Uplink> = {},
): ByFamily<Uplink> | string {
  const missing: string[] = []
  const uplinks = byFamily((family): Uplink | undefined => {
    if (!needed.includes(family)) return undefined
    const found = candidates(family, choice, facts, present[family]).filter(
      (one) => one !== undefined,
    )
    const index = facts.links.find(({ name }) => name === present[family]?.name)?.index
    const address = found.find((one) => one.index === index) ?? found[0]
    const link = facts.links.find((one) => one.index === address?.index)
    if (!address || !link) {
      missing.push(`no IPv${family} address ${describeChoice(choice)}`)
      return undefined
    }
    const own = address.prefix.address
    const { name, mtu } = link
    const publicIP = choice.publicIP[family] ?? own
    return { index: link.index, name, mtu, address: own, publicIP }
  })
  return missing.length > 0 ? missing.join(', ') : uplinks
}

/** The addresses that may be it, the best first. */
function candidates(
  family: Family,
  choice: UplinkChoice,
  facts: UplinkFacts,
  present: Uplink | undefined,
): (InterfaceAddress | undefined)[] {
  const isPresent = ({ prefix }: InterfaceAddress): boolean =>
    present !== undefined && sameAddress(prefix.address, present.address)
  const usable = facts.addresses
    .filter(({ prefix }) => prefix.address.family === family)
    // One that the link does not have for sure yet, or is about to lose, is none.
    .filter(({ deprecated, tentative, dadFailed }) => !deprecated && !tentative && !dadFailed)
    .sort((a, b) => Number(isPresent(b)) - Number(isPresent(a)) || rank(a) - rank(b))
  const onLink = (index: number | undefined): InterfaceAddress | undefined =>
    usable.find((address) => address.index === index)
  const { ifaces, regexes, canReach, publicIP } = choice
  if (ifaces.length > 0) return ifaces.map((iface) => byNameOrAddress(iface, usable, facts))
  if (regexes.length > 0) return regexes.flatMap((regex) => byRegex(regex, usable, facts))
  // A reachability test in one family says on which interface the other one is wanted too.
  if (canReach) return [onLink(facts.reach[family] ?? facts.reach[canReach.family])]
  const advertised = publicIP[family]
  return [
    advertised && usable.find(({ prefix }) => sameAddress(prefix.address, advertised)),
    ...(facts.defaults[family] ?? []).map(onLink),
    // The other family's default route still tells where the other hosts are.
    ...families.flatMap((other) => (facts.defaults[other] ?? []).map(onLink)),
  ]
}

function byNameOrAddress(
  iface: string,
  usable: readonly InterfaceAddress[],
  { links, addresses }: UplinkFacts,
): InterfaceAddress | undefined {
  const wanted = parseAddress(iface)
  if (!wanted) {
    const link = links.find(({ name }) => name === iface)
    return usable.find(({ index }) => index === link?.index)
  }
  const exact = usable.find(({ prefix }) => sameAddress(prefix.address, wanted))
  if (exact) return exact
  // An IPv4 address names the interface for IPv6 as well.
  const holder = addresses.find(({ prefix }) => sameAddress(prefix.address, wanted))
  return usable.find(
    ({ index, prefix }) => index === holder?.index && prefix.address.family !== wanted.family,
  )
}

function byRegex(
  regex: RegExp,
  usable: readonly InterfaceAddress[],
  { links }: UplinkFacts,
): (InterfaceAddress | undefined)[] {
  const names = links.filter(({ name }) => regex.test(name))
  return [
    usable.find(({ prefix }) => regex.test(formatAddress(prefix.address))),
    ...names.map((link) => usable.find(({ index }) => index === link.index)),
  ]
}

const SCOPE_GLOBAL = 0
const SCOPE_LINK = 253

/** Global before link-local, permanent before dynamic, lasting before temporary (privacy). */
function rank({ scope, permanent, temporary }: InterfaceAddress): number {
  const reach = scope === SCOPE_GLOBAL ? 0 : scope < SCOPE_LINK ? 4 : scope === SCOPE_LINK ? 8 : 16
  return reach + (permanent ? 0 : 1) + (temporary ? 2 : 0)
}

function describeChoice({ ifaces, regexes, canReach }: UplinkChoice): string {
  if (ifaces.length > 0) return `on an interface that is ${ifaces.join(' or ')}`
  if (regexes.length > 0)
    return `or interface name that matches ${regexes.map(String).join(' or ')}`
  if (canReach) return `on the interface that reaches ${formatAddress(canReach)}`
  return 'on the interface of the default route (--iface chooses one)'
}
