/**
 * The errno values that netlink answers with, by number, as on x86-64, arm64 and every other
 * architecture that uses asm-generic (uapi/asm-generic/errno*.h), with the C library's words.
 */
const ERRNOS: Readonly<Record<number, readonly [code: string, text: string]>> = {
  1: ['EPERM', 'operation not permitted'],
  2: ['ENOENT', 'no such object'],
  3: ['ESRCH', 'no such object'],
  4: ['EINTR', 'interrupted'],
  6: ['ENXIO', 'no such device or address'],
  7: ['E2BIG', 'list too long'],
  9: ['EBADF', 'bad file descriptor'],
  11: ['EAGAIN', 'try again'],
  12: ['ENOMEM', 'out of memory'],
  13: ['EACCES', 'permission denied'],
  14: ['EFAULT', 'bad address'],
  16: ['EBUSY', 'busy'],
  17: ['EEXIST', 'already exists'],
  18: ['EXDEV', 'cross-device link'],
  19: ['ENODEV', 'no such device'],
  22: ['EINVAL', 'invalid argument'],
  23: ['ENFILE', 'too many open files in system'],
  24: ['EMFILE', 'too many open files'],
  28: ['ENOSPC', 'no space left'],
  34: ['ERANGE', 'out of range'],
  36: ['ENAMETOOLONG', 'name too long'],
  39: ['ENOTEMPTY', 'not empty'],
  40: ['ELOOP', 'too many levels'],
  61: ['ENODATA', 'no data'],
  74: ['EBADMSG', 'malformed reply'],
  75: ['EOVERFLOW', 'value too large'],
  85: ['ERESTART', 'changed meanwhile'],
  90: ['EMSGSIZE', 'message too long'],
  92: ['ENOPROTOOPT', 'protocol not available'],
  93: ['EPROTONOSUPPORT', 'protocol not supported'],
  95: ['EOPNOTSUPP', 'operation not supported'],
  97: ['EAFNOSUPPORT', 'address family not supported'],
  98: ['EADDRINUSE', 'address in use'],
  99: ['EADDRNOTAVAIL', 'address not available'],
  100: ['ENETDOWN', 'network is down'],
  101: ['ENETUNREACH', 'network unreachable'],
  105: ['ENOBUFS', 'the kernel dropped messages: no buffer space'],
  107: ['ENOTCONN', 'not connected'],
  110: ['ETIMEDOUT', 'timed out'],
  113: ['EHOSTUNREACH', 'no route to host'],
  114: ['EALREADY', 'already in progress'],
}

export const ENOENT = 2
export const EINTR = 4
export const ENODEV = 19
export const EBADMSG = 74

export interface NetlinkErrorFields {
  /** What was being done and to which object: `add link veth0`. */
  readonly op: string
  /** Positive Linux errno. */
  readonly errno: number
  /** Where it arose: in a reply of the kernel, or in a system call on the socket. */
  readonly source: 'kernel' | 'syscall'
  /** The kernel's own words, from the extended ACK. */
  readonly extack?: string | undefined
  readonly cause?: unknown
}

/**
 * The only error this folder throws for what the kernel or the socket did. A malformed reply is
 * EBADMSG, a dump that was interrupted in every attempt is EINTR, a lost reply ENOBUFS.
 */
export class NetlinkError extends Error {
  override readonly name = 'NetlinkError'
  readonly op: string
  readonly errno: number
  /** The errno's name, such as `EEXIST`; `E<number>` for one that has no name here. */
  readonly code: string
  readonly source: 'kernel' | 'syscall'
  declare readonly extack?: string

  constructor({ op, errno, source, extack, cause }: NetlinkErrorFields) {
    const [code, words] = ERRNOS[errno] ?? [`E${errno}`, `error ${errno}`]
    // A socket says EAGAIN when its timeout is over.
    const text = code === 'EAGAIN' && source === 'syscall' ? 'no answer in time' : words
    const reason = extack ?? (cause instanceof Error ? cause.message : undefined)
    super(`Cannot ${op}: ${text} (${code})${reason ? `: ${reason}` : ''}`, { cause })
    this.op = op
    this.errno = errno
    this.code = code
    this.source = source
    if (extack !== undefined) this.extack = extack
  }
}

/** Whether this is a `NetlinkError` with one of these codes: `isErrno(error, 'EEXIST')`. */
export function isErrno(error: unknown, ...codes: readonly string[]): error is NetlinkError {
  return error instanceof NetlinkError && codes.includes(error.code)
}
