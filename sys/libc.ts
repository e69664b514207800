import { dlopen, FFIType, ptr, read } from 'bun:ffi'

const { i32, u32, i64_fast: i64, u64_fast: u64, ptr: pointer } = FFIType

const symbols = {
  __errno_location: { args: [], returns: pointer },
  access: { args: [pointer, i32], returns: i32 },
  bind: { args: [i32, pointer, u32], returns: i32 },
  close: { args: [i32], returns: i32 },
  flock: { args: [i32, i32], returns: i32 },
  fsync: { args: [i32], returns: i32 },
  getdents64: { args: [i32, pointer, u64], returns: i64 },
  getsockname: { args: [i32, pointer, pointer], returns: i32 },
  link: { args: [pointer, pointer], returns: i32 },
  mkdir: { args: [pointer, u32], returns: i32 },
  open: { args: [pointer, i32, u32], returns: i32 },
  read: { args: [i32, pointer, u64], returns: i64 },
  readlink: { args: [pointer, pointer, u64], returns: i64 },
  recv: { args: [i32, pointer, u64, i32], returns: i64 },
  rename: { args: [pointer, pointer], returns: i32 },
  rmdir: { args: [pointer], returns: i32 },
  send: { args: [i32, pointer, u64, i32], returns: i64 },
  sendto: { args: [i32, pointer, u64, i32, pointer, u32], returns: i64 },
  setns: { args: [i32, i32], returns: i32 },
  setsockopt: { args: [i32, i32, i32, pointer, u32], returns: i32 },
  socket: { args: [i32, i32, i32], returns: i32 },
  statfs: { args: [pointer, pointer], returns: i32 },
  statx: { args: [i32, pointer, i32, u32, pointer], returns: i32 },
  strerror: { args: [i32], returns: pointer },
  symlink: { args: [pointer, pointer], returns: i32 },
  unlink: { args: [pointer], returns: i32 },
  utimensat: { args: [i32, pointer, pointer, i32], returns: i32 },
  write: { args: [i32, pointer, u64], returns: i64 },
} as const

/** glibc under its own name, or musl, which goes by the machine's. */
function openLibc(): ReturnType<typeof dlopen<typeof symbols>> {
  try {
    return dlopen('libc.so.6', symbols)
  } catch {
    return dlopen(`libc.musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`, symbols)
  }
}

export const libc = openLibc().symbols

/** Names of the errno values heddle tells apart (uapi/asm-generic/errno.h). */
const errnoNames: Readonly<Record<number, string>> = {
  1: 'EPERM',
  2: 'ENOENT',
  4: 'EINTR',
  9: 'EBADF',
  11: 'EAGAIN',
  12: 'ENOMEM',
  13: 'EACCES',
  16: 'EBUSY',
  22: 'EINVAL',
  24: 'EMFILE',
  32: 'EPIPE',
  90: 'EMSGSIZE',
  93: 'EPROTONOSUPPORT',
  97: 'EAFNOSUPPORT',
  105: 'ENOBUFS',
  111: 'ECONNREFUSED',
}

/** A system call that failed. `code` is the errno's name, `E<number>` when it has none here. */
export class SyscallError extends Error {
  override readonly name = 'SyscallError'
  readonly call: string
  readonly errno: number
  readonly code: string

  constructor(call: string, errno: number, object?: string) {
    const code = errnoNames[errno] ?? `E${errno}`
    super(`${call}${object === undefined ? '' : ` ${object}`}: ${code}`)
    this.call = call
    this.errno = errno
    this.code = code
  }
}

/** The calling thread's errno; to be read straight after the call it belongs to. */
export function errno(): number {
  const location = libc.__errno_location()
  return location === null ? 0 : read.i32(location)
}

/** Passes a result on, or throws what errno says when it is negative. EINTR is the caller's to retry. */
export function check(call: string, result: number | bigint, object?: string): number {
  if (result < 0) throw new SyscallError(call, errno(), object)
  return Number(result)
}

/** The address of a buffer, for one call; the buffer must stay referenced until the call returns. */
export function address(buffer: Uint8Array): ReturnType<typeof ptr> {
  return ptr(buffer)
}
