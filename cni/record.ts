import {
  type AttachmentRecord,
  attachmentFile,
  attachmentsFolder,
  formatAttachment,
  parseAttachment,
} from '../conf/attachment-record.ts'
import { DecodeError } from '../conf/errors.ts'
import { readIfThere, removeFile, replaceFile } from './files.ts'
import type { AttachmentKey } from './stable-names.ts'

/** Writes an attachment's record. Returns how to put back what was there before. */
export function writeRecord(record: AttachmentRecord): () => void {
  return replaceFile(recordPath(record), formatAttachment(record))
}

/**
 * An attachment's record, or undefined. One that cannot be read is no better than none: what it
 * would tell can be found out without it.
 * @throws RecordVersionError when a newer heddle wrote it.
 */
export function readRecord(key: AttachmentKey): AttachmentRecord | undefined {
  const path = recordPath(key)
  const text = readIfThere(path)
  if (text === undefined) return undefined
  try {
    return parseAttachment(text, path)
  } catch (error) {
    if (error instanceof DecodeError) return undefined
    throw error
  }
}

export function removeRecord(key: AttachmentKey): void {
  removeFile(recordPath(key))
}

function recordPath({ network, containerId, ifname }: AttachmentKey): string {
  return `${attachmentsFolder}/${attachmentFile(network, containerId, ifname)}`
}
