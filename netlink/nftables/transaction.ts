import type { Request } from '../codec/message.ts'
import type { Connection } from '../connection.ts'
import type { NetlinkError } from '../errors.ts'
import { batchMessage } from './codec.ts'

export interface TransactionOptions {
  /** The generation the operations were made for; ERESTART if the ruleset has changed since. */
  readonly generation?: number
}

/**
 * Carries out all operations or none, and returns each one's error by its index: none if all took
 * effect. Throws `NetlinkError` when the transaction as a whole was refused.
 */
export function tryTransaction(
  connection: Connection,
  operations: readonly Request[],
  { generation }: TransactionOptions = {},
): (NetlinkError | undefined)[] {
  return connection.transact(batchMessage('begin', generation), operations, batchMessage('end'))
}

/**
 * Carries out all operations or none. Throws the `NetlinkError` of the first that failed; the
 * later ones may only have failed for want of it.
 */
export function applyTransaction(
  connection: Connection,
  operations: readonly Request[],
  options?: TransactionOptions,
): void {
  const error = tryTransaction(connection, operations, options).find(Boolean)
  if (error) throw error
}
