/**
 * One network's reservations in upstream host-local's format, shared with it at any time:
 *
 *     <dataDir>/<network>/lock                 flock(2), held for every read-decide-write
 *     <dataDir>/<network>/10.1.2.3             one file an address, `<container id>\r\n<ifname>`
 *     <dataDir>/<network>/last_reserved_ip.0   where the next search in range set 0 starts
 *     <dataDir>/.heddle/<network>/             the sidecar: what only heddle knows (pins.ts)
 *
 * Nothing else may be in the network's folder: upstream compares the text of every file there with
 * the container's id.
 *
 * What a kill at any instruction leaves behind:
 * - A reservation appears complete or not at all: its file is written aside ("staged") and then
 *   given the address as a second name by link(2), which also refuses an address that is taken. An
 *   ADD killed after that holds its addresses until the DEL that a runtime owes every failed ADD.
 * - A staged file goes with its owner's DEL, with a GC, or when the sidecar is looked through. It is
 *   never written to: it may be another name of a reservation. An ADD that waits for the lock and
 *   finds its own gone writes another.
 * - Upstream creates the file under the address and writes it afterwards. An empty file seen while
 *   the lock is held is what a killed upstream left there, and the address is free.
 * - `last_reserved_ip` is written in place, and truncated first only when it gets shorter. Cut short
 *   it reads as missing, and one search starts at the front. Truncating each time, as upstream does,
 *   costs 0.25 ms on ext4, replacing by rename 0.17, writing over it 0.01.
 *
 * What is synced: the staged file, before the lock is taken, so that nobody waits for somebody else's
 * disk. It is for one promise: a name that survives a power cut has its text, and upstream, should it
 * take over then, meets no file it can never free. That costs an ADD 0.23 ms on ext4 (virtio disk,
 * idle). No folder is synced: a power cut ends every container, so that a reservation it loses is
 * not missed.
 */
import {
  closeSync,
  constants,
  fstatSync,
  linkIfFree,
  mkdirSync,
  openSync,
  readdirSync,
  readIfThere,
  unlinkIfThere,
  writeFileSync,
  writeSync,
} from '#fs'
import { type Address, formatAddress, parseAddress } from '../ip/address.ts'
import type { Logger } from '../log/logger.ts'

/** What the executable hands in. */
export interface IpamDeps {
  /**
   * Takes flock(2) LOCK_EX on a file, made with mode 0750 when missing, for at most 20 s; disposing
   * frees it. Throws an error named `LockTimeout` that tells the path.
   */
  readonly lock: (path: string) => Disposable
  readonly log: Logger
  /** Where the kernel tells boots apart, unless a test says otherwise. */
  readonly bootIdPath?: string
}

/** Where a network's reservations are; `network` is its name, one path segment. */
export interface IpamPlace {
  readonly dataDir: string
  readonly network: string
}

/** A network's folder whose lock is held until it is disposed of. */
export interface LockedFolder extends Disposable {
  readonly path: string
  readonly sidecar: string
}

/** A file of the folder: `name` is the address, `content` undefined when it cannot be read. */
export interface Reservation {
  readonly name: string
  readonly content: string | undefined
}

export function folderPath({ dataDir, network }: IpamPlace): string {
  return `${dataDir}/${network}`
}

export function sidecarPath({ dataDir, network }: IpamPlace): string {
  return `${dataDir}/.heddle/${network}`
}

/** Makes a folder of a sidecar, for us alone; the data folder above it is read by others too. */
export function makeInSidecar(path: string): void {
  mkdirSync(path.slice(0, path.lastIndexOf('/.heddle/')), { recursive: true, mode: 0o755 })
  mkdirSync(path, { recursive: true, mode: 0o700 })
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
  return { path, sidecar: sidecarPath(place), [Symbol.dispose]: () => held[Symbol.dispose]() }
}

/** Whether a file of the folder can be a reservation. */
export function isReservationName(name: string): boolean {
  return name !== 'lock' && !name.startsWith('last_reserved_ip.')
}

/** Reads every reservation. */
export function readReservations(folder: LockedFolder): Reservation[] {
  const found: Reservation[] = []
  for (const name of readdirSync(folder.path)) {
    const reservation = isReservationName(name) ? readReservation(folder, name) : undefined
    if (reservation) found.push(reservation)
  }
  return found
}

/** Undefined when there is no such file. */
export function readReservation({ path }: LockedFolder, name: string): Reservation | undefined {
  try {
    const content = readIfThere(`${path}/${name}`)
    return content === undefined ? undefined : { name, content }
  } catch {
    return { name, content: undefined }
  }
}

/** Whether this is an address that a killed upstream left reserved for nobody. */
export function isRemnant({ name, content }: Reservation): boolean {
  return content === '' && parseAddress(name) !== undefined
}

/** Frees such an address, and says so. */
export function removeRemnant(folder: LockedFolder, name: string, { log }: IpamDeps): void {
  removeReservation(folder, name)
  log.warn('freed an address that a crash left reserved for nobody', { address: name })
}

/** Frees a reserved address; no error when it is free already. */
export function removeReservation({ path }: LockedFolder, name: string): void {
  unlinkIfThere(`${path}/${name}`)
}

/** Gives a staged file an address as its name; false when it is taken. */
export function reserve({ path }: LockedFolder, staged: string, address: string): boolean {
  return linkIfFree(staged, `${path}/${address}`)
}

/** The address reserved last in a range set; undefined when there is none that can be read. */
export function readLastReserved({ path }: LockedFolder, setIndex: number): Address | undefined {
  const text = readIfThere(`${path}/last_reserved_ip.${setIndex}`)
  return text === undefined ? undefined : parseAddress(text)
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

export function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
