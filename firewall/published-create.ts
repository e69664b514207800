import { families } from '../ip/by-family.ts'
import type { Connection } from '../netlink/connection.ts'
import { addChain } from '../netlink/nftables/chain.ts'
import { addRule } from '../netlink/nftables/rule.ts'
import { addSet } from '../netlink/nftables/set.ts'
import type { ChainSpec } from '../netlink/nftables/table-spec.ts'
import { createParts, pluginTable } from './plugin-parts.ts'
import { nearChain, type Published, publishedChains, publishedSets } from './published-parts.ts'

/**
 * Makes what is missing of the maps and chains of published ports, and the chains of
 * this one's neighbours. A chain's rules are written with it. Throws as `syncTable`.
 */
export function createPublishedParts(connection: Connection, published: Neighbours): void {
  createParts(connection, (present) => {
    const wanted = chainsOf(published).filter(({ name }) => !present.chains.includes(name))
    return [
      ...publishedSets()
        .filter(({ name }) => !present.sets.includes(name))
        .map((set) => addSet(pluginTable, set)),
      ...wanted.map((chain) => addChain(pluginTable, chain)),
      ...wanted.flatMap(({ name, rules }) => rules.map((rule) => addRule(pluginTable, name, rule))),
    ]
  })
}

type Neighbours = Pick<Published, 'near' | 'addresses'>

/** The chains that these published ports need. */
export function chainsOf({ near, addresses }: Neighbours): ChainSpec[] {
  return [
    ...publishedChains(),
    ...families.flatMap((family) => {
      const hasAddress = addresses.some((address) => address.family === family)
      return hasAddress ? (nearChain(near, family) ?? []) : []
    }),
  ]
}
