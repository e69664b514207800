import {
  closeSync,
  constants,
  existsSync,
  findNames,
  openSync,
  readdirSync,
  unlinkIfThere,
  writeSync,
} from '#fs'
import { stableHash } from '../ip/hash.ts'
import {
  type IpamPlace,
  isErrno,
  type LockedFolder,
  makeInSidecar,
  reserve,
  sidecarPath,
} from './folder.ts'
import { formatOwner, type Owner } from './owner.ts'

/** An owner's reservation, written but without an address. */
export interface Staged {
  readonly path: string
  readonly text: string
}

/** Where reservations wait for their address. */
export function stagingFolder(sidecar: string): string {
  return `${sidecar}/new`
}

/** How the names of an owner's staged files begin. */
function prefixOf(owner: Owner): string {
  const text = encodeURIComponent(formatOwner(owner))
  // Room for the rest of the name; the comma is in no encoded text.
  if (text.length <= 200) return `${text},`
  return `${text.slice(0, 100)}~${stableHash(text).toString(16)},`
}

/**
 * Writes an owner's reservation aside and to the disk. Needs no lock: the file is of this process
 * alone, since another's may be there by its name before it has its text.
 */
export function stage(place: IpamPlace, owner: Owner): Staged {
  const folder = stagingFolder(sidecarPath(place))
  const name = `${prefixOf(owner)}${Math.floor(Math.random() * 2 ** 48)}`
  const staged = { path: `${folder}/${name}`, text: formatOwner(owner) }
  write(staged, folder)
  return staged
}

/** Removes a staged file. One that cannot be removed harms nobody. */
export function unstage({ path }: Staged): void {
  try {
    unlinkIfThere(path)
  } catch {
    // Left to whoever looks through the sidecar next.
  }
}

/** Removes what killed ADDs of an owner staged; one that still runs stages again. */
export function unstageAll(sidecar: string, owner: Owner): void {
  const folder = stagingFolder(sidecar)
  for (const name of findNames(folder, prefixOf(owner))) unlinkIfThere(`${folder}/${name}`)
}

/** Removes what ADDs of any but these owners staged. */
export function unstageOthers(sidecar: string, keep: readonly Owner[]): void {
  const folder = stagingFolder(sidecar)
  if (!existsSync(folder)) return
  const prefixes = new Set(keep.map(prefixOf))
  for (const name of readdirSync(folder)) {
    if (!prefixes.has(name.slice(0, name.indexOf(',') + 1))) unlinkIfThere(`${folder}/${name}`)
  }
}

/**
 * Reserves an address for the owner of a staged file; false when it is taken. The file may be gone:
 * somebody may have taken it for a killed ADD's.
 */
export function take(folder: LockedFolder, staged: Staged, address: string): boolean {
  try {
    return reserve(folder, staged.path, address)
  } catch (error) {
    if (!isErrno(error, 'ENOENT') || existsSync(staged.path)) throw error
    write(staged, stagingFolder(folder.sidecar))
    return reserve(folder, staged.path, address)
  }
}

function write(staged: Staged, folder: string): void {
  try {
    create(staged)
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error
    makeInSidecar(folder)
    create(staged)
  }
}

function create({ path, text }: Staged): void {
  const { O_WRONLY, O_CREAT, O_EXCL, O_DSYNC } = constants
  const fd = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_DSYNC, 0o600)
  try {
    writeSync(fd, text)
  } catch (error) {
    unlinkIfThere(path)
    throw error
  } finally {
    closeSync(fd)
  }
}
