import { readdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { attachmentsFolder } from '../../conf/attachment-record.ts'
import { statusSocketPath } from '../../conf/daemon-status.ts'
import { subnetStatusPath } from '../../conf/subnet-status.ts'
import { dockerOptionsPath } from '../docker-options.ts'
import { deviceLock } from '../locks.ts'
import type { Settings } from '../settings.ts'
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
}

/** Removes the state folder, and the embedded store beside it when it serves nobody any more. */
export function removeState(
  { stateDir, store }: Settings,
  { devices }: Pick<Known, 'devices'>,
  { isStoreIdle, report }: { readonly isStoreIdle: boolean; readonly report: Report },
): void {
  for (const device of devices.keys()) removeFile(deviceLock(device).path)
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
