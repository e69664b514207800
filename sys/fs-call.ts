/** What the calls of `fs.ts` share: paths as C wants them, errors as `node:fs` words them. */
import { CString } from 'bun:ffi'
import { address, errno, libc } from './libc.ts'

export type Path = string

const EINTR = 4
const EINVAL = 22
const ENOENT = 2

/** What is read lands here first. Most files are a line long, and fresh memory is a page fault. */
export const scratch = new Uint8Array(8192)
export const encoder = new TextEncoder()
export const decoder = new TextDecoder()

/** Throws what the call that has just failed left in errno. */
export function fail(syscall: string, path?: Path): never {
  const number = errno()
  const { code, text } = errnoText(number)
  const where = path === undefined ? '' : ` '${path}'`
  const error = new Error(`${code}: ${text}, ${syscall}${where}`)
  throw Object.assign(error, { errno: -number, code, syscall, ...(path !== undefined && { path }) })
}

const codes: Readonly<Record<number, string>> = {
  1: 'EPERM',
  2: 'ENOENT',
  5: 'EIO',
  9: 'EBADF',
  11: 'EAGAIN',
  12: 'ENOMEM',
  13: 'EACCES',
  16: 'EBUSY',
  17: 'EEXIST',
  18: 'EXDEV',
  20: 'ENOTDIR',
  21: 'EISDIR',
  22: 'EINVAL',
  23: 'ENFILE',
  24: 'EMFILE',
  27: 'EFBIG',
  28: 'ENOSPC',
  30: 'EROFS',
  31: 'EMLINK',
  32: 'EPIPE',
  36: 'ENAMETOOLONG',
  39: 'ENOTEMPTY',
  40: 'ELOOP',
  116: 'ESTALE',
  122: 'EDQUOT',
}

function errnoText(number: number): { code: string; text: string } {
  const pointer = libc.strerror(number)
  const text = pointer === null ? 'unknown error' : new CString(pointer)
  return { code: codes[number] ?? `E${number}`, text: text.charAt(0).toLowerCase() + text.slice(1) }
}

/** A path as C wants it. One with a NUL inside would silently name another file: EINVAL, as in Go. */
export function cPath(path: Path): Uint8Array {
  if (path.includes('\0')) {
    const fields = { errno: -EINVAL, code: 'EINVAL', syscall: 'open', path: JSON.stringify(path) }
    throw Object.assign(new Error('EINVAL: invalid argument, open'), fields)
  }
  return encoder.encode(`${path}\0`)
}

/** Calls until it is not interrupted; throws the errno with the path. */
export function retry(call: () => number | bigint, syscall: string, path?: Path): number {
  for (;;) {
    const result = Number(call())
    if (result >= 0) return result
    if (errno() !== EINTR) fail(syscall, path)
  }
}

/** As `retry`; undefined when there is no such file, since an error costs more than the question. */
export function retryIfThere(call: () => number, syscall: string, path: Path): number | undefined {
  for (;;) {
    const result = call()
    if (result >= 0) return result
    const number = errno()
    if (number === ENOENT) return undefined
    if (number !== EINTR) fail(syscall, path)
  }
}

export function readInto(fd: number, buffer: Uint8Array, path?: Path): number {
  return retry(() => libc.read(fd, address(buffer), buffer.length), 'read', path)
}
