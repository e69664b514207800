import type { Connection } from '../netlink/connection.ts'
import { ENODEV } from '../netlink/errors.ts'
import { getLink, type Link, type LinkRef } from '../netlink/link.ts'

/** A link, or undefined when there is none. */
export function findLink(connection: Connection, ref: LinkRef | string): Link | undefined {
  const request = getLink(typeof ref === 'string' ? { name: ref } : ref)
  const [{ error, value }] = connection.exchange([{ ...request, noneErrno: ENODEV }])
  if (error) throw error
  return value
}
