import type { Mac } from '../../ip/mac.ts'
import { struct } from './struct.ts'
import { mac, s32, str, u8, u16, u32, type Wire } from './wire.ts'

/** IFF_*, uapi/linux/if.h. */
export const IFF_UP = 0x1
export const IFF_RUNNING = 0x40
export const IFF_PROMISC = 0x100

/** struct ifinfomsg, uapi/linux/rtnetlink.h. */
export const ifinfomsg = struct({ family: u8, type: u16, index: s32, flags: u32, change: u32 })

/** A link-layer address; undefined if it has not six bytes, as on a tunnel. */
export const lladdr: Wire<Mac | undefined> = {
  write(out, value) {
    if (value) mac.write(out, value)
  },
  read: (payload) => (payload.length === 6 ? mac.read(payload) : undefined),
}

/** IFLA_*, uapi/linux/if_link.h: what a link is born with, be it the link itself or a veth's peer. */
export const birthTable = {
  mac: { type: 1, wire: lladdr },
  name: { type: 3, wire: str },
  mtu: { type: 4, wire: u32 },
  txQueueLength: { type: 13, wire: u32 },
  netnsFd: { type: 28, wire: u32 },
} as const
