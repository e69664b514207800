import type { Request } from '../netlink/codec/message.ts'
import { ENOENT } from '../netlink/errors.ts'

/** The request, for which there being nothing is no error: an error object would cost more. */
export function orNone<R>(request: Request<R>): Request<R> {
  return { ...request, noneErrno: ENOENT }
}
