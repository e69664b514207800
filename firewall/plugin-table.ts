/** The plugin's table as a whole, `inet heddle-cni`: rebuilding it from the attachments' records. */
import type { Connection } from '../netlink/connection.ts'
import type { SetElement } from '../netlink/nftables/element.ts'
import type { Rule } from '../netlink/nftables/rule.ts'
import { deleteTable } from '../netlink/nftables/table.ts'
import {
  type ChainSpec,
  createTable,
  readTable,
  sameTable,
  type TableSpec,
} from '../netlink/nftables/table-spec.ts'
import { applyTransaction } from '../netlink/nftables/transaction.ts'
import { type Masquerade, postrouting } from './masquerade-pool.ts'
import { masqueradeTable } from './masquerade-table.ts'
import { pluginTable } from './plugin-parts.ts'
import { forgetConnections } from './published.ts'
import { chainsOf } from './published-create.ts'
import {
  isNearChain,
  nearPlaces,
  type Published,
  placeName,
  portPlaces,
  publishedChain,
  publishedSets,
} from './published-parts.ts'
import { isAsWanted } from './published-places.ts'
import { whileUnchanged } from './sync.ts'
import { isCurrent } from './version.ts'

/** What the attachments of this host want of the table. */
export interface PluginState {
  readonly masqueraded: readonly Masquerade[]
  readonly published: readonly Published[]
}

/**
 * The table that these attachments want, and no others. Of two records that claim one address or
 * one port, which there are if a container went without DEL, the later one has it. Pure.
 */
export function pluginTableSpec({ masqueraded, published }: PluginState): TableSpec {
  const table = masqueradeTable(masqueraded)
  return published.some(hasPorts) ? withPorts(table, published, new Map()) : table
}

/**
 * The same in the place of a table: what has its place there keeps it, and maps that are there stay
 * even when no port is published.
 */
function wantedFor(found: TableSpec, { masqueraded, published }: PluginState): TableSpec {
  const table = masqueradeTable(masqueraded)
  const hasMaps = found.chains.some(({ name }) => name === publishedChain)
  const needsMaps = hasMaps || published.some(hasPorts)
  return needsMaps ? withPorts(table, published, elementsOf(found)) : table
}

function hasPorts(published: Published): boolean {
  return portPlaces(published).length > 0
}

/** The table with the ports. Of two elements with one key the one that was found has the place. */
function withPorts(
  table: TableSpec,
  published: readonly Published[],
  found: ReadonlyMap<string, SetElement>,
): TableSpec {
  const effective = published.filter(hasPorts)
  const elements = new Map<string, Map<string, SetElement>>()
  for (const one of effective) {
    for (const place of [...portPlaces(one), ...nearPlaces(one)]) {
      const { set, element } = place
      const known = elements.get(set.set) ?? new Map<string, SetElement>()
      const name = placeName(place)
      const before = known.get(name)
      if (!before || !isAsWanted({ set, element: before }, found)) known.set(name, element)
      elements.set(set.set, known)
    }
  }
  const sets = publishedSets().map((set) => ({
    ...set,
    elements: [...(elements.get(set.name)?.values() ?? [])],
  }))
  const chains = new Map<string, ChainSpec>()
  for (const one of [{ near: [], addresses: [] }, ...effective]) {
    for (const chain of chainsOf(one)) chains.set(chain.name, chain)
  }
  return {
    ...table,
    sets: [...table.sets, ...sets],
    chains: [...table.chains, ...chains.values()],
  }
}

/**
 * Makes the table hold what the attachments want, such as after somebody flushed the firewall, and
 * writes nothing if it does. `read` lists them; it is called after the kernel's generation is read,
 * and again when another transaction came between, so an attachment whose record is written before
 * its elements is never lost. Throws as `syncTable`.
 */
export function syncPluginTable(
  connection: Connection,
  read: () => PluginState,
): 'unchanged' | 'written' {
  return whileUnchanged(() => {
    const { table: found, generation } = readTable(connection, pluginTable)
    const state = read()
    const wanted = found ? wantedFor(found, state) : pluginTableSpec(state)
    if (found ? isCurrent(found) && holds(found, wanted) : isEmpty(wanted)) return 'unchanged'
    const removal = found ? [deleteTable(pluginTable)] : []
    applyTransaction(connection, [...removal, ...createTable(wanted)], { generation })
    // Packets did not find these until now, and may have gone elsewhere.
    const there = elementsOf(found)
    const lacking = state.published.flatMap(portPlaces).filter((place) => !isAsWanted(place, there))
    forgetConnections(connection, lacking)
    return 'written'
  })
}

function isEmpty({ sets }: TableSpec): boolean {
  return sets.length === 0
}

/** What a table holds, by `placeName`. */
function elementsOf(table: TableSpec | undefined): Map<string, SetElement> {
  const found = new Map<string, SetElement>()
  for (const { name, elements } of table?.sets ?? []) {
    for (const element of elements) {
      found.set(placeName({ set: { table: pluginTable, set: name }, element }), element)
    }
  }
  return found
}

/**
 * Whether the table is as wanted. What is idle may stay, so that the next attachment is quick: the
 * maps of ports without a port, pools and lists of neighbours without a container. Pools may have
 * come in any order.
 */
function holds(found: TableSpec, wanted: TableSpec): boolean {
  const hasPools = wanted.chains.some((chain) => isPostrouting(chain) && chain.rules.length > 1)
  const isMeant = hasPools || found.chains.some(isPostrouting)
  return sameTable(
    canonical(withoutIdlePools(found, wanted)),
    canonical(isMeant ? wanted : withoutChains(wanted, isPostrouting)),
  )
}

function isPostrouting({ name }: ChainSpec): boolean {
  return name === postrouting.name
}

function withoutIdlePools(found: TableSpec, wanted: TableSpec): TableSpec {
  const needed = new Set(wanted.sets.map(({ name }) => name))
  const idle = found.sets.filter(({ name, elements, flags }) => {
    return !needed.has(name) && (flags.includes('interval') || elements.length === 0)
  })
  const names = new Set(idle.map(({ name }) => name))
  return {
    ...found,
    sets: found.sets.filter(({ name }) => !names.has(name)),
    chains: found.chains.map((chain) => ({
      ...chain,
      rules: chain.rules.filter((rule) => !setsOf(rule).some((set) => names.has(set))),
    })),
  }
}

/** The table without neighbours that no container has, and the pools' rules in one order. */
function canonical(table: TableSpec): TableSpec {
  const used = new Set<string>()
  for (const { elements } of table.sets) {
    for (const { data } of elements) {
      if (data && !(data instanceof Uint8Array) && data.chain !== undefined) used.add(data.chain)
    }
  }
  const kept = withoutChains(table, ({ name }) => isNearChain(name) && !used.has(name))
  return {
    ...kept,
    chains: kept.chains.map((chain) => (isPostrouting(chain) ? inOrder(chain) : chain)),
  }
}

function withoutChains(table: TableSpec, isOut: (chain: ChainSpec) => boolean): TableSpec {
  return { ...table, chains: table.chains.filter((chain) => !isOut(chain)) }
}

/** The chain with the pools' rules, all but the first one, in the order of their sets' names. */
function inOrder({ rules: [first, ...pools], ...chain }: ChainSpec): ChainSpec {
  const sorted = pools.sort((a, b) => (key(a) < key(b) ? -1 : 1))
  return { ...chain, rules: [...(first ? [first] : []), ...sorted] }
}

function key(rule: Rule): string {
  return setsOf(rule).join(' ')
}

function setsOf(rule: Rule): string[] {
  return rule.expressions.flatMap((expression) =>
    expression.name === 'lookup' ? (expression.attrs.set ?? '') : [],
  )
}
