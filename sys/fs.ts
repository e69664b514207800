/**
 * The few calls of `node:fs` that the plugins need, straight to the C library and under the same
 * names, arguments, results and errors. Importing `node:fs` costs an executable 0.85 ms at every
 * start, a sixth of the time it takes to attach a container. `#fs` in package.json resolves to
 * this file where Bun compiles and to `node:fs` where Node runs the tests.
 */
import { CString } from 'bun:ffi'
import { address, errno, libc } from './libc.ts'

type Path = string
type FileData = string | Uint8Array

type OpenFlag =
  `O_${'RDONLY' | 'WRONLY' | 'RDWR' | 'CREAT' | 'EXCL' | 'TRUNC' | 'APPEND' | 'DIRECTORY'}`

// asm-generic/fcntl.h; x86-64 and arm64 differ in O_DIRECTORY.
const O_CLOEXEC = 0x80000
const O_DIRECTORY = process.arch === 'arm64' ? 0x4000 : 0x10000
export const constants: Readonly<Record<OpenFlag, number>> = {
  O_RDONLY: 0,
  O_WRONLY: 1,
  O_RDWR: 2,
  O_CREAT: 0x40,
  O_EXCL: 0x80,
  O_TRUNC: 0x200,
  O_APPEND: 0x400,
  O_DIRECTORY,
}

const AT_FDCWD = -100
const AT_EMPTY_PATH = 0x1000
const STATX_BASIC_STATS = 0x7ff
const EINTR = 4
const EEXIST = 17
const S_IFMT = 0xf000
const S_IFDIR = 0x4000
const S_IFREG = 0x8000
const S_IFLNK = 0xa000
const DIRENT_NAME = 19

/** What is read lands here first. Most files are a line long, and fresh memory is a page fault. */
const scratch = new Uint8Array(8192)
const encoder = new TextEncoder()
const decoder = new TextDecoder()

function fail(syscall: string, path?: Path): never {
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

/** A path as C wants it. A NUL inside would silently name another file. */
function cPath(path: Path): Uint8Array {
  if (path.includes('\0'))
    throw new TypeError(`Cannot use a path with a NUL byte: ${JSON.stringify(path)}`)
  return encoder.encode(`${path}\0`)
}

/** Calls until it is not interrupted; throws the errno with the path. */
function retry(call: () => number | bigint, syscall: string, path?: Path): number {
  for (;;) {
    const result = Number(call())
    if (result >= 0) return result
    if (errno() !== EINTR) fail(syscall, path)
  }
}

function flagsOf(flags: string | number): number {
  if (typeof flags === 'number') return flags
  const { O_RDONLY, O_WRONLY, O_CREAT, O_TRUNC, O_EXCL, O_APPEND } = constants
  switch (flags) {
    case 'r':
      return O_RDONLY
    case 'w':
      return O_WRONLY | O_CREAT | O_TRUNC
    case 'wx':
      return O_WRONLY | O_CREAT | O_EXCL
    case 'a':
      return O_WRONLY | O_CREAT | O_APPEND
    default:
      throw new TypeError(`Cannot open with flags "${flags}"`)
  }
}

export function openSync(path: Path, flags: string | number, mode = 0o666): number {
  const bytes = cPath(path)
  const all = flagsOf(flags) | O_CLOEXEC
  return retry(() => libc.open(address(bytes), all, mode), 'open', path)
}

export function closeSync(fd: number): void {
  if (libc.close(fd) < 0 && errno() !== EINTR) fail('close')
}

export function fsyncSync(fd: number): void {
  retry(() => libc.fsync(fd), 'fsync')
}

/** Writes all of the data, in as many calls as that takes. */
export function writeSync(fd: number, data: Uint8Array): number
export function writeSync(fd: number, data: string): number
export function writeSync(fd: number, data: FileData): number {
  const bytes = bytesOf(data)
  for (let at = 0; at < bytes.length; ) {
    const rest = bytes.subarray(at)
    at += retry(() => libc.write(fd, address(rest), rest.length), 'write')
  }
  return bytes.length
}

function bytesOf(data: FileData): Uint8Array {
  return typeof data === 'string' ? encoder.encode(data) : data
}

export function readFileSync(source: Path | number, _encoding: 'utf8'): string {
  if (typeof source === 'number') return decoder.decode(readAll(source))
  const fd = openSync(source, constants.O_RDONLY)
  try {
    return decoder.decode(readAll(fd, source))
  } finally {
    closeSync(fd)
  }
}

/** The result is good until something else is read. */
function readAll(fd: number, path?: Path): Uint8Array {
  let bytes = scratch
  for (let length = 0; ; ) {
    const rest = bytes.subarray(length)
    const count = retry(() => libc.read(fd, address(rest), rest.length), 'read', path)
    length += count
    if (count === 0) return bytes.subarray(0, length)
    if (length === bytes.length) {
      const larger = new Uint8Array(bytes.length * 2)
      larger.set(bytes)
      bytes = larger
    }
  }
}

export function writeFileSync(
  target: Path | number,
  data: FileData,
  options: { mode?: number; flag?: string } = {},
): void {
  if (typeof target === 'number') {
    writeSync(target, bytesOf(data))
    return
  }
  const fd = openSync(target, options.flag ?? 'w', options.mode)
  try {
    writeSync(fd, bytesOf(data))
  } finally {
    closeSync(fd)
  }
}

export function linkSync(from: Path, to: Path): void {
  const [a, b] = [cPath(from), cPath(to)]
  if (libc.link(address(a), address(b)) < 0) fail('link', from)
}

export function renameSync(from: Path, to: Path): void {
  const [a, b] = [cPath(from), cPath(to)]
  if (libc.rename(address(a), address(b)) < 0) fail('rename', from)
}

export function unlinkSync(path: Path): void {
  const bytes = cPath(path)
  if (libc.unlink(address(bytes)) < 0) fail('unlink', path)
}

/** With `force`, a missing file is no error. Files only. */
export function rmSync(path: Path, options: { force?: boolean } = {}): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if (!options.force || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

export function rmdirSync(path: Path): void {
  const bytes = cPath(path)
  if (libc.rmdir(address(bytes)) < 0) fail('rmdir', path)
}

export function mkdirSync(path: Path, options: { mode?: number; recursive?: boolean } = {}): void {
  const { mode = 0o777, recursive = false } = options
  const bytes = cPath(path)
  if (libc.mkdir(address(bytes), mode) === 0) return
  const number = errno()
  const parent = path.replace(/\/+[^/]*\/*$/, '')
  if (recursive && number === EEXIST && statSync(path).isDirectory()) return
  if (!recursive || number !== 2 || parent === '' || parent === path) fail('mkdir', path)
  mkdirSync(parent, options)
  mkdirSync(path, options)
}

/** Names without `.` and `..`, in the file system's order. */
export function readdirSync(path: Path): string[] {
  const fd = openSync(path, constants.O_RDONLY | O_DIRECTORY)
  try {
    const names: string[] = []
    const view = new DataView(scratch.buffer)
    for (;;) {
      const length = retry(
        () => libc.getdents64(fd, address(scratch), scratch.length),
        'scandir',
        path,
      )
      if (length === 0) return names
      for (let at = 0; at < length; at += view.getUint16(at + 16, true)) {
        const end = scratch.indexOf(0, at + DIRENT_NAME)
        const name = decoder.decode(scratch.subarray(at + DIRENT_NAME, end))
        if (name !== '.' && name !== '..') names.push(name)
      }
    }
  } finally {
    closeSync(fd)
  }
}

export interface Stats {
  readonly dev: number
  readonly ino: number
  readonly mode: number
  readonly size: number
  readonly mtimeMs: number
  isFile(): boolean
  isDirectory(): boolean
  isSymbolicLink(): boolean
}

export function statSync(path: Path): Stats {
  const bytes = cPath(path)
  return statx(AT_FDCWD, bytes, 0, path)
}

export function fstatSync(fd: number): Stats {
  return statx(fd, cPath(''), AT_EMPTY_PATH)
}

/** struct statx (uapi/linux/stat.h) is laid out alike on every machine, struct stat is not. */
function statx(fd: number, path: Uint8Array, flags: number, name?: Path): Stats {
  const buffer = new Uint8Array(256)
  retry(
    () => libc.statx(fd, address(path), flags, STATX_BASIC_STATS, address(buffer)),
    'stat',
    name,
  )
  const view = new DataView(buffer.buffer)
  const mode = view.getUint16(28, true)
  const kind = mode & S_IFMT
  const [major, minor] = [view.getUint32(136, true), view.getUint32(140, true)]
  return {
    // makedev(3), as libc folds it for st_dev.
    dev: (major & 0xfff) * 256 + (minor & 0xff) + (minor & ~0xff) * 4096,
    ino: Number(view.getBigUint64(32, true)),
    mode,
    size: Number(view.getBigUint64(40, true)),
    mtimeMs: Number(view.getBigInt64(112, true)) * 1000 + view.getUint32(120, true) / 1e6,
    isFile: () => kind === S_IFREG,
    isDirectory: () => kind === S_IFDIR,
    isSymbolicLink: () => kind === S_IFLNK,
  }
}

/** False for whatever cannot be looked at, as in `node:fs`. */
export function existsSync(path: Path): boolean {
  const bytes = cPath(path)
  return libc.access(address(bytes), 0) === 0
}

/** Only the type: the file system's magic number (uapi/linux/magic.h). */
export function statfsSync(path: Path): { type: number } {
  const bytes = cPath(path)
  const buffer = new Uint8Array(256)
  if (libc.statfs(address(bytes), address(buffer)) < 0) fail('statfs', path)
  return { type: Number(new DataView(buffer.buffer).getBigUint64(0, true)) }
}

export function readlinkSync(path: Path): string {
  const bytes = cPath(path)
  const buffer = new Uint8Array(4096)
  const length = Number(libc.readlink(address(bytes), address(buffer), buffer.length))
  if (length < 0) fail('readlink', path)
  return decoder.decode(buffer.subarray(0, length))
}
