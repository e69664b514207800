import type { Request } from '../netlink/codec/message.ts'
import type { Connection } from '../netlink/connection.ts'
import { isErrno } from '../netlink/errors.ts'
import type { TableRef } from '../netlink/nftables/codec.ts'
import { deleteTable } from '../netlink/nftables/table.ts'
import {
  createTable,
  readTable,
  sameTable,
  type TableSpec,
} from '../netlink/nftables/table-spec.ts'
import { applyTransaction } from '../netlink/nftables/transaction.ts'
import { isCurrent } from './version.ts'

export interface SyncOptions {
  /**
   * More operations for the same transaction, made from what the kernel has at that moment; called
   * again when the transaction has to be. If there are any, they are carried out even when the
   * table itself is as wanted.
   */
  readonly alongside?: (connection: Connection) => readonly Request[]
}

/** Somebody else's transaction may come between reading and writing this often. */
const ATTEMPTS = 20

/**
 * Makes the kernel's table equal to the wanted one, in one transaction, and writes nothing when it
 * is so already. A table that differs is replaced as a whole: packets see the old or the new one.
 * Throws `FirewallVersionError` for a table of a newer heddle, `NetlinkError` for what the kernel
 * refuses; nothing has changed then.
 */
export function syncTable(
  connection: Connection,
  wanted: TableSpec,
  { alongside = () => [] }: SyncOptions = {},
): 'unchanged' | 'written' {
  return whileUnchanged(() => {
    const { table: found, generation } = readTable(connection, wanted)
    if (found) isCurrent(found)
    const same = found !== undefined && sameTable(found, wanted)
    const replacement = [...(found ? [deleteTable(wanted)] : []), ...createTable(wanted)]
    const operations = [...(same ? [] : replacement), ...alongside(connection)]
    if (operations.length === 0) return 'unchanged'
    applyTransaction(connection, operations, { generation })
    return 'written'
  })
}

/** Removes a table and all in it. False when it was not there. */
export function removeTable(connection: Connection, ref: TableRef): boolean {
  try {
    applyTransaction(connection, [deleteTable(ref)])
    return true
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false
    throw error
  }
}

/**
 * Reads and writes until no other transaction came between, which the kernel tells by ERESTART.
 * `body` must do both, and name the generation that it read.
 */
export function whileUnchanged<T>(body: () => T): T {
  for (let attempt = 1; ; attempt++) {
    try {
      return body()
    } catch (error) {
      if (attempt === ATTEMPTS || !isErrno(error, 'ERESTART')) throw error
    }
  }
}
