import { type Address, type Family, formatAddress } from '../ip/address.ts'
import type { Mac } from '../ip/mac.ts'
import { AF_BRIDGE, afOf } from './codec/family.ts'
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_REPLACE, type Request } from './codec/message.ts'
import {
  NTF_SELF,
  NUD_PERMANENT,
  ndmsg,
  neighbourTable,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTM_NEWNEIGH,
} from './codec/neighbour.ts'
import { decodeBody, encodeBody } from './codec/struct.ts'
import { ENOENT } from './errors.ts'
import { present } from './present.ts'

/** Which MAC an address has on a link (ARP, neighbour discovery). */
export interface Neighbour {
  readonly index: number
  readonly address: Address
  /** Absent while it is not resolved. */
  readonly mac?: Mac
  /** NUD_PERMANENT: made by hand, and stays. */
  readonly permanent: boolean
}

/** Where frames to a MAC go: for a vxlan device, to which host. */
export interface FdbEntry {
  readonly index: number
  readonly mac: Mac
  /** Absent for a bridge's own entries, which name a port. */
  readonly destination?: Address
  /** UDP port and network identifier, if they are not the vxlan's own. */
  readonly port?: number
  readonly vni?: number
  /** In the device's own table, not in that of the bridge it is a port of. */
  readonly self: boolean
  readonly permanent: boolean
}

interface NeighbourRef {
  readonly index: number
  readonly address: Address
}

interface NewFdb {
  readonly index: number
  readonly mac: Mac
  readonly destination: Address
}

/** `ip neighbour replace ... nud permanent`. */
export function replaceNeighbour({ index, address, mac }: NeighbourRef & { mac: Mac }): Request {
  const header = { family: afOf(address.family), index, state: NUD_PERMANENT }
  const attrs = { destination: address, mac }
  return {
    type: RTM_NEWNEIGH,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    body: encodeBody(ndmsg, header, neighbourTable, attrs),
    op: `replace neighbour ${formatAddress(address)} on link ${index}`,
  }
}

/** `ip neighbour del`. ENOENT when there is none. */
export function deleteNeighbour({ index, address }: NeighbourRef): Request {
  const header = { family: afOf(address.family), index }
  return {
    type: RTM_DELNEIGH,
    flags: 0,
    body: encodeBody(ndmsg, header, neighbourTable, { destination: address }),
    op: `delete neighbour ${formatAddress(address)} from link ${index}`,
  }
}

/** The same, for an address that mostly has no neighbour entry: that is no error. */
export function forgetNeighbour(neighbour: NeighbourRef): Request {
  return { ...deleteNeighbour(neighbour), noneErrno: ENOENT }
}

/** For a dump: the neighbours of a family, on one link or all. */
export function listNeighbours(filter: {
  readonly family: Family
  readonly index?: number | undefined
}): Request<Neighbour> {
  const { family, index } = filter
  return {
    type: RTM_GETNEIGH,
    flags: 0,
    body: encodeBody(ndmsg, { family: afOf(family) }, neighbourTable, { ifindex: index }),
    op: `list IPv${family} neighbours`,
    decode: (_, payload) => decodeNeighbour(payload),
  }
}

/** `bridge fdb replace MAC dev DEVICE dst HOST self permanent`: this MAC is behind that host only. */
export function replaceFdb(entry: NewFdb): Request {
  return newFdb(entry, NLM_F_REPLACE, 'replace')
}

/** `bridge fdb append ...`: also behind that host, for the all-zero MAC that floods go to. */
export function appendFdb(entry: NewFdb): Request {
  return newFdb(entry, NLM_F_APPEND, 'append')
}

function newFdb({ index, mac, destination }: NewFdb, flag: number, verb: string): Request {
  const header = { family: AF_BRIDGE, index, state: NUD_PERMANENT, flags: NTF_SELF }
  return {
    type: RTM_NEWNEIGH,
    flags: NLM_F_CREATE | flag,
    body: encodeBody(ndmsg, header, neighbourTable, { mac, destination }),
    op: `${verb} fdb entry ${mac} on link ${index}`,
  }
}

/** `bridge fdb del MAC dev DEVICE [dst HOST] self`. ENOENT when there is none. */
export function deleteFdb(entry: {
  readonly index: number
  readonly mac: Mac
  readonly destination?: Address | undefined
}): Request {
  const { index, mac, destination } = entry
  const header = { family: AF_BRIDGE, index, flags: NTF_SELF }
  return {
    type: RTM_DELNEIGH,
    flags: 0,
    body: encodeBody(ndmsg, header, neighbourTable, { mac, destination }),
    op: `delete fdb entry ${mac} from link ${index}`,
  }
}

/** For a dump: the forwarding entries of one device. */
export function listFdb({ index }: { readonly index: number }): Request<FdbEntry> {
  return {
    type: RTM_GETNEIGH,
    flags: 0,
    body: encodeBody(ndmsg, { family: AF_BRIDGE }, neighbourTable, { ifindex: index }),
    op: `list fdb entries of link ${index}`,
    decode: (_, payload) => decodeFdb(payload),
  }
}

/** Reads RTM_NEWNEIGH or RTM_DELNEIGH of an IP family. Throws `RangeError` on bytes it cannot be. */
export function decodeNeighbour(payload: Uint8Array): Neighbour {
  const { header, attrs } = decodeBody(ndmsg, neighbourTable, payload)
  if (!attrs.destination) throw new RangeError('neighbour message holds no address')
  const { mac } = attrs
  const permanent = (header.state & NUD_PERMANENT) !== 0
  return present({ index: header.index, address: attrs.destination, mac, permanent })
}

/** Reads RTM_NEWNEIGH or RTM_DELNEIGH of AF_BRIDGE. Throws `RangeError` on bytes it cannot be. */
export function decodeFdb(payload: Uint8Array): FdbEntry {
  const { header, attrs } = decodeBody(ndmsg, neighbourTable, payload)
  const { mac, destination, port, vni } = attrs
  if (!mac) throw new RangeError('forwarding entry holds no MAC address')
  return present({
    index: header.index,
    mac,
    destination,
    port,
    vni,
    self: (header.flags & NTF_SELF) !== 0,
    permanent: (header.state & NUD_PERMANENT) !== 0,
  })
}
