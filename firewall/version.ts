import type { Connection } from '../netlink/connection.ts'
import type { TableRef } from '../netlink/nftables/codec.ts'
import { find } from '../netlink/nftables/find.ts'
import { getTable, type Table } from '../netlink/nftables/table.ts'

/** The form of our tables. Raise it when an older heddle could not live with what is written. */
export const tableVersion = 1

/** The comment of every table of ours, which carries the version. */
export const tableComment = `heddle v=${tableVersion}`

/** A table was written by a newer heddle. It stays as it is. */
export class FirewallVersionError extends Error {
  override readonly name = 'FirewallVersionError'
  readonly table: string
  readonly found: number
  readonly known: number

  constructor({ family, name }: TableRef, found: number) {
    super(
      `nftables table ${family} ${name} has version ${found}, this heddle knows up to ${tableVersion}`,
    )
    this.table = `${family} ${name}`
    this.found = found
    this.known = tableVersion
  }
}

/**
 * Whether the table is of today's version: false for an older one, or one that carries none, which
 * is to be replaced as a whole. Throws `FirewallVersionError` for a newer one.
 */
export function isCurrent(table: Table): boolean {
  const found = Number(/^heddle v=(\d+)$/.exec(table.comment ?? '')?.[1] ?? 0)
  if (found > tableVersion) throw new FirewallVersionError(table, found)
  return found === tableVersion
}

/** Looks for a table of ours: it may be missing, old, or as we write it. Throws as `isCurrent`. */
export function findTable(connection: Connection, ref: TableRef): 'missing' | 'old' | 'current' {
  const table = find(connection, getTable(ref))
  if (!table) return 'missing'
  return isCurrent(table) ? 'current' : 'old'
}
