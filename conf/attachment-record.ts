import { parseAddress } from '../ip/address.ts'
import { DecodeError } from './errors.ts'

/**
 * Where the plugin keeps one file for every attachment that exists, `<network>/<file name>`. The
 * daemon rebuilds firewall rules from them; DEL and GC clean up by them. Gone after a reboot, as
 * the attachments are.
 */
export const attachmentsFolder = '/run/heddle/attachments'

/** The newest form of the file that is known here. */
const knownVersion = 1

/** One interface of one container in one network; the three together are unique on a host. */
export interface AttachmentKey {
  readonly network: string
  readonly containerId: string
  readonly ifname: string
}

/** How a container is attached. */
export type AttachmentMode = 'bridge' | 'ptp' | 'macvlan'

/** The link that the plugin made. What a mode does not have is the empty text. */
export interface LinkRecord {
  readonly mode: AttachmentMode
  /** The container's namespace: its path, and the pair that tells it from a later one there. */
  readonly netns: { readonly path: string; readonly device: number; readonly inode: number }
  readonly bridge: string
  readonly hostVeth: string
  readonly hostMac: string
  readonly mac: string
  /** CIDR text; empty for an attachment without addresses. */
  readonly addresses: readonly string[]
  /** The host's link that a macvlan is on. */
  readonly master?: string
}

/** Host ports that lead to the container. */
export interface PublishedPorts {
  readonly mappings: readonly RecordedMapping[]
  /** Bare: the container's first address of each family. */
  readonly addresses: readonly string[]
  /** CIDR text: sources whose packets to the published ports get the host's address. */
  readonly near: readonly string[]
  /** For a record without a link: the host's end of the container's, which goes with it. */
  readonly hostVeth?: string
}

export interface RecordedMapping {
  readonly protocol: 'tcp' | 'udp' | 'sctp'
  readonly hostPort: number
  readonly containerPort: number
  /** Canonical text; absent for every address of the host. */
  readonly hostIp?: string
}

/**
 * What was made for an attachment, by the plugin whose part it is: a plugin of a chain writes and
 * removes its own part, and the file goes with the last one.
 */
export interface AttachmentParts {
  readonly link?: LinkRecord
  /** The plugin masquerades for it; `exempt` are the networks (CIDR) that it does not. */
  readonly masquerade?: { readonly exempt: readonly string[] }
  readonly ports?: PublishedPorts
  /** The link whose queue is shaped, and the one that shapes what comes in by it. */
  readonly shaping?: { readonly hostLink: string; readonly ifb?: string }
  /** Other names of the container in this network. */
  readonly aliases?: readonly string[]
  /** `heddle` stands behind the plugin that made the link, which may be heddle by another name. */
  readonly chained?: true
}

export interface AttachmentRecord extends AttachmentKey, AttachmentParts {
  /** A DEL has begun: firewall entries that are gone must not be put back. */
  readonly ending?: true
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

/** The file's text. The link's keys stand beside the others, as they did before there were parts. */
export function formatAttachment(record: AttachmentRecord): string {
  const { network, containerId, ifname, link, ...others } = record
  return `${JSON.stringify({ v: knownVersion, network, containerId, ifname, ...flatLink(link), ...others })}\n`
}

function flatLink(link: LinkRecord | undefined): object {
  if (!link) return {}
  const { mode, ...keys } = link
  return mode === 'bridge' ? keys : { mode, ...keys }
}

/**
 * Reads a record. `path` is for messages. Keys it does not know are left out.
 * @throws RecordVersionError, or DecodeError for a file that is not a record.
 */
export function parseAttachment(text: string, path: string): AttachmentRecord {
  const raw = readJson(text, path)
  if (typeof raw['v'] === 'number' && raw['v'] > knownVersion) {
    throw new RecordVersionError(path, raw['v'])
  }
  if (!isFlat(raw)) throw new DecodeError(`${path} is not the record of an attachment`)
  const { network, containerId, ifname, masquerade, ports, shaping, aliases } = raw
  return {
    network,
    containerId,
    ifname,
    ...('netns' in raw && { link: linkOf(raw) }),
    ...(masquerade && { masquerade }),
    ...(ports && { ports }),
    ...(shaping && { shaping }),
    ...(aliases && { aliases }),
    ...(raw.chained && { chained: true }),
    ...(raw.ending && { ending: true }),
  }
}

function linkOf(raw: FlatLink): LinkRecord {
  const { mode = 'bridge', netns, bridge, hostVeth, hostMac, mac, addresses, master } = raw
  const keys = { mode, netns, bridge, hostVeth, hostMac, mac, addresses }
  return master === undefined ? keys : { ...keys, master }
}

function readJson(text: string, path: string): RawObject {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value as RawObject
  } catch {
    // Told below: a file cut short is no better than one that holds something else.
  }
  throw new DecodeError(`${path} is not a JSON object`)
}

type RawObject = Readonly<Record<string, unknown>>

type FlatLink = Omit<LinkRecord, 'mode'> & { readonly mode?: AttachmentMode }

/** The form in the file: the link's keys all there, or none of them. */
type FlatRecord = AttachmentKey &
  Omit<AttachmentParts, 'link'> &
  FlatLink & { readonly ending?: true }

function isFlat(raw: RawObject): raw is RawObject & FlatRecord {
  const { netns, masquerade, ports, shaping, aliases } = raw
  return (
    areTexts(raw, keyTexts) &&
    (netns === undefined ? Boolean(ports ?? shaping) : isLink(raw)) &&
    (masquerade === undefined || (isObject(masquerade) && isTexts(masquerade['exempt']))) &&
    (ports === undefined || isPorts(ports)) &&
    (shaping === undefined || isShaping(shaping)) &&
    (aliases === undefined || isTexts(aliases))
  )
}

const keyTexts = ['network', 'containerId', 'ifname']
const linkTexts = ['bridge', 'hostVeth', 'hostMac', 'mac']
const modes: readonly unknown[] = [undefined, 'bridge', 'ptp', 'macvlan']

function isLink(raw: RawObject): boolean {
  const { mode, netns, addresses, master } = raw
  return (
    modes.includes(mode) &&
    isObject(netns) &&
    typeof netns['path'] === 'string' &&
    typeof netns['device'] === 'number' &&
    typeof netns['inode'] === 'number' &&
    areTexts(raw, linkTexts) &&
    isTexts(addresses) &&
    isOptionalText(master)
  )
}

function isPorts(value: unknown): boolean {
  if (!isObject(value)) return false
  const { mappings, addresses, near, hostVeth } = value
  return (
    isTexts(addresses) &&
    isTexts(near) &&
    isOptionalText(hostVeth) &&
    Array.isArray(mappings) &&
    mappings.every(isMapping)
  )
}

function isMapping(value: unknown): boolean {
  return (
    isObject(value) &&
    (value['protocol'] === 'tcp' || value['protocol'] === 'udp' || value['protocol'] === 'sctp') &&
    isPort(value['hostPort']) &&
    isPort(value['containerPort']) &&
    (value['hostIp'] === undefined || isAddress(value['hostIp']))
  )
}

function isPort(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) > 0 && Number(value) < 65536
}

function isAddress(value: unknown): boolean {
  return typeof value === 'string' && parseAddress(value) !== undefined
}

function isShaping(value: unknown): boolean {
  return isObject(value) && areTexts(value, ['hostLink']) && isOptionalText(value['ifb'])
}

function isObject(value: unknown): value is RawObject {
  return typeof value === 'object' && value !== null
}

function areTexts(raw: RawObject, keys: readonly string[]): boolean {
  for (const key of keys) if (typeof raw[key] !== 'string') return false
  return true
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

function isOptionalText(value: unknown): boolean {
  return value === undefined || typeof value === 'string'
}
