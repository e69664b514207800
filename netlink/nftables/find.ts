import type { Request } from '../codec/message.ts'
import type { Connection } from '../connection.ts'
import { isErrno } from '../errors.ts'

/** Asks for one object; undefined when it, or what it would be in, is not there. */
export function find<R>(connection: Connection, request: Request<R>): R | undefined {
  try {
    return connection.get(request)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined
    throw error
  }
}
