import { mkdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { statusSocketPath } from '../conf/daemon-status.ts'
import { readIfThere } from './files.ts'

/** Takes a lock at once or throws an error named `LockTimeout`; it ends with the process. */
export type LockFile = (path: string, options: { mode: number; timeoutMs: number }) => Disposable

/** Another daemon has what this one needs. */
export class AlreadyRunningError extends Error {
  override readonly name = 'AlreadyRunningError'
}

/** What only one daemon may have, and the lock file that says so. */
export interface Claimable {
  /** For messages: `subnet file /run/flannel/subnet.env`. */
  readonly what: string
  readonly path: string
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
  return { what: `state directory ${stateDir}`, path: join(stateDir, 'lock') }
}

/** The lock of a device name in this network namespace; /run may be shared by several. */
export function deviceLock(device: string): Claimable {
  const { ino } = statSync('/proc/self/ns/net')
  return { what: `interface ${device}`, path: `/run/heddle/locks/${ino}-${device}` }
}

/**
 * Takes a lock for the life of the process and writes the holder into it.
 * @throws AlreadyRunningError naming the holder.
 */
export function claim({ what, path }: Claimable, lockFile: LockFile, instance: string): Disposable {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
  try {
    const lock = lockFile(path, { mode: 0o644, timeoutMs: 0 })
    writeFileSync(path, `instance ${instance}, process ${process.pid}\n`)
    return lock
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'LockTimeout') throw error
    const holder = readIfThere(path)?.trim() || 'another process'
    throw new AlreadyRunningError(
      `${what} belongs to a running daemon: ${holder}. Give this one its own --instance, --subnet-file and VNI`,
      { cause: error },
    )
  }
}
