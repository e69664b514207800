/**
 * One network's reservations in upstream host-local's format, shared with it at any time:
 *
 *     <dataDir>/<network>/lock                 flock(2), held for every read-decide-write
 *     <dataDir>/<network>/10.1.2.3             one file an address, `<container id>\r\n<ifname>`
 *     <dataDir>/<network>/last_reserved_ip.0   where the next search in range set 0 starts
 *     <dataDir>/.heddle/<network>/reservation  the reservation that is being made
 *
 * Nothing else may be in the network's folder: upstream compares the text of every file there with
 * the container's id.
 *
 * What a kill at any instruction leaves behind:
 * - A reservation appears complete or not at all: its file is written aside ("staged") and then
 *   given the address as a second name by link(2), which also refuses an address that is taken. An
 *   ADD killed after that holds its addresses until the DEL that a runtime owes every failed ADD.
 * - A staged file that is there when the lock has been taken is a leftover, since it is written and
 *   removed under the lock. Nobody reads it, and the next ADD or DEL removes it. It is never
 *   written to: it may be another name of a reservation.
 * - Upstream creates the file under the address and writes it afterwards. An empty file seen while
 *   the lock is held is what a killed upstream left there, and the address is free.
 * - `last_reserved_ip` is written in place, and truncated first only when it gets shorter. Cut short
 *   it reads as missing, and one search starts at the front. Truncating each time, as upstream does,
 *   costs 0.25 ms on ext4, replacing by rename 0.17, writing over it 0.01.
 *
 * Why nothing is synced: a power cut ends every container, so a reservation it loses is not missed
 * and one it keeps is stale. What it may tear is a name committed before its text, which is an empty
 * file and so a free address. fsync(2) would keep such files from an upstream that takes over after
 * the power cut; but upstream leaves as many itself, and it would cost every ADD 0.22 ms here and
 * every DEL 0.2, and seconds, under the lock, while the disk is busy pulling images.
 */
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from '#fs'
import { type Address, formatAddress, parseAddress } from '../ip/address.ts'
import type { Logger } from '../log/logger.ts'
import { formatOwner, type Owner } from './owner.ts'

/** What the executable hands in. */
export interface IpamDeps {
  /**
   * Takes flock(2) LOCK_EX on a file, made with mode 0750 when missing, for at most 20 s; disposing
   * frees it. Throws an error named `LockTimeout` that tells the path.
   */
  readonly lock: (path: string) => Disposable
  readonly log: Logger
}

/** Where a network's reservations are; `network` is its name, one path segment. */
export interface IpamPlace {
  readonly dataDir: string
  readonly network: string
}

/** A network's folder whose lock is held until it is disposed of. */
export interface LockedFolder extends Disposable {
  readonly path: string
  /** Where a reservation is written before it has an address. */
  readonly staged: string
}

/** A file of the folder: `name` is the address, `content` undefined when it cannot be read. */
export interface Reservation {
  readonly name: string
  readonly content: string | undefined
}

export function folderPath({ dataDir, network }: IpamPlace): string {
  return `${dataDir}/${network}`
}

/** Locks a network's folder, made when it is missing. */
export function lockFolder(place: IpamPlace, deps: IpamDeps): LockedFolder {
  const folder = lockExistingFolder(place, deps)
  if (folder) return folder
  mkdirSync(folderPath(place), { recursive: true, mode: 0o755 })
  return lock(place, deps)
}

/** Locks a network's folder; undefined when there is none, hence nothing reserved. */
export function lockExistingFolder(place: IpamPlace, deps: IpamDeps): LockedFolder | undefined {
  try {
    return lock(place, deps)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined
    throw error
  }
}

function lock(place: IpamPlace, deps: IpamDeps): LockedFolder {
  const path = folderPath(place)
  const held = deps.lock(`${path}/lock`)
  const staged = `${place.dataDir}/.heddle/${place.network}/reservation`
  return { path, staged, [Symbol.dispose]: () => held[Symbol.dispose]() }
}

/** Reads every reservation. */
export function readReservations({ path }: LockedFolder): Reservation[] {
  const found: Reservation[] = []
  for (const name of readdirSync(path)) {
    if (name === 'lock' || name.startsWith('last_reserved_ip.')) continue
    try {
      found.push({ name, content: readFileSync(`${path}/${name}`, 'utf8') })
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) found.push({ name, content: undefined })
    }
  }
  return found
}

/** Frees a reserved address; no error when it is free already. */
export function removeReservation({ path }: LockedFolder, name: string): void {
  unlinkIfThere(`${path}/${name}`)
}

/** Writes an owner's reservation aside, to be given addresses by `reserve`. */
export function stage({ staged }: LockedFolder, owner: Owner): void {
  const write = () => writeFileSync(staged, formatOwner(owner), { flag: 'wx', mode: 0o600 })
  try {
    write()
  } catch (error) {
    if (isErrno(error, 'EEXIST')) unlinkSync(staged)
    else if (isErrno(error, 'ENOENT')) makeStagingFolder(staged)
    else throw error
    write()
  }
}

function makeStagingFolder(staged: string): void {
  mkdirSync(staged.slice(0, staged.lastIndexOf('/')), { recursive: true, mode: 0o700 })
}

/** Removes the staged file, also one that a killed ADD left. */
export function unstage({ staged }: LockedFolder): void {
  // Asking first: an error would cost more than the question, and mostly there is no such file.
  if (existsSync(staged)) unlinkIfThere(staged)
}

/** Reserves an address for the owner of the staged file; false when it is taken. */
export function reserve({ path, staged }: LockedFolder, address: Address): boolean {
  try {
    linkSync(staged, `${path}/${formatAddress(address)}`)
    return true
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false
    throw error
  }
}

/** The address reserved last in a range set; undefined when there is none that can be read. */
export function readLastReserved({ path }: LockedFolder, setIndex: number): Address | undefined {
  try {
    return parseAddress(readFileSync(`${path}/last_reserved_ip.${setIndex}`, 'utf8'))
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined
    throw error
  }
}

/** The file must not end with a newline: upstream could not read it. */
export function writeLastReserved(
  { path }: LockedFolder,
  setIndex: number,
  address: Address,
): void {
  const file = `${path}/last_reserved_ip.${setIndex}`
  const text = formatAddress(address)
  const fd = openSync(file, constants.O_WRONLY | constants.O_CREAT, 0o600)
  try {
    if (fstatSync(fd).size > text.length) writeFileSync(file, text)
    else writeSync(fd, text)
  } finally {
    closeSync(fd)
  }
}

function unlinkIfThere(file: string): void {
  try {
    unlinkSync(file)
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error
  }
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
