import type { Connection } from '../netlink/connection.ts'
import { isErrno } from '../netlink/errors.ts'
import { getLink, type Link, type LinkRef } from '../netlink/link.ts'

/** A link, or undefined when there is none. */
export function findLink(connection: Connection, ref: LinkRef | string): Link | undefined {
  try {
    return connection.get(getLink(typeof ref === 'string' ? { name: ref } : ref))
  } catch (error) {
    if (isErrno(error, 'ENODEV')) return undefined
    throw error
  }
}
