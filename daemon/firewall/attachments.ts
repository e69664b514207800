import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type AttachmentRecord,
  attachmentsFolder,
  parseAttachment,
} from '../../conf/attachment-record.ts'
import { DecodeError } from '../../conf/errors.ts'
import type { Masquerade } from '../../firewall/masquerade-pool.ts'
import type { PluginState } from '../../firewall/plugin-table.ts'
import type { Published } from '../../firewall/published-parts.ts'
import { type Address, parseAddress } from '../../ip/address.ts'
import { type Prefix, parsePrefix } from '../../ip/prefix.ts'

/**
 * The records of this host's attachments, without those whose DEL has begun. A file that is no
 * record is left out: what it stood for is not known any more.
 * @throws RecordVersionError for one of a newer heddle, file system errors
 */
export function readAttachments(folder: string = attachmentsFolder): AttachmentRecord[] {
  const records: AttachmentRecord[] = []
  for (const network of entriesOf(folder)) {
    for (const name of entriesOf(join(folder, network))) {
      if (!name.endsWith('.json')) continue
      const record = readRecord(join(folder, network, name))
      if (record && !record.ending) records.push(record)
    }
  }
  return records
}

function readRecord(path: string): AttachmentRecord | undefined {
  try {
    return parseAttachment(readFileSync(path, 'utf8'), path)
  } catch (error) {
    if (error instanceof DecodeError || isMissing(error)) return undefined
    throw error
  }
}

/** Nothing for what is not there, or no folder: attachments come and go meanwhile. */
function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

function isMissing(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'ENOENT' || code === 'ENOTDIR'
}

/** What these attachments want of the plugin's table. Pure. */
export function pluginStateOf(records: readonly AttachmentRecord[]): PluginState {
  return {
    masqueraded: records.flatMap((record) => masqueradeOf(record) ?? []),
    published: records.flatMap((record) => publishedOf(record) ?? []),
  }
}

function masqueradeOf(record: AttachmentRecord): Masquerade | undefined {
  const { network, link, masquerade } = record
  if (!masquerade || !link) return undefined
  const addresses = prefixesOf(link.addresses).map(({ address }) => address)
  return { network, owner: ownerOf(record), addresses, exempt: prefixesOf(masquerade.exempt) }
}

function publishedOf(record: AttachmentRecord): Published | undefined {
  const { network, ports } = record
  if (!ports) return undefined
  const { mappings, addresses, near } = ports
  return {
    network,
    owner: ownerOf(record),
    mappings,
    addresses: addressesOf(addresses),
    near: prefixesOf(near),
  }
}

function ownerOf({ containerId, ifname }: AttachmentRecord): Masquerade['owner'] {
  return { containerId, ifname }
}

function prefixesOf(texts: readonly string[]): Prefix[] {
  return texts.flatMap((text) => parsePrefix(text) ?? [])
}

function addressesOf(texts: readonly string[]): Address[] {
  return texts.flatMap((text) => parseAddress(text) ?? [])
}

/** The bridges that these attachments are on, each once. */
export function bridgesOf(records: readonly AttachmentRecord[]): string[] {
  const bridges = records.flatMap(({ link }) => (link?.mode === 'bridge' ? link.bridge : []))
  return [...new Set(bridges)].filter((name) => name !== '')
}
