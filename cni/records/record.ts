import {
  type AttachmentKey,
  type AttachmentParts,
  type AttachmentRecord,
  attachmentFile,
  attachmentsFolder,
  formatAttachment,
  parseAttachment,
} from '../../conf/attachment-record.ts'
import { DecodeError } from '../../conf/errors.ts'
import { readIfThere, readUnlessMissing, removeFile, writeWhole } from '../files.ts'

/**
 * Writes the record of an attachment that is about to be made, in place of `earlier`, the one that
 * `findRecord` found. Returns how to put that back.
 */
export function beginRecord(
  record: AttachmentRecord,
  earlier: AttachmentRecord | undefined,
): () => void {
  const path = recordPath(record)
  writeWhole(path, formatAttachment(record))
  return () => {
    if (earlier) writeWhole(path, formatAttachment(earlier))
    else removeFile(path)
  }
}

/**
 * Writes parts of a record; the others stay, and a DEL that had begun counts as over. To be called
 * before a part's first effect. Returns how to put back what was there before.
 * @throws RecordVersionError when a newer heddle wrote the record.
 */
export function writePart(key: AttachmentKey, parts: AttachmentParts): () => void {
  const { network, containerId, ifname } = key
  const earlier = findRecord(key)
  const { ending: _over, ...kept } = earlier ?? { network, containerId, ifname }
  return beginRecord({ ...kept, ...parts }, earlier)
}

/**
 * Notes that what the record tells of is being removed: whoever rebuilds the firewall by records
 * leaves it out from now on, and the next DEL still finds it. The first step of a DEL that takes
 * away entries of the firewall. A disk that is full keeps none of them from going.
 */
export function markEnding(record: AttachmentRecord): void {
  if (record.ending) return
  try {
    writeWhole(recordPath(record), formatAttachment({ ...record, ending: true }))
  } catch {
    // The record is as it was: at worst the daemon puts back what the next DEL or GC finds.
  }
}

/**
 * Removes parts of a record, after their effects. With the last part goes the file, and so does one
 * that cannot be read. `record` saves reading it again.
 */
export function removePart(
  key: AttachmentKey,
  names: readonly (keyof AttachmentParts)[],
  record: AttachmentRecord | undefined = readRecord(key),
): void {
  const left: { -readonly [Key in keyof AttachmentRecord]: AttachmentRecord[Key] } = {
    ...(record ?? key),
  }
  for (const name of names) delete left[name]
  const path = recordPath(key)
  if (left.link || left.ports || left.shaping) writeWhole(path, formatAttachment(left))
  else removeFile(path)
}

/**
 * An attachment's record, or undefined. One that cannot be read is no better than none: what it
 * would tell can be found out without it.
 * @throws RecordVersionError when a newer heddle wrote it.
 */
export function readRecord(key: AttachmentKey): AttachmentRecord | undefined {
  const path = recordPath(key)
  return parse(readIfThere(path), path)
}

/** The same, for when there mostly is none. */
export function findRecord(key: AttachmentKey): AttachmentRecord | undefined {
  const path = recordPath(key)
  return parse(readUnlessMissing(path), path)
}

function parse(text: string | undefined, path: string): AttachmentRecord | undefined {
  if (text === undefined) return undefined
  try {
    return parseAttachment(text, path)
  } catch (error) {
    if (error instanceof DecodeError) return undefined
    throw error
  }
}

function recordPath({ network, containerId, ifname }: AttachmentKey): string {
  return `${attachmentsFolder}/${attachmentFile(network, containerId, ifname)}`
}

/** The parts of a plugin that makes the link, and with them those that `heddle` has besides. */
export const linkParts = ['link', 'masquerade', 'aliases'] as const
export const allParts = [...linkParts, 'ports', 'shaping'] as const
