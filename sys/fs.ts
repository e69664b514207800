/**
 * The few calls of `node:fs` that the plugins need, straight to the C library and under the same
 * names, arguments, results and errors. Importing `node:fs` costs an executable 0.85 ms at every
 * start, a sixth of the time it takes to attach a container. `#fs` in package.json resolves to
 * this file where Bun compiles and to `node:fs` where Node runs the tests.
 */
import {
  cPath,
  decoder,
  encoder,
  fail,
  type Path,
  readInto,
  retry,
  retryIfThere,
  scratch,
} from './fs-call.ts'
import { O_DIRECTORY } from './fs-folder.ts'
import { address, errno, libc } from './libc.ts'

export { findNames, type Listing, listFolder, readdirSync } from './fs-folder.ts'

type FileData = string | Uint8Array

type OpenFlag =
  `O_${'RDONLY' | 'WRONLY' | 'RDWR' | 'CREAT' | 'EXCL' | 'TRUNC' | 'APPEND' | 'DSYNC' | 'DIRECTORY'}`
type AccessMode = 'W_OK'

// asm-generic/fcntl.h
const O_CLOEXEC = 0x80000
export const constants: Readonly<Record<OpenFlag | AccessMode, number>> = {
  O_RDONLY: 0,
  O_WRONLY: 1,
  O_RDWR: 2,
  O_CREAT: 0x40,
  O_EXCL: 0x80,
  O_TRUNC: 0x200,
  O_APPEND: 0x400,
  O_DSYNC: 0x1000,
  O_DIRECTORY,
  W_OK: 2,
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

/** A file's text; undefined when there is no such file. */
export function readIfThere(path: Path): string | undefined {
  const bytes = cPath(path)
  const fd = retryIfThere(() => libc.open(address(bytes), O_CLOEXEC, 0), 'open', path)
  if (fd === undefined) return undefined
  try {
    return decoder.decode(readAll(fd, path))
  } finally {
    closeSync(fd)
  }
}

/** The result is good until something else is read. */
function readAll(fd: number, path?: Path): Uint8Array {
  let bytes = scratch
  for (let length = 0; ; ) {
    const rest = bytes.subarray(length)
    const count = readInto(fd, rest, path)
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

/** False when the new name is taken already. */
export function linkIfFree(from: Path, to: Path): boolean {
  const [a, b] = [cPath(from), cPath(to)]
  if (libc.link(address(a), address(b)) === 0) return true
  return errno() === EEXIST ? false : fail('link', from)
}

export function symlinkSync(target: string, path: Path): void {
  const [a, b] = [cPath(target), cPath(path)]
  if (libc.symlink(address(a), address(b)) < 0) fail('symlink', target)
}

export function renameSync(from: Path, to: Path): void {
  const [a, b] = [cPath(from), cPath(to)]
  if (libc.rename(address(a), address(b)) < 0) fail('rename', from)
}

export function unlinkSync(path: Path): void {
  const bytes = cPath(path)
  if (libc.unlink(address(bytes)) < 0) fail('unlink', path)
}

/** False when there is no such file. */
export function unlinkIfThere(path: Path): boolean {
  const bytes = cPath(path)
  return retryIfThere(() => libc.unlink(address(bytes)), 'unlink', path) !== undefined
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

export interface Stats {
  readonly dev: number
  readonly ino: number
  readonly mode: number
  readonly nlink: number
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
    nlink: view.getUint32(16, true),
    size: Number(view.getBigUint64(40, true)),
    mtimeMs: Number(view.getBigInt64(112, true)) * 1000 + view.getUint32(120, true) / 1e6,
    isFile: () => kind === S_IFREG,
    isDirectory: () => kind === S_IFDIR,
    isSymbolicLink: () => kind === S_IFLNK,
  }
}

/** Whole seconds since 1970, up to 2106. */
export function utimesSync(path: Path, atime: number, mtime: number): void {
  const bytes = cPath(path)
  // Two of struct timespec: 64 bits of seconds, 64 of nanoseconds.
  const times = new Uint8Array(new Uint32Array([atime, 0, 0, 0, mtime, 0, 0, 0]).buffer)
  retry(() => libc.utimensat(AT_FDCWD, address(bytes), address(times), 0), 'utime', path)
}

/** @throws when the file may not be used in that way, also on a read-only file system. */
export function accessSync(path: Path, mode: number): void {
  const bytes = cPath(path)
  if (libc.access(address(bytes), mode) < 0) fail('access', path)
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
  return readlinkIfThere(path) ?? fail('readlink', path)
}

/** Undefined when there is no such link. */
export function readlinkIfThere(path: Path): string | undefined {
  const bytes = cPath(path)
  const read = () => Number(libc.readlink(address(bytes), address(scratch), scratch.length))
  const length = retryIfThere(read, 'readlink', path)
  return length === undefined ? undefined : decoder.decode(scratch.subarray(0, length))
}
