import { DecodeError } from './errors.ts'

/**
 * Where the plugin keeps one file for every attachment that exists, `<network>/<file name>`. The
 * daemon rebuilds firewall rules from them; DEL and GC clean up by them. Gone after a reboot, as
 * the attachments are.
 */
export const attachmentsFolder = '/run/heddle/attachments'

/** The newest form of the file that is known here. */
const knownVersion = 1

/** What ADD made for one interface of one container. Addresses are CIDR text. */
export interface AttachmentRecord {
  readonly network: string
  readonly containerId: string
  readonly ifname: string
  /** The container's namespace: its path, and the pair that tells it from a later one there. */
  readonly netns: { readonly path: string; readonly device: number; readonly inode: number }
  readonly bridge: string
  readonly hostVeth: string
  readonly hostMac: string
  readonly mac: string
  /** Empty for an attachment without addresses. */
  readonly addresses: readonly string[]
  /** Present when the plugin masquerades for it; `exempt` are the networks that it does not. */
  readonly masquerade?: { readonly exempt: readonly string[] }
}

/** A record that a newer heddle wrote: it is neither used nor rewritten. */
export class RecordVersionError extends Error {
  override readonly name = 'RecordVersionError'
  readonly path: string
  readonly found: number

  constructor(path: string, found: number) {
    super(
      `${path} is of version ${found}, written by a newer heddle; ${knownVersion} is known here`,
    )
    this.path = path
    this.found = found
  }
}

/** A record's place below `attachmentsFolder`. The escape keeps `a-b`+`c` apart from `a`+`b-c`. */
export function attachmentFile(network: string, containerId: string, ifname: string): string {
  const escaped = encodeURIComponent(ifname).replaceAll('-', '%2D')
  return `${network}/${containerId}-${escaped}.json`
}

export function formatAttachment(record: AttachmentRecord): string {
  return `${JSON.stringify({ v: knownVersion, ...record })}\n`
}

/**
 * Reads a record. `path` is for messages.
 * @throws RecordVersionError, or DecodeError for a file that is not a record.
 */
export function parseAttachment(text: string, path: string): AttachmentRecord {
  const raw = readJson(text, path)
  if (typeof raw['v'] === 'number' && raw['v'] > knownVersion) {
    throw new RecordVersionError(path, raw['v'])
  }
  if (!isRecord(raw)) throw new DecodeError(`${path} is not the record of an attachment`)
  return raw
}

function readJson(text: string, path: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {
    // Told below: a file cut short is no better than one that holds something else.
  }
  throw new DecodeError(`${path} is not a JSON object`)
}

const texts = ['network', 'containerId', 'ifname', 'bridge', 'hostVeth', 'hostMac', 'mac'] as const

function isRecord(
  raw: Readonly<Record<string, unknown>>,
): raw is Readonly<Record<string, unknown>> & AttachmentRecord {
  const { netns, addresses, masquerade } = raw
  return (
    texts.every((key) => typeof raw[key] === 'string') &&
    isObject(netns) &&
    typeof netns['path'] === 'string' &&
    typeof netns['device'] === 'number' &&
    typeof netns['inode'] === 'number' &&
    isTexts(addresses) &&
    (masquerade === undefined || (isObject(masquerade) && isTexts(masquerade['exempt'])))
  )
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}
