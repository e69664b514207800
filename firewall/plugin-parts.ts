/** Making what is missing of the plugin's table, `inet heddle-cni`. */
import type { Request } from '../netlink/codec/message.ts'
import type { Connection } from '../netlink/connection.ts'
import { listChains } from '../netlink/nftables/chain.ts'
import type { TableRef } from '../netlink/nftables/codec.ts'
import { listSets } from '../netlink/nftables/set.ts'
import { addTable, deleteTable, getGeneration } from '../netlink/nftables/table.ts'
import { applyTransaction } from '../netlink/nftables/transaction.ts'
import { whileUnchanged } from './sync.ts'
import { findTable, tableComment } from './version.ts'

export const pluginTable: TableRef = { family: 'inet', name: 'heddle-cni' }

/** The names of what the table holds. */
export interface PartNames {
  readonly chains: readonly string[]
  readonly sets: readonly string[]
}

/**
 * Makes the table if it is missing, and in it what `missing` says for the parts that are there. It
 * is written only for the generation in which they were seen, so two who find a part missing at
 * once cannot make it twice. Throws as `syncTable`.
 */
export function createParts(
  connection: Connection,
  missing: (present: PartNames) => readonly Request[],
): void {
  whileUnchanged(() => {
    const generation = connection.get(getGeneration())
    const found = findTable(connection, pluginTable)
    const present = found === 'current' ? namesIn(connection) : { chains: [], sets: [] }
    const operations = [
      ...(found === 'old' ? [deleteTable(pluginTable)] : []),
      ...(found === 'current' ? [] : [addTable({ ...pluginTable, comment: tableComment })]),
      ...missing(present),
    ]
    if (operations.length > 0) applyTransaction(connection, operations, { generation })
  })
}

function namesIn(connection: Connection): PartNames {
  const chains = connection.dump(listChains(pluginTable.family))
  return {
    chains: chains.flatMap(({ table, chain }) =>
      table.name === pluginTable.name ? chain.name : [],
    ),
    sets: connection.dump(listSets(pluginTable)).map(({ name }) => name),
  }
}
