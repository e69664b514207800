import {
  type AttachmentKey,
  type AttachmentRecord,
  attachmentsFolder,
  parseAttachment,
  RecordVersionError,
} from '../../conf/attachment-record.ts'
import { DecodeError } from '../../conf/errors.ts'
import { namesIn, readIfThere } from '../files.ts'

/**
 * The records of a network's attachments, or of every network's. What cannot be read, or was
 * written by a newer heddle, is left out.
 */
export function listRecords(network?: string): AttachmentRecord[] {
  const networks = network === undefined ? namesIn(attachmentsFolder) : [network]
  const records: AttachmentRecord[] = []
  for (const name of networks) {
    const folder = `${attachmentsFolder}/${name}`
    for (const file of namesIn(folder)) {
      // Such names are of files that are being written.
      if (file.startsWith('.')) continue
      const record = readOne(`${folder}/${file}`)
      if (record) records.push(record)
    }
  }
  return records
}

function readOne(path: string): AttachmentRecord | undefined {
  const text = readIfThere(path)
  try {
    return text === undefined ? undefined : parseAttachment(text, path)
  } catch (error) {
    if (error instanceof DecodeError || error instanceof RecordVersionError) return undefined
    throw error
  }
}

/** The reverse of `attachmentFile`; also for the file's name while it is being written. */
export function keyOfFile(network: string, file: string): AttachmentKey | undefined {
  const [, containerId, escaped] = /^\.?(.+)-([^-]+)\.json(?:\.tmp)?$/.exec(file) ?? []
  if (containerId === undefined || escaped === undefined) return undefined
  try {
    return { network, containerId, ifname: decodeURIComponent(escaped) }
  } catch {
    return undefined
  }
}
