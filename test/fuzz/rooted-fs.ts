/**
 * What `#fs` means while configurations are thrown at the plugin in process: the calls of Node on a
 * folder of the test's own, whatever path is asked for, one of which can be made to fail.
 */
import { existsSync, mkdirSync as mkdir, mkdtempSync, rmSync as rm } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, normalize } from 'node:path'
import * as real from '../../sys/fs-node.ts'

/** Where files are in memory: thousands of runs write some each. */
const memory = '/dev/shm'

/** The folder that stands for `/`. */
export const root = mkdtempSync(join(existsSync(memory) ? memory : tmpdir(), 'heddle-fuzz-'))

/** Removes it, for good. To be called when all tests are over: a worker's end is not announced. */
export function dropFiles(): void {
  rm(root, { recursive: true, force: true })
}

/** Empties it. */
export function clearFiles(): void {
  version++
  rm(root, { recursive: true, force: true })
  mkdir(root, { recursive: true })
}

/** Removes a file or a folder. */
export function remove(path: string): void {
  version++
  rm(rooted(path), { force: true, recursive: true })
}

/** Where a path of the plugin's really is; no `..` leads out. */
export function rooted(path: string): string {
  return `${root}${normalize(`/${path}`)}`
}

/** The n-th call that makes or changes something fails with this code; 0 for none. */
const fault = { at: 0, code: 'EIO' }
let count = 0

export function failFileCall(at: number, code: string): void {
  fault.at = at
  fault.code = code
  count = 0
}

/** How many of these calls there have been since then. */
export function changingCalls(): number {
  return count
}

/** Which arguments of the calls that make something are paths. */
const making: Readonly<Record<string, readonly number[]>> = {
  linkSync: [0, 1],
  linkIfFree: [0, 1],
  mkdirSync: [0],
  renameSync: [0, 1],
  // A symbolic link's text is what it says, and leads nowhere here.
  symlinkSync: [1],
  writeFileSync: [0],
  writeSync: [],
}
const firstOnly: readonly number[] = [0]
/** The calls that only look. */
const looking: ReadonlySet<string> = new Set([
  'accessSync',
  'closeSync',
  'existsSync',
  'findNames',
  'fstatSync',
  'listFolder',
  'readdirSync',
  'readFileSync',
  'readIfThere',
  'readlinkIfThere',
  'readlinkSync',
  'statfsSync',
  'statSync',
])
let version = 0

/** Another number whenever a file may have changed. */
export function filesVersion(): number {
  return version
}

type Call = (...args: unknown[]) => unknown

function wrap(name: string, call: Call): Call {
  const paths = making[name]
  return (...args) => {
    const path = args[0]
    if (!looking.has(name)) version++
    if (paths && ++count === fault.at) throw failure(name, path)
    const mapped = args.map((arg, at) => {
      const isPath = typeof arg === 'string' && (paths ?? firstOnly).includes(at)
      return isPath ? place(arg) : arg
    })
    try {
      return call(...mapped)
    } catch (error) {
      throw isSystemError(error) ? told(error, path) : error
    }
  }
}

/** A path with a zero byte is EINVAL, as in sys/fs-call.ts. */
function place(path: string): string {
  if (!path.includes('\0')) return rooted(path)
  const fields = { errno: -22, code: 'EINVAL', syscall: 'open', path: JSON.stringify(path) }
  throw Object.assign(new Error('EINVAL: invalid argument, open'), fields)
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error
}

/** The error with the path that was asked for. */
function told(error: NodeJS.ErrnoException, path: unknown): Error {
  error.message = error.message.replaceAll(root, '')
  if (typeof path === 'string') error.path = path
  return error
}

function failure(name: string, path: unknown): Error {
  const syscall = name.replace('Sync', '')
  const error = new Error(`${fault.code}: made up, ${syscall} '${String(path)}'`)
  const fields = { code: fault.code, errno: -5, syscall, ...(typeof path === 'string' && { path }) }
  return Object.assign(error, fields)
}

/** `#fs`, to be handed out by `use-rooted-fs.ts`. */
export const wrapped: Record<string, unknown> = { ...real }
for (const [name, value] of Object.entries(real)) {
  if (typeof value === 'function') wrapped[name] = wrap(name, value as Call)
}
