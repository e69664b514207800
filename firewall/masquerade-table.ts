/** The plugin's table as a whole: making what is missing of it, and rebuilding it from records. */
import type { Request } from '../netlink/codec/message.ts'
import type { Connection } from '../netlink/connection.ts'
import { addChain, listChains } from '../netlink/nftables/chain.ts'
import type { SetElement } from '../netlink/nftables/element.ts'
import { newIntervalElements, prefixRanges } from '../netlink/nftables/interval.ts'
import { addressIn, familyIs, masquerade } from '../netlink/nftables/match.ts'
import { addRule, type Rule } from '../netlink/nftables/rule.ts'
import { listSets } from '../netlink/nftables/set.ts'
import { addTable, deleteTable, getGeneration } from '../netlink/nftables/table.ts'
import {
  createSet,
  createTable,
  readTable,
  type SetSpec,
  sameTable,
  type TableSpec,
} from '../netlink/nftables/table-spec.ts'
import { applyTransaction } from '../netlink/nftables/transaction.ts'
import {
  hostElements,
  type Masquerade,
  type Pool,
  pluginTable,
  poolsOf,
  postrouting,
} from './masquerade-pool.ts'
import { commentText } from './names.ts'
import { masqueradedElsewhere, multicast } from './not-masqueraded.ts'
import { whileUnchanged } from './sync.ts'
import { findTable, isCurrent, tableComment } from './version.ts'

/** What a pool is made of, with no hosts in it. */
interface PoolSpec {
  readonly hosts: SetSpec
  readonly exempt: SetSpec
  readonly rule: Rule
}

function poolSpec({ family, network, hosts, exempt, exemptions }: Pool): PoolSpec {
  const key = [family === 4 ? ('ipv4_addr' as const) : ('ipv6_addr' as const)]
  const ranges = prefixRanges([...exemptions, multicast[family]], family)
  const comment = commentText(network)
  return {
    hosts: { name: hosts.set, key, flags: [], comment, elements: [] },
    exempt: {
      name: exempt.set,
      key,
      flags: ['interval'],
      comment,
      elements: newIntervalElements(ranges, family),
    },
    rule: poolRule({ family, network, hosts, exempt }),
  }
}

/** The one rule of a pool. */
export function poolRule(pool: Omit<Pool, 'exemptions'>): Rule {
  const { family, network, hosts, exempt } = pool
  return {
    expressions: [
      ...familyIs(family),
      ...addressIn('source', { name: hosts.set, family }),
      ...addressIn('destination', { name: exempt.set, family }, { not: true }),
      masquerade(),
    ],
    comment: commentText(network),
  }
}

/**
 * Makes what is missing of the table, its chain and these pools. A pool's rule is written with its
 * sets, and only for the generation in which they were seen missing, so two first attachments at
 * once cannot write it twice. Throws as `syncTable`.
 */
export function createPools(connection: Connection, pools: readonly Pool[]): void {
  whileUnchanged(() => {
    const generation = connection.get(getGeneration())
    const operations = missingParts(connection, pools)
    if (operations.length > 0) applyTransaction(connection, operations, { generation })
  })
}

function missingParts(connection: Connection, pools: readonly Pool[]): Request[] {
  const found = findTable(connection, pluginTable)
  const { chains, sets } = found === 'current' ? namesIn(connection) : { chains: [], sets: [] }
  return [
    ...(found === 'old' ? [deleteTable(pluginTable)] : []),
    ...(found === 'current' ? [] : [addTable({ ...pluginTable, comment: tableComment })]),
    ...(chains.includes(postrouting.name) ? [] : createChain()),
    ...pools
      .filter(({ hosts, exempt }) => !sets.includes(hosts.set) || !sets.includes(exempt.set))
      .flatMap(createPool),
  ]
}

function namesIn(connection: Connection): { chains: string[]; sets: string[] } {
  const chains = connection.dump(listChains(pluginTable.family))
  return {
    chains: chains.flatMap(({ table, chain }) =>
      table.name === pluginTable.name ? chain.name : [],
    ),
    sets: connection.dump(listSets(pluginTable)).map(({ name }) => name),
  }
}

function createChain(): Request[] {
  return [
    addChain(pluginTable, postrouting),
    addRule(pluginTable, postrouting.name, masqueradedElsewhere()),
  ]
}

function createPool(pool: Pool): Request[] {
  const { hosts, exempt, rule } = poolSpec(pool)
  return [
    ...createSet(pluginTable, hosts),
    ...createSet(pluginTable, exempt),
    addRule(pluginTable, postrouting.name, rule),
  ]
}

/** The table that these attachments want, and no others. Pure. */
export function masqueradeTable(attachments: readonly Masquerade[]): TableSpec {
  const members = new Map<string, { pool: Pool; elements: SetElement[] }>()
  for (const attachment of attachments) {
    for (const pool of poolsOf(attachment)) {
      const known = members.get(pool.hosts.set) ?? { pool, elements: [] }
      known.elements.push(...hostElements(pool, attachment))
      members.set(pool.hosts.set, known)
    }
  }
  const pools = [...members.values()].map(({ pool, elements }) => {
    const { hosts, exempt, rule } = poolSpec(pool)
    return { sets: [{ ...hosts, elements: lastOfKey(elements) }, exempt], rule }
  })
  const rules = [masqueradedElsewhere(), ...pools.map(({ rule }) => rule)]
  return {
    ...pluginTable,
    comment: tableComment,
    sets: pools.flatMap(({ sets }) => sets),
    chains: [{ ...postrouting, rules }],
  }
}

/** Two records claim one address if a container went without DEL: the later one has it. */
function lastOfKey(elements: readonly SetElement[]): SetElement[] {
  return [...new Map(elements.map((element) => [element.key.join('.'), element])).values()]
}

/**
 * Makes the table hold what the attachments want, such as after somebody flushed the firewall, and
 * writes nothing if it does. `read` lists the attachments; it is called after the kernel's
 * generation is read, and again when another transaction came between, so an attachment whose
 * record is written before its elements is never lost. Throws as `syncTable`.
 */
export function syncMasquerade(
  connection: Connection,
  read: () => readonly Masquerade[],
): 'unchanged' | 'written' {
  return whileUnchanged(() => {
    const { table: found, generation } = readTable(connection, pluginTable)
    const attachments = read()
    const wanted = masqueradeTable(attachments)
    const isRight = found ? isCurrent(found) && holds(found, wanted) : attachments.length === 0
    if (isRight) return 'unchanged'
    const removal = found ? [deleteTable(pluginTable)] : []
    applyTransaction(connection, [...removal, ...createTable(wanted)], { generation })
    return 'written'
  })
}

/**
 * Whether the table is as wanted. A pool whose last host went may stay, so that the next one is
 * quick, and the pools may have come in any order.
 */
function holds(found: TableSpec, wanted: TableSpec): boolean {
  const needed = new Set(wanted.sets.map(({ name }) => name))
  const idle = found.sets.filter(({ name, elements, flags }) => {
    return !needed.has(name) && (flags.includes('interval') || elements.length === 0)
  })
  const names = new Set(idle.map(({ name }) => name))
  const busy = {
    ...found,
    sets: found.sets.filter(({ name }) => !names.has(name)),
    chains: found.chains.map((chain) => ({
      ...chain,
      rules: chain.rules.filter((rule) => !setsOf(rule).some((set) => names.has(set))),
    })),
  }
  return sameTable(inOrder(busy), inOrder(wanted))
}

/** The table with the pools' rules, all but the first one, in the order of their sets' names. */
function inOrder(table: TableSpec): TableSpec {
  const chains = table.chains.map(({ rules: [first, ...pools], ...chain }) => ({
    ...chain,
    rules: [...(first ? [first] : []), ...pools.sort((a, b) => (key(a) < key(b) ? -1 : 1))],
  }))
  return { ...table, chains }
}

function key(rule: Rule): string {
  return setsOf(rule).join(' ')
}

function setsOf(rule: Rule): string[] {
  return rule.expressions.flatMap((expression) =>
    expression.name === 'lookup' ? (expression.attrs.set ?? '') : [],
  )
}
