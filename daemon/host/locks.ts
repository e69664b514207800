import { lstatSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { statusSocketPath } from '../../conf/daemon-status.ts'
import { readIfThere, StateError } from './files.ts'

/** Takes a lock at once or throws an error named `LockTimeout`; it ends with the process. */
export type LockFile = (path: string, options: { mode: number; timeoutMs: number }) => Disposable

/** Another daemon has what this one needs. */
export class AlreadyRunningError extends Error {
  override readonly name = 'AlreadyRunningError'
  /** What it has: `subnet file /run/flannel/subnet.env`. */
  readonly what: string
  /** As it says of itself: `instance default, process 4711`. */
  readonly holder: string

  constructor(what: string, holder: string, cause: unknown) {
    super(
      `${what} belongs to a running daemon: ${holder}. Give this one its own --instance, --subnet-file and VNI`,
      { cause },
    )
    this.what = what
    this.holder = holder
  }
}

/** What only one daemon may have, and the lock file that says so. */
export interface Claimable {
  /** For messages: `subnet file /run/flannel/subnet.env`. */
  readonly what: string
  readonly path: string
  /** The folder's, where it is made; 0755 unless told otherwise. */
  readonly folderMode?: number
}

/** The lock of an instance's name, which its socket is called by. */
export function instanceLock(instance: string): Claimable {
  return { what: `instance ${instance}`, path: `${statusSocketPath(instance)}.lock` }
}

/** The lock of a subnet file. */
export function subnetFileLock(subnetFile: string): Claimable {
  return { what: `subnet file ${subnetFile}`, path: `${subnetFile}.lock` }
}

export function stateDirLock(stateDir: string): Claimable {
  return { what: `state directory ${stateDir}`, path: join(stateDir, 'lock'), folderMode: 0o700 }
}

/** The lock of a device name in this network namespace; /run may be shared by several. */
export function deviceLock(device: string): Claimable {
  const { ino } = statSync('/proc/self/ns/net')
  return { what: `interface ${device}`, path: `/run/heddle/locks/${ino}-${device}` }
}

/**
 * Takes a lock for the life of the process and writes the holder into it.
 * @throws AlreadyRunningError naming the holder, StateError where no lock can be made.
 */
export function claim(
  { what, path, folderMode = 0o755 }: Claimable,
  lockFile: LockFile,
  instance: string,
): Disposable {
  // The holder is written into the file, which had better be none of somebody else's.
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()) {
    throw new StateError(`cannot lock ${what}: ${path} is a symbolic link: remove it`)
  }
  try {
    mkdirSync(dirname(path), { recursive: true, mode: folderMode })
    const lock = lockFile(path, { mode: 0o644, timeoutMs: 0 })
    tellHolder(path, `instance ${instance}, process ${process.pid}\n`)
    return lock
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error))
    if (name !== 'LockTimeout') {
      const advice = `make ${dirname(path)} writable`
      throw new StateError(`cannot lock ${what}: ${message}: ${advice}`, { cause: error })
    }
    const holder = readIfThere(path)?.trim() || 'another process'
    throw new AlreadyRunningError(what, holder, error)
  }
}

/** The lock holds without it, and a full disk must not cost us the lock. */
function tellHolder(path: string, text: string): void {
  try {
    writeFileSync(path, text)
  } catch {
    // Whoever is refused learns only that there is a holder.
  }
}
