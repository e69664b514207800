import { type BridgeData, type BridgePort, bridgeWire, portWire } from './kind/bridge.ts'
import { type MacvlanData, macvlanWire } from './kind/macvlan.ts'
import { type VethPeer, vethWire } from './kind/veth.ts'
import { type VxlanData, vxlanWire } from './kind/vxlan.ts'
import { decodeAttrs, writeAttr } from './table.ts'
import { bytes, str, type Wire } from './wire.ts'

/** How each kind's own data looks, by the kernel's name for the kind. */
const kinds = {
  bridge: bridgeWire,
  macvlan: macvlanWire,
  veth: vethWire,
  vxlan: vxlanWire,
} as const

/** IFLA_LINKINFO: a link's kind, that kind's data under its name, and the data of a bridge port. */
export interface LinkInfo {
  readonly kind?: string | undefined
  readonly bridge?: BridgeData | undefined
  readonly vxlan?: VxlanData | undefined
  readonly macvlan?: MacvlanData | undefined
  readonly veth?: { readonly peer?: VethPeer } | undefined
  readonly port?: BridgePort | undefined
}

/** Bytes that are read further at once, and so need not be copied. */
const unread: Wire<Uint8Array> = { write: bytes.write, read: (payload) => payload }

/** IFLA_INFO_*, uapi/linux/if_link.h. The form of the data depends on the kind beside it. */
const infoTable = {
  kind: { type: 1, wire: str },
  data: { type: 2, wire: unread },
  slaveKind: { type: 4, wire: str },
  slaveData: { type: 5, wire: unread },
} as const

function isKnown(kind: string | undefined): kind is keyof typeof kinds {
  return kind !== undefined && Object.hasOwn(kinds, kind)
}

/** Reads the data of kinds and masters it knows; of others only the name. */
export const linkInfo: Wire<LinkInfo> = {
  nested: true,
  write(out, info) {
    const { kind, port } = info
    if (kind !== undefined) writeAttr(out, infoTable.kind, kind)
    const data = isKnown(kind) ? info[kind] : undefined
    if (isKnown(kind) && data) {
      // The data is of this kind, which the type system cannot follow.
      writeAttr(out, { type: infoTable.data.type, wire: kinds[kind] as Wire<unknown> }, data)
    }
    if (port) {
      writeAttr(out, infoTable.slaveKind, 'bridge')
      writeAttr(out, { type: infoTable.slaveData.type, wire: portWire }, port)
    }
  },
  read(payload) {
    const { kind, data, slaveKind, slaveData } = decodeAttrs(infoTable, payload)
    return {
      ...(kind !== undefined && { kind }),
      ...(isKnown(kind) && data && { [kind]: kinds[kind].read(data) }),
      ...(slaveKind === 'bridge' && slaveData && { port: portWire.read(slaveData) }),
    }
  },
}
