import { unlinkIfThere } from '#fs'
import type { ListedAttachment } from '../../conf/attachment-list.ts'
import {
  type AttachmentKey,
  type AttachmentRecord,
  attachmentsFolder,
  RecordVersionError,
} from '../../conf/attachment-record.ts'
import { parseNetConf } from '../../conf/net-conf.ts'
import type { Call } from '../call.ts'
import { namesIn, readIfThere, removeFile } from '../files.ts'
import { readRecord } from '../records/record.ts'
import { keyOfFile } from '../records/records.ts'
import { savedFolder } from '../target/resolve.ts'

/** An attachment that there is a record of and that nobody has. */
export interface Stale {
  readonly key: AttachmentKey
  /** Undefined when it cannot be read. */
  readonly record: AttachmentRecord | undefined
  /** A newer heddle wrote the record: it is neither used nor removed. */
  readonly isNewer?: true
}

/** The attachments of a network with a record, but for those to keep. By names: files may be torn. */
export function staleAttachments(network: string, keep: readonly ListedAttachment[]): Stale[] {
  const kept = new Set(keep.map(({ containerId, ifname }) => `${containerId} ${ifname}`))
  const stale = new Map<string, Stale>()
  for (const file of namesIn(`${attachmentsFolder}/${network}`)) {
    const key = keyOfFile(network, file)
    if (!key) continue
    const name = `${key.containerId} ${key.ifname}`
    if (!kept.has(name)) stale.set(name, lookAt(key))
  }
  return [...stale.values()]
}

function lookAt(key: AttachmentKey): Stale {
  try {
    return { key, record: readRecord(key) }
  } catch (error) {
    if (error instanceof RecordVersionError) return { key, record: undefined, isNewer: true }
    throw error
  }
}

/**
 * Removes the configurations that containers of a network were attached by, but for those to keep.
 * Flannel's folder has one for each container, of all networks together.
 */
export function forgetTargets(call: Call, keep: readonly ListedAttachment[]): void {
  const kept = new Set(keep.map(({ containerId }) => containerId))
  const folder = savedFolder(call)
  for (const name of namesIn(folder)) {
    // An ADD that was killed while it wrote leaves this; no container's id begins with a dot.
    const [, unfinished] = /^\.(.+)\.tmp$/.exec(name) ?? []
    const containerId = unfinished ?? name
    if (kept.has(containerId)) continue
    const path = `${folder}/${containerId}`
    if (networkOfFile(path) === call.conf.name) removeFile(path)
    else if (unfinished !== undefined) unlinkIfThere(`${folder}/${name}`)
  }
}

function networkOfFile(path: string): string | undefined {
  try {
    return parseNetConf(readIfThere(path) ?? '').name
  } catch {
    return undefined
  }
}
