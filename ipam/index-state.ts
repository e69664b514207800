import {
  readIfThere,
  readlinkIfThere,
  renameSync,
  statSync,
  symlinkSync,
  unlinkIfThere,
  utimesSync,
} from '#fs'
import type { IpamDeps, LockedFolder } from './folder.ts'

/**
 * When the pins are believed: while the folder's mtime is the one we gave it. After each change of
 * ours we set it, under the lock, to a time of our own choice, a whole second that has long passed.
 * Whoever else makes or removes a file there makes it the present time, even within the same tick
 * of the clock; and so does our own change when we are killed before we have set it back.
 *
 * `state` is a symbolic link, whose text is read by one call and can be neither torn nor half
 * replaced: `1 <boot id> <mtime in seconds>`. The first number is the format's; we leave a newer one
 * alone, with all that belongs to it.
 */
export interface IndexState {
  readonly bootId: string
  /** Seconds since 1970. */
  readonly stamp: number
}

const format = 1
const bootIdPath = '/proc/sys/kernel/random/boot_id'

/** The kernel's id of this boot; undefined when it cannot be told. */
export function readBootId(deps: IpamDeps): string | undefined {
  try {
    return readIfThere(deps.bootIdPath ?? bootIdPath)?.trim() || undefined
  } catch {
    return undefined
  }
}

/** The folder's stamp if the pins of this boot tell all there is in it. */
export function readStamp({ path, sidecar }: LockedFolder, bootId: string): number | undefined {
  const stamp = statSync(path).mtimeMs / 1000
  // No more than a comparison: this is what nearly every ADD and DEL finds.
  const expected = render({ bootId, stamp })
  return readlinkIfThere(statePath(sidecar)) === expected ? stamp : undefined
}

/** What is recorded; undefined when that is nothing one can use. */
export function readState(sidecar: string): IndexState | 'newer' | undefined {
  const [version = '', bootId = '', stamp = ''] = (readlinkIfThere(statePath(sidecar)) ?? '').split(
    ' ',
  )
  if (Number(version) > format) return 'newer'
  return stamp === '' ? undefined : { bootId, stamp: Number(stamp) }
}

function statePath(sidecar: string): string {
  return `${sidecar}/state`
}

function render({ bootId, stamp }: IndexState): string {
  return `${format} ${bootId} ${stamp}`
}

export function stampFolder({ path }: LockedFolder, stamp: number): void {
  utimesSync(path, stamp, stamp)
}

/** Records that the pins tell all there is now, and stamps the folder so. Returns the new stamp. */
export function writeState(folder: LockedFolder, bootId: string): number {
  const aDay = 86_400
  // Not the last one, so that a folder put back from a copy is not taken for the present one.
  const stamp = Math.max(1, Math.floor(Date.now() / 1000 - 60 - Math.random() * aDay))
  const made = `${folder.sidecar}/state.new`
  unlinkIfThere(made)
  symlinkSync(render({ bootId, stamp }), made)
  renameSync(made, statePath(folder.sidecar))
  stampFolder(folder, stamp)
  return stamp
}
