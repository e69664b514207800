import type { Address } from '../../../ip/address.ts'
import { decodeAttrs, type Given, writeAttrs } from '../table.ts'
import { bool, flag, ip, u8, u16be, u32, u32be, type Wire } from '../wire.ts'

/** struct ifla_vxlan_port_range: the UDP source ports, both inclusive. */
const portRange: Wire<{ readonly low: number; readonly high: number }> = {
  write(out, { low, high }) {
    out.u16be(low)
    out.u16be(high)
  },
  read: (payload) => ({ low: u16be.read(payload), high: u16be.read(payload.subarray(2)) }),
}

/** Sent as a flag, answered as a byte. Only `true` may be written. */
const flagOrByte: Wire<boolean> = { write() {}, read: (payload) => payload[0] !== 0 }

/** IFLA_VXLAN_*, uapi/linux/if_link.h. */
const vxlanTable = {
  id: { type: 1, wire: u32 },
  group: { type: 2, wire: ip },
  /** Index of the link that the tunnel's packets leave by. */
  link: { type: 3, wire: u32 },
  local: { type: 4, wire: ip },
  ttl: { type: 5, wire: u8 },
  tos: { type: 6, wire: u8 },
  /** On unless sent as false. */
  learning: { type: 7, wire: bool },
  /** Seconds. */
  ageing: { type: 8, wire: u32 },
  limit: { type: 9, wire: u32 },
  sourcePorts: { type: 10, wire: portRange },
  proxy: { type: 11, wire: bool },
  rsc: { type: 12, wire: bool },
  l2miss: { type: 13, wire: bool },
  l3miss: { type: 14, wire: bool },
  /** UDP destination port; the kernel takes 8472 if it is absent. */
  port: { type: 15, wire: u16be },
  group6: { type: 16, wire: ip },
  local6: { type: 17, wire: ip },
  udpCsum: { type: 18, wire: bool },
  udpZeroCsum6Tx: { type: 19, wire: bool },
  udpZeroCsum6Rx: { type: 20, wire: bool },
  remcsumTx: { type: 21, wire: bool },
  remcsumRx: { type: 22, wire: bool },
  gbp: { type: 23, wire: flag },
  collectMetadata: { type: 25, wire: bool },
  label: { type: 26, wire: u32be },
  gpe: { type: 27, wire: flag },
  ttlInherit: { type: 28, wire: flagOrByte },
  df: { type: 29, wire: u8 },
} as const

type VxlanPlain = Omit<
  Given<typeof vxlanTable>,
  'id' | 'group' | 'group6' | 'local' | 'local6' | 'gbp' | 'gpe' | 'ttlInherit'
>

/** A VXLAN tunnel's settings. One table key serves both address families here. */
export interface VxlanData extends VxlanPlain {
  /** VXLAN network identifier. */
  readonly id: number
  /** The tunnel's own address, IPv4 or IPv6. */
  readonly local?: Address | undefined
  /** The default remote or multicast group, IPv4 or IPv6. */
  readonly group?: Address | undefined
  /** Group policy extension. */
  readonly gbp?: boolean | undefined
  readonly gpe?: boolean | undefined
  readonly ttlInherit?: boolean | undefined
}

export const vxlanWire: Wire<VxlanData> = {
  nested: true,
  write(out, { group, local, gbp, gpe, ttlInherit, ...plain }) {
    writeAttrs(out, vxlanTable, {
      ...plain,
      [group?.family === 6 ? 'group6' : 'group']: group,
      [local?.family === 6 ? 'local6' : 'local']: local,
      // Flags: their presence alone says yes.
      gbp: gbp || undefined,
      gpe: gpe || undefined,
      ttlInherit: ttlInherit || undefined,
    })
  },
  read(payload) {
    const attrs = decodeAttrs(vxlanTable, payload)
    const { id = 0, group6, local6, gbp = false, gpe = false, ...plain } = attrs
    const { group = group6, local = local6 } = attrs
    return { ...plain, id, gbp, gpe, ...(group && { group }), ...(local && { local }) }
  },
}
