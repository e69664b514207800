import { existsSync, readdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { attachmentsFolder } from '../../conf/attachment-record.ts'
import { statusSocketPath } from '../../conf/daemon-status.ts'
import { subnetStatusPath } from '../../conf/subnet-status.ts'
import { dockerOptionsPath } from '../host/docker-options.ts'
import { AlreadyRunningError, claim, deviceLock, type LockFile } from '../host/locks.ts'
import type { Settings } from '../settings/settings.ts'
import { removeSocketRemnants } from '../status/status-server.ts'
import { entriesOf, removeFile, removeIfEmpty, removeTree } from './files.ts'
import type { Known } from './known.ts'
import type { Report } from './report.ts'

/** Removes what others read: the subnet file and those beside it, and the socket. */
export function removeRunFiles({ instance, subnetFile }: Settings, report: Report): void {
  const files = [
    subnetFile,
    subnetStatusPath(subnetFile),
    dockerOptionsPath(subnetFile),
    statusSocketPath(instance),
  ]
  for (const path of files) {
    if (path === undefined) continue
    if (removeFile(path)) report.removed(path)
    removeFile(`${path}.new`)
  }
  removeSocketRemnants(statusSocketPath(instance))
}

interface StateTools {
  readonly isStoreIdle: boolean
  readonly lockFile: LockFile
  readonly report: Report
}

/** Removes the state folder, and the embedded store beside it when it serves nobody any more. */
export function removeState(
  { instance, stateDir, store }: Pick<Settings, 'instance' | 'stateDir' | 'store'>,
  { devices }: Pick<Known, 'devices'>,
  { isStoreIdle, lockFile, report }: StateTools,
): void {
  for (const device of devices.keys()) removeDeviceLock(device, lockFile, instance)
  const home = dirname(stateDir)
  if (store.kind === 'sqlite' && dirname(store.path) === home && isStoreIdle && isLast(stateDir)) {
    for (const end of ['-shm', '-wal', '']) removeFile(store.path + end)
    report.removed(store.path)
  }
  if ((entriesOf(stateDir) ?? []).some((name) => name !== 'lock')) {
    removeTree(stateDir)
    report.removed(stateDir)
  }
}

/** A lock that another daemon holds must stay where the next one looks for it. */
function removeDeviceLock(device: string, lockFile: LockFile, instance: string): void {
  const lock = deviceLock(device)
  if (!existsSync(lock.path)) return
  try {
    using held = new DisposableStack()
    held.use(claim(lock, lockFile, instance))
    removeFile(lock.path)
  } catch (error) {
    if (!(error instanceof AlreadyRunningError)) throw error
  }
}

/** Whether no other instance has its state beside this one's. */
function isLast(stateDir: string): boolean {
  const entries = readdirSync(dirname(stateDir), { withFileTypes: true })
  return !entries.some((entry) => entry.isDirectory() && entry.name !== basename(stateDir))
}

/** Removes the folders that nothing is in any more; others may share them. */
export function removeFolders({ stateDir, subnetFile, instance }: Settings): void {
  const run = dirname(statusSocketPath(instance))
  const ofNetworks = (entriesOf(attachmentsFolder) ?? []).map((name) =>
    join(attachmentsFolder, name),
  )
  const folders = [...ofNetworks, attachmentsFolder, join(run, 'locks'), run]
  // A folder elsewhere is not the daemon's.
  if (subnetFile.startsWith('/run/')) folders.push(dirname(subnetFile))
  for (const folder of [...folders, stateDir, dirname(stateDir)]) removeIfEmpty(folder)
}
