import { lladdr } from './ifinfo.ts'
import { struct } from './struct.ts'
import { ip, s32, u8, u16, u16be, u32 } from './wire.ts'

// uapi/linux/rtnetlink.h
export const RTM_NEWNEIGH = 28
export const RTM_DELNEIGH = 29
export const RTM_GETNEIGH = 30

/** NUD_* and NTF_*, uapi/linux/neighbour.h. */
export const NUD_PERMANENT = 0x80
export const NTF_SELF = 0x02

/** struct ndmsg, uapi/linux/neighbour.h. */
export const ndmsg = struct({ family: u8, index: s32, state: u16, flags: u8, type: u8 })

/** NDA_*, uapi/linux/neighbour.h. */
export const neighbourTable = {
  destination: { type: 1, wire: ip },
  mac: { type: 2, wire: lladdr },
  vlan: { type: 5, wire: u16 },
  /** UDP port of a remote tunnel end, if it is not the device's own. */
  port: { type: 6, wire: u16be },
  vni: { type: 7, wire: u32 },
  /** In a dump request: of this link only. In an fdb entry: the link that its packets leave by. */
  ifindex: { type: 8, wire: u32 },
  master: { type: 9, wire: u32 },
  protocol: { type: 12, wire: u8 },
} as const
