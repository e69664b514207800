import type { Mac } from '../ip/mac.ts'
import { IFF_PROMISC, IFF_RUNNING, IFF_UP, ifinfomsg } from './codec/ifinfo.ts'
import type { BridgeData, BridgePort } from './codec/kind/bridge.ts'
import type { MacvlanData } from './codec/kind/macvlan.ts'
import type { VethPeer } from './codec/kind/veth.ts'
import type { VxlanData } from './codec/kind/vxlan.ts'
import type { LinkInfo } from './codec/kind.ts'
import { linkTable, RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK, SKIP_STATS } from './codec/link.ts'
import { NLM_F_CREATE, NLM_F_EXCL, type Request } from './codec/message.ts'
import { decodeBody, encodeBody } from './codec/struct.ts'
import type { Given } from './codec/table.ts'
import { present } from './present.ts'

export type { BridgeData, BridgePort, MacvlanData, VethPeer, VxlanData }

/** A link as the kernel shows it. */
export interface Link {
  readonly index: number
  readonly name: string
  /** Absent on links whose address is not six bytes long. */
  readonly mac?: Mac
  readonly mtu: number
  /** Administratively up (IFF_UP). */
  readonly up: boolean
  /** Up and able to pass packets (IFF_RUNNING). */
  readonly running: boolean
  /** IF_OPER_*, RFC 2863: 0 unknown, 2 down, 3 lower layer down, 5 dormant, 6 up. */
  readonly operstate: number
  /** Set by hand, as `ip link set promisc on` does; a bridge's own use of it does not count. */
  readonly promiscuous: boolean
  /** Index of the bridge this link is a port of. */
  readonly master?: number
  /** `bridge`, `veth`, `vxlan`, ...; absent for hardware and the loopback. */
  readonly kind?: string
  /** A veth's other end or the link below; an index of the namespace `linkNetnsid`, if present. */
  readonly linkIndex?: number
  readonly linkNetnsid?: number
  readonly bridge?: BridgeData
  readonly macvlan?: MacvlanData
  readonly vxlan?: VxlanData
  /** Text that somebody put there for people and programs to find (IFLA_IFALIAS). */
  readonly alias?: string
  /** A number to change or delete links together by; absent for 0, where all begin. */
  readonly group?: number
  /** What its bridge keeps for this port. */
  readonly port?: BridgePort
  /** IN6_ADDR_GEN_MODE_*: 0 EUI-64, 1 none. */
  readonly addrGenMode?: number
}

/** A link by index, or by name where the index is not known. The index wins. */
export type LinkRef =
  | { readonly index: number; readonly name?: string | undefined }
  | { readonly index?: undefined; readonly name: string }

/** What every new link can be given in the message that creates it. */
export interface NewLink {
  readonly name: string
  readonly mtu?: number | undefined
  readonly mac?: Mac | undefined
  readonly txQueueLength?: number | undefined
  readonly up?: boolean | undefined
  /** Index of the bridge that it becomes a port of. */
  readonly master?: number | undefined
  /** The namespace it is born in; the socket's own if absent. */
  readonly netnsFd?: number | undefined
}

export type LinkSpec =
  | ({ readonly kind: 'bridge' } & NewLink & BridgeData)
  | ({ readonly kind: 'ifb' } & NewLink)
  | ({
      readonly kind: 'macvlan'
      /** Index of the parent, in the socket's namespace also when `netnsFd` is another. */
      readonly link: number
    } & NewLink &
      MacvlanData)
  | ({ readonly kind: 'veth'; readonly peer: VethPeer } & NewLink)
  | ({ readonly kind: 'vxlan' } & NewLink & VxlanData)

type LinkAttrs = Given<typeof linkTable>

/**
 * Creates a link. EEXIST if the name is taken, or for a vxlan its id and port; EOPNOTSUPP if the
 * kernel does not have this kind. Alias and group are `setLink`'s.
 */
export function addLink(spec: LinkSpec): Request {
  const { name, mtu, mac, txQueueLength, up, master, netnsFd } = spec
  const linkIndex = spec.kind === 'macvlan' ? spec.link : undefined
  const info = infoOf(spec)
  const attrs = { name, mtu, mac, txQueueLength, linkIndex, master, netnsFd, info }
  return {
    type: RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    body: encodeBody(ifinfomsg, flagsOf({ up }), linkTable, attrs),
    op: `add link ${name}`,
  }
}

function infoOf(spec: LinkSpec): LinkInfo {
  // The rest of the spec is the kind's own data: keys that a table does not know are not sent.
  if (spec.kind === 'bridge') return { kind: 'bridge', bridge: spec }
  if (spec.kind === 'vxlan') return { kind: 'vxlan', vxlan: spec }
  if (spec.kind === 'macvlan') return { kind: 'macvlan', macvlan: spec }
  if (spec.kind === 'ifb') return { kind: 'ifb' }
  return { kind: 'veth', veth: { peer: spec.peer } }
}

/** What may be changed. Absent means: leave as it is. */
export interface LinkChange {
  readonly up?: boolean | undefined
  readonly promiscuous?: boolean | undefined
  readonly mtu?: number | undefined
  readonly mac?: Mac | undefined
  /** Index of a bridge, 0 for none. */
  readonly master?: number | undefined
  /** Moves the link into this namespace. */
  readonly netnsFd?: number | undefined
  readonly txQueueLength?: number | undefined
  /** IN6_ADDR_GEN_MODE_*: 0 EUI-64, 1 none, so that no link-local address appears. */
  readonly addrGenMode?: number | undefined
  /** At most 255 bytes; empty removes it. */
  readonly alias?: string | undefined
  readonly group?: number | undefined
  /** What a vxlan allows: the link below, the local address, learning. Not id and port. */
  readonly vxlan?: VxlanData | undefined
}

/** Changes a link. With an index, `name` renames it, which older kernels allow only while it is down. */
export function setLink(change: LinkRef & LinkChange): Request {
  const { name, mtu, mac, master, netnsFd, txQueueLength, addrGenMode, alias, group } = change
  const afSpec = addrGenMode === undefined ? undefined : { inet6: { addrGenMode } }
  const info = change.vxlan && { kind: 'vxlan' as const, vxlan: change.vxlan }
  const attrs = { name, mtu, mac, master, netnsFd, txQueueLength, alias, group, afSpec, info }
  const body = bodyFor(change, attrs, flagsOf(change))
  return { type: RTM_NEWLINK, flags: 0, body, op: `set link ${describe(change)}` }
}

/**
 * Changes how a bridge treats one of its ports. By name it can follow, in one batch, the request
 * that creates the port. EOPNOTSUPP if the link is not a port.
 */
export function setBridgePort(change: LinkRef & BridgePort): Request {
  const { index: _index, name: _name, ...port } = change
  const body = bodyFor(change, { ...nameUnlessIndex(change), info: { port } })
  return { type: RTM_NEWLINK, flags: 0, body, op: `set bridge port ${describe(change)}` }
}

/** Deletes a link, and with a veth its other end. ENODEV if there is none. */
export function deleteLink(ref: LinkRef): Request {
  const body = bodyFor(ref, nameUnlessIndex(ref))
  return { type: RTM_DELLINK, flags: 0, body, op: `delete link ${describe(ref)}` }
}

/**
 * Deletes all links of a group in one operation, so that what the kernel waits for at each is
 * waited for once. ENODEV if there is none. Throws `RangeError` for group 0, which is every link
 * that nobody put into another.
 */
export function deleteLinks({ group }: { readonly group: number }): Request {
  if (!(group > 0)) throw new RangeError(`Cannot delete the links of group ${group}`)
  const body = encodeBody(ifinfomsg, {}, linkTable, { group })
  return { type: RTM_DELLINK, flags: 0, body, op: `delete the links of group ${group}` }
}

/** Asks for one link. ENODEV if there is none. */
export function getLink(ref: LinkRef): Request<Link> {
  const body = bodyFor(ref, { ...nameUnlessIndex(ref), extMask: SKIP_STATS })
  return { type: RTM_GETLINK, flags: 0, body, op: `get link ${describe(ref)}`, decode }
}

/** What a dump of links may be narrowed to. */
interface LinkFilter {
  /** Index of the bridge they are ports of. */
  readonly master?: number | undefined
  readonly kind?: string | undefined
}

/** For a dump: all links, the ports of one bridge, or those of a kind; the kernel filters. */
export function listLinks({ master, kind }: LinkFilter = {}): Request<Link> {
  const info = kind === undefined ? undefined : { kind }
  const body = encodeBody(ifinfomsg, {}, linkTable, { master, info, extMask: SKIP_STATS })
  const op = master === undefined ? 'list links' : `list ports of bridge ${master}`
  if (kind === undefined) return { type: RTM_GETLINK, flags: 0, body, op, decode }
  return {
    type: RTM_GETLINK,
    flags: 0,
    body,
    op,
    decode(_, payload) {
      // The kernel answers all links when it does not have the kind.
      const link = decodeLink(payload)
      return link.kind === kind ? link : undefined
    },
  }
}

function bodyFor(
  { index }: LinkRef,
  attrs: LinkAttrs,
  flags: { flags?: number; change?: number } = {},
): Uint8Array {
  return encodeBody(ifinfomsg, { index, ...flags }, linkTable, attrs)
}

/** Beside an index the kernel takes a name as a new one. */
function nameUnlessIndex({ index, name }: LinkRef): { name?: string | undefined } {
  return index === undefined ? { name } : {}
}

function describe({ index, name }: LinkRef): string {
  return name ?? `number ${index}`
}

function flagsOf({ up, promiscuous }: Pick<LinkChange, 'up' | 'promiscuous'>): {
  flags: number
  change: number
} {
  return {
    flags: (up ? IFF_UP : 0) | (promiscuous ? IFF_PROMISC : 0),
    change: (up === undefined ? 0 : IFF_UP) | (promiscuous === undefined ? 0 : IFF_PROMISC),
  }
}

function decode(_type: number, payload: Uint8Array): Link {
  return decodeLink(payload)
}

/** Reads RTM_NEWLINK or RTM_DELLINK. Throws `RangeError` on bytes it cannot be. */
export function decodeLink(payload: Uint8Array): Link {
  const { header, attrs } = decodeBody(ifinfomsg, linkTable, payload)
  const { name = '', mtu = 0, operstate = 0, info = {} } = attrs
  const { kind, bridge, macvlan, vxlan, port = attrs.port } = info
  return present({
    index: header.index,
    name,
    mac: attrs.mac,
    mtu,
    up: (header.flags & IFF_UP) !== 0,
    running: (header.flags & IFF_RUNNING) !== 0,
    promiscuous: (header.flags & IFF_PROMISC) !== 0,
    operstate,
    master: attrs.master,
    kind,
    linkIndex: attrs.linkIndex,
    linkNetnsid: attrs.linkNetnsid,
    bridge,
    macvlan,
    vxlan,
    alias: attrs.alias,
    group: attrs.group || undefined,
    port,
    addrGenMode: attrs.afSpec?.inet6?.addrGenMode,
  })
}
