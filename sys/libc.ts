import { dlopen, FFIType, type Pointer, ptr, read } from 'bun:ffi'

const { i64_fast: i64, ptr: pointer } = FFIType

/** One symbol for all calls: each further one costs every start 30 µs, 0.8 ms for the two dozen. */
const symbols = {
  syscall: { args: [i64, i64, i64, i64, i64, i64, i64], returns: i64 },
  __errno_location: { args: [], returns: pointer },
} as const

/** glibc under its own name, or musl, which goes by the machine's. */
function openLibc<const S extends Parameters<typeof dlopen>[1]>(wanted: S) {
  try {
    return dlopen('libc.so.6', wanted)
  } catch {
    return dlopen(`libc.musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`, wanted)
  }
}

const { syscall: call, __errno_location } = openLibc(symbols).symbols

/** Every result here is small enough to be a number, and so are addresses. */
const syscall = call as (...words: number[]) => number

/** The calls' numbers: uapi/asm-generic/unistd.h, which arm64 has, or uapi/asm/unistd_64.h. */
const isArm = process.arch === 'arm64'
const numbers = {
  bind: isArm ? 200 : 49,
  close: isArm ? 57 : 3,
  faccessat: isArm ? 48 : 269,
  flock: isArm ? 32 : 73,
  fsync: isArm ? 82 : 74,
  getdents64: isArm ? 61 : 217,
  getsockname: isArm ? 204 : 51,
  linkat: isArm ? 37 : 265,
  mkdirat: isArm ? 34 : 258,
  openat: isArm ? 56 : 257,
  read: isArm ? 63 : 0,
  readlinkat: isArm ? 78 : 267,
  recvfrom: isArm ? 207 : 45,
  renameat: isArm ? 38 : 264,
  sendto: isArm ? 206 : 44,
  setns: isArm ? 268 : 308,
  setsockopt: isArm ? 208 : 54,
  socket: isArm ? 198 : 41,
  statfs: isArm ? 43 : 137,
  statx: isArm ? 291 : 332,
  unlinkat: isArm ? 35 : 263,
  write: isArm ? 64 : 1,
}

const AT_FDCWD = -100
const AT_REMOVEDIR = 0x200

type P = Pointer

/**
 * The C library's functions as far as heddle uses them, under their names and with their
 * arguments. All return -1 when they fail, and `errno` tells why. The older ones are made of those
 * that arm64 has too.
 */
/* oxlint-disable max-params -- as many as in C */
export const libc = {
  access: (path: P, mode: number) => syscall(numbers.faccessat, AT_FDCWD, path, mode, 0, 0, 0),
  bind: (fd: number, name: P, size: number) => syscall(numbers.bind, fd, name, size, 0, 0, 0),
  close: (fd: number) => syscall(numbers.close, fd, 0, 0, 0, 0, 0),
  flock: (fd: number, operation: number) => syscall(numbers.flock, fd, operation, 0, 0, 0, 0),
  fsync: (fd: number) => syscall(numbers.fsync, fd, 0, 0, 0, 0, 0),
  getdents64: (fd: number, buffer: P, size: number) =>
    syscall(numbers.getdents64, fd, buffer, size, 0, 0, 0),
  getsockname: (fd: number, name: P, size: P) =>
    syscall(numbers.getsockname, fd, name, size, 0, 0, 0),
  link: (from: P, to: P) => syscall(numbers.linkat, AT_FDCWD, from, AT_FDCWD, to, 0, 0),
  mkdir: (path: P, mode: number) => syscall(numbers.mkdirat, AT_FDCWD, path, mode, 0, 0, 0),
  open: (path: P, flags: number, mode: number) =>
    syscall(numbers.openat, AT_FDCWD, path, flags, mode, 0, 0),
  read: (fd: number, buffer: P, size: number) => syscall(numbers.read, fd, buffer, size, 0, 0, 0),
  readlink: (path: P, buffer: P, size: number) =>
    syscall(numbers.readlinkat, AT_FDCWD, path, buffer, size, 0, 0),
  recv: (fd: number, buffer: P, size: number, flags: number) =>
    syscall(numbers.recvfrom, fd, buffer, size, flags, 0, 0),
  rename: (from: P, to: P) => syscall(numbers.renameat, AT_FDCWD, from, AT_FDCWD, to, 0, 0),
  rmdir: (path: P) => syscall(numbers.unlinkat, AT_FDCWD, path, AT_REMOVEDIR, 0, 0, 0),
  send: (fd: number, data: P, size: number, flags: number) =>
    syscall(numbers.sendto, fd, data, size, flags, 0, 0),
  sendto: (fd: number, data: P, size: number, flags: number, name: P, nameSize: number) =>
    syscall(numbers.sendto, fd, data, size, flags, name, nameSize),
  setns: (fd: number, kind: number) => syscall(numbers.setns, fd, kind, 0, 0, 0, 0),
  setsockopt: (fd: number, level: number, option: number, value: P, size: number) =>
    syscall(numbers.setsockopt, fd, level, option, value, size, 0),
  socket: (family: number, kind: number, protocol: number) =>
    syscall(numbers.socket, family, kind, protocol, 0, 0, 0),
  statfs: (path: P, buffer: P) => syscall(numbers.statfs, path, buffer, 0, 0, 0, 0),
  statx: (fd: number, path: P, flags: number, mask: number, buffer: P) =>
    syscall(numbers.statx, fd, path, flags, mask, buffer, 0),
  unlink: (path: P) => syscall(numbers.unlinkat, AT_FDCWD, path, 0, 0, 0, 0),
  write: (fd: number, data: P, size: number) => syscall(numbers.write, fd, data, size, 0, 0, 0),
}
/* oxlint-enable max-params */

/** The C library's words for an errno, read from it only when something fails. */
export function errnoWords(number: number): string {
  const { strerror } = openLibc({
    strerror: { args: [FFIType.i32], returns: FFIType.cstring },
  }).symbols
  return String(strerror(number))
}

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
  const location = __errno_location()
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
