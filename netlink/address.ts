import { type Address, type Family } from '../ip/address.ts'
import { formatPrefix, lastAddress, type Prefix } from '../ip/prefix.ts'
import {
  addressTable,
  IFA_F_DADFAILED,
  IFA_F_DEPRECATED,
  IFA_F_NODAD,
  IFA_F_NOPREFIXROUTE,
  IFA_F_PERMANENT,
  IFA_F_SECONDARY,
  IFA_F_TENTATIVE,
  ifaddrmsg,
  RTM_DELADDR,
  RTM_GETADDR,
  RTM_NEWADDR,
} from './codec/address.ts'
import { afOf, familyOf } from './codec/family.ts'
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, type Request } from './codec/message.ts'
import { decodeBody, encodeBody } from './codec/struct.ts'
import { present } from './present.ts'

/** An address of a link. */
interface AddressRef {
  readonly index: number
  /** The address with its host bits, and the length of the connected network. */
  readonly prefix: Prefix
  /** The far end of a point-to-point link; `prefix.length` is its network's then. */
  readonly peer?: Address | undefined
}

/** An address to be made. */
export interface AddressSpec extends AddressRef {
  /** For IPv4 up to /30 the network's last address, if absent. */
  readonly broadcast?: Address | undefined
  readonly label?: string | undefined
  /** RT_SCOPE_*: 0 global (if absent), 253 link, 254 host. */
  readonly scope?: number | undefined
  /** IPv6: usable at once, without duplicate address detection (IFA_F_NODAD). */
  readonly noDad?: boolean | undefined
  /** Without the route to its network that the kernel would make (IFA_F_NOPREFIXROUTE). */
  readonly noPrefixRoute?: boolean | undefined
}

/** An address as the kernel shows it. */
export interface InterfaceAddress {
  readonly index: number
  readonly prefix: Prefix
  readonly peer?: Address
  readonly broadcast?: Address
  readonly label?: string
  readonly scope: number
  /** IPv6: duplicate address detection is still running. */
  readonly tentative: boolean
  /** IPv6: another host has it. */
  readonly dadFailed: boolean
  /** IPv6: made to be changed soon, for privacy (RFC 8981). */
  readonly temporary: boolean
  /** Its preferred lifetime is over: no source for new connections. */
  readonly deprecated: boolean
  /** It has no end of its lifetime. */
  readonly permanent: boolean
  readonly noPrefixRoute: boolean
}

/** Adds an address. EEXIST if the link has it. */
export function addAddress(spec: AddressSpec): Request {
  return newAddress(spec, NLM_F_CREATE | NLM_F_EXCL, 'add')
}

/** As `addAddress`, but not an error if the link has it: then only flags and lifetime change. */
export function replaceAddress(spec: AddressSpec): Request {
  return newAddress(spec, NLM_F_CREATE | NLM_F_REPLACE, 'replace')
}

function newAddress(spec: AddressSpec, flags: number, verb: string): Request {
  const { index, prefix, scope, label, broadcast = usualBroadcast(spec) } = spec
  const bits = (spec.noDad ? IFA_F_NODAD : 0) | (spec.noPrefixRoute ? IFA_F_NOPREFIXROUTE : 0)
  const attrs = { ...ends(spec), label, broadcast, flags: bits || undefined }
  return {
    type: RTM_NEWADDR,
    flags,
    body: encodeBody(ifaddrmsg, { ...headerOf(spec), scope }, addressTable, attrs),
    op: `${verb} address ${formatPrefix(prefix)} on link ${index}`,
  }
}

/** Deletes an address. EADDRNOTAVAIL if the link does not have it with this length. */
export function deleteAddress(ref: AddressRef): Request {
  return {
    type: RTM_DELADDR,
    flags: 0,
    body: encodeBody(ifaddrmsg, headerOf(ref), addressTable, ends(ref)),
    op: `delete address ${formatPrefix(ref.prefix)} from link ${ref.index}`,
  }
}

/** For a dump: the addresses of one link, of one family, or all. ENODEV if there is no such link. */
export function listAddresses(
  filter: { readonly index?: number; readonly family?: Family } = {},
): Request<InterfaceAddress> {
  const { index, family } = filter
  const header = { index, family: family && afOf(family) }
  return {
    type: RTM_GETADDR,
    flags: 0,
    body: encodeBody(ifaddrmsg, header, addressTable, {}),
    op: index === undefined ? 'list addresses' : `list addresses of link ${index}`,
    decode: (_, payload) => decodeAddress(payload),
  }
}

function headerOf({ index, prefix }: AddressRef) {
  return { family: afOf(prefix.address.family), prefixLength: prefix.length, index }
}

function ends({ prefix, peer }: AddressRef) {
  return { local: prefix.address, address: peer ?? prefix.address }
}

function usualBroadcast({ prefix, peer }: AddressRef): Address | undefined {
  const hasOne = prefix.address.family === 4 && prefix.length <= 30 && !peer
  return hasOne ? lastAddress(prefix) : undefined
}

/**
 * Reads RTM_NEWADDR or RTM_DELADDR; undefined for a family that is not IP. Throws `RangeError` on
 * bytes it cannot be.
 */
export function decodeAddress(payload: Uint8Array): InterfaceAddress | undefined {
  const { header, attrs } = decodeBody(ifaddrmsg, addressTable, payload)
  const family = familyOf(header.family)
  if (!family) return undefined
  // IPv6 sends no `local` unless there is a far end.
  const { address, local = address, broadcast, label, flags = header.flags } = attrs
  if (local?.family !== family || address?.family !== family) {
    throw new RangeError('address message holds no address of its family')
  }
  return present({
    index: header.index,
    prefix: { address: local, length: header.prefixLength },
    peer: address.value === local.value ? undefined : address,
    broadcast,
    label,
    scope: header.scope,
    tentative: (flags & IFA_F_TENTATIVE) !== 0,
    dadFailed: (flags & IFA_F_DADFAILED) !== 0,
    temporary: family === 6 && (flags & IFA_F_SECONDARY) !== 0,
    deprecated: (flags & IFA_F_DEPRECATED) !== 0,
    permanent: (flags & IFA_F_PERMANENT) !== 0,
    noPrefixRoute: (flags & IFA_F_NOPREFIXROUTE) !== 0,
  })
}
