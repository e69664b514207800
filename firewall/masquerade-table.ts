/** The masquerading part of the plugin's table: making what is missing of it, and the whole of it. */
import type { Request } from '../netlink/codec/message.ts'
import type { Connection } from '../netlink/connection.ts'
import { addChain } from '../netlink/nftables/chain.ts'
import type { SetElement } from '../netlink/nftables/element.ts'
import { newIntervalElements, prefixRanges } from '../netlink/nftables/interval.ts'
import { addressIn, familyIs, masquerade } from '../netlink/nftables/match.ts'
import { addRule, type Rule } from '../netlink/nftables/rule.ts'
import { createSet, type SetSpec, type TableSpec } from '../netlink/nftables/table-spec.ts'
import {
  hostElements,
  type Masquerade,
  type Pool,
  poolsOf,
  postrouting,
} from './masquerade-pool.ts'
import { commentText } from './names.ts'
import { masqueradedElsewhere, multicast } from './not-masqueraded.ts'
import { createParts, pluginTable } from './plugin-parts.ts'
import { tableComment } from './version.ts'

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
 * sets. Throws as `syncTable`.
 */
export function createPools(connection: Connection, pools: readonly Pool[]): void {
  createParts(connection, ({ chains, sets }) => [
    ...(chains.includes(postrouting.name) ? [] : createChain()),
    ...pools
      .filter(({ hosts, exempt }) => !sets.includes(hosts.set) || !sets.includes(exempt.set))
      .flatMap(createPool),
  ])
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
