import { type Address, type Family, formatAddress, sameAddress } from '../ip/address.ts'
import {
  CT_DELETE,
  CT_GET,
  CT_NEW,
  CTA_FILTER_F_IP_DST,
  CTA_FILTER_F_PROTO_DST_PORT,
  CTA_FILTER_F_PROTO_NUM,
  conntrackTable,
  type tupleTable,
} from './codec/conntrack.ts'
import { afOf, familyOf } from './codec/family.ts'
import type { Request } from './codec/message.ts'
import { nfgenmsg } from './codec/nfnetlink.ts'
import { decodeBody, encodeBody } from './codec/struct.ts'
import type { Attrs } from './codec/table.ts'
import type { Connection } from './connection.ts'
import { ENOENT, isErrno } from './errors.ts'
import { type TransportProtocol, transportProtocols } from './nftables/match.ts'
import { present } from './present.ts'

/** One direction of a connection: what its packets say. */
export interface ConntrackTuple {
  readonly source: Address
  readonly destination: Address
  /** IPPROTO_* */
  readonly protocol: number
  /** Absent for a protocol without ports. */
  readonly sourcePort?: number
  readonly destinationPort?: number
}

/** A connection that the kernel tracks, and so keeps translating as it did first. */
export interface ConntrackEntry {
  readonly family: Family
  readonly id?: number
  readonly zone?: number
  /** IPS_*: 0x10 source translated, 0x20 destination translated. */
  readonly status: number
  readonly mark?: number
  /** As its first packet came. */
  readonly original: ConntrackTuple
  /** What answers to it look like: the translation read backwards. */
  readonly reply: ConntrackTuple
}

/** What a listing may be narrowed to, all of the original direction. */
export interface ConntrackFilter {
  readonly family: Family
  /** IPPROTO_* */
  readonly protocol: number
  readonly destinationPort?: number | undefined
  readonly destination?: Address | undefined
}

type TupleAttrs = Attrs<typeof tupleTable>

/**
 * For a dump: the connections of a protocol, or to a port. The kernel filters since Linux 5.8; an older one answers
 * everything of the family, of which the rest is left out here.
 */
export function listConntrack(filter: ConntrackFilter): Request<ConntrackEntry> {
  const { family, protocol, destinationPort, destination } = filter
  const flags =
    CTA_FILTER_F_PROTO_NUM |
    (destinationPort === undefined ? 0 : CTA_FILTER_F_PROTO_DST_PORT) |
    (destination ? CTA_FILTER_F_IP_DST : 0)
  const original = {
    ...(destination && { addresses: addressAttrs({ destination }) }),
    protocol: present({ number: protocol, destinationPort }),
  }
  const attrs = {
    original,
    filter: { original: flags },
  }
  return {
    type: CT_GET,
    flags: 0,
    body: encodeBody(nfgenmsg, { family: afOf(family) }, conntrackTable, attrs),
    op: `list connections to ${describe(filter)}`,
    decode(type, payload) {
      const entry = type === CT_NEW ? decodeConntrack(payload) : undefined
      return entry && matches(entry, filter) ? entry : undefined
    },
  }
}

function matches({ family, original }: ConntrackEntry, filter: ConntrackFilter): boolean {
  return (
    family === filter.family &&
    original.protocol === filter.protocol &&
    (filter.destinationPort === undefined || original.destinationPort === filter.destinationPort) &&
    (!filter.destination || sameAddress(original.destination, filter.destination))
  )
}

/** Forgets one connection; that it is over already is no error. */
export function deleteConntrack({ family, original, id, zone }: ConntrackEntry): Request {
  const { protocol: number, sourcePort, destinationPort } = original
  const tuple = {
    addresses: addressAttrs(original),
    protocol: present({ number, sourcePort, destinationPort }),
  }
  // Without a tuple this message would forget every connection of the host.
  const attrs = { original: tuple, id, zone }
  return {
    type: CT_DELETE,
    flags: 0,
    body: encodeBody(nfgenmsg, { family: afOf(family) }, conntrackTable, attrs),
    op: `forget the connection to ${formatAddress(original.destination)}`,
    noneErrno: ENOENT,
  }
}

/** Ports of this host, each at one address or any. */
interface Ports {
  readonly family: Family
  readonly protocol: TransportProtocol
  readonly ports: readonly { readonly port: number; readonly address?: Address | undefined }[]
}

// IPS_SRC_NAT and IPS_DST_NAT, uapi/linux/netfilter/nf_conntrack_common.h.
const SOURCE_TRANSLATED = 1 << 4
const DESTINATION_TRANSLATED = 1 << 5

/**
 * Forgets the connections to ports, so that the next packet of each is translated by today's
 * rules, and returns how many there were: none when the kernel tracks no connections. A connection
 * whose source alone is translated only passes through the host, and stays. Throws `NetlinkError`
 * for what else the kernel refuses.
 */
export function flushConntrack(connection: Connection, where: Ports): number {
  const { family, protocol, ports } = where
  const [first, second] = ports
  if (!first) return 0
  // The kernel walks its whole table each time: for several ports it does so once.
  const filter = {
    family,
    protocol: transportProtocols[protocol],
    ...(!second && { destinationPort: first.port, destination: first.address }),
  }
  const wanted = new Set(ports.map(({ port, address }) => portName(port, address)))
  const entries = find(connection, filter).filter((entry) => isTo(entry, wanted))
  const error = connection.batch(entries.map(deleteConntrack)).find(Boolean)
  if (error) throw error
  return entries.length
}

function portName(port: number, address?: Address): string {
  return address ? `${port} ${formatAddress(address)}` : `${port}`
}

function isTo({ status, original }: ConntrackEntry, wanted: ReadonlySet<string>): boolean {
  const { destination, destinationPort = 0 } = original
  const translated = status & (SOURCE_TRANSLATED | DESTINATION_TRANSLATED)
  return (
    translated !== SOURCE_TRANSLATED &&
    (wanted.has(portName(destinationPort)) || wanted.has(portName(destinationPort, destination)))
  )
}

function find(connection: Connection, filter: ConntrackFilter): ConntrackEntry[] {
  try {
    return connection.dump(listConntrack(filter))
  } catch (error) {
    // How netfilter answers for a part of it that is not there.
    if (isErrno(error, 'EINVAL', 'EOPNOTSUPP')) return []
    throw error
  }
}

function addressAttrs(ends: { source?: Address; destination?: Address }) {
  const { source, destination } = ends
  const isIPv4 = (source ?? destination)?.family === 4
  return isIPv4
    ? present({ source4: source, destination4: destination })
    : present({ source6: source, destination6: destination })
}

/**
 * Reads IPCTNL_MSG_CT_NEW or _DELETE; undefined for a family that is not IP. Throws `RangeError` on
 * bytes it cannot be.
 */
function decodeConntrack(payload: Uint8Array): ConntrackEntry | undefined {
  const { header, attrs } = decodeBody(nfgenmsg, conntrackTable, payload)
  const family = familyOf(header.family)
  if (!family) return undefined
  return present({
    family,
    id: attrs.id,
    zone: attrs.zone,
    status: attrs.status ?? 0,
    mark: attrs.mark,
    original: decodeTuple(attrs.original),
    reply: decodeTuple(attrs.reply),
  })
}

function decodeTuple({ addresses = {}, protocol = {} }: TupleAttrs = {}): ConntrackTuple {
  const { source4, source6, destination4, destination6 } = addresses
  const source = source4 ?? source6
  const destination = destination4 ?? destination6
  if (!source || !destination) throw new RangeError('a connection has no addresses')
  const { number = 0, sourcePort, destinationPort } = protocol
  return present({ source, destination, protocol: number, sourcePort, destinationPort })
}

function describe({ protocol, destinationPort, destination }: ConntrackFilter): string {
  const port = `port ${destinationPort ?? '*'} of protocol ${protocol}`
  return destination ? `${port} at ${formatAddress(destination)}` : port
}
