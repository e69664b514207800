import { struct } from './struct.ts'
import { ip, str, u8, u32 } from './wire.ts'

// uapi/linux/rtnetlink.h
export const RTM_NEWADDR = 20
export const RTM_DELADDR = 21
export const RTM_GETADDR = 22

/** IFA_F_*, uapi/linux/if_addr.h. */
/** Of an IPv4 address: secondary; of an IPv6 address: temporary. */
export const IFA_F_SECONDARY = 0x01
export const IFA_F_NODAD = 0x02
export const IFA_F_DADFAILED = 0x08
export const IFA_F_DEPRECATED = 0x20
export const IFA_F_TENTATIVE = 0x40
export const IFA_F_PERMANENT = 0x80
export const IFA_F_NOPREFIXROUTE = 0x200

/** struct ifaddrmsg, uapi/linux/if_addr.h. */
export const ifaddrmsg = struct({ family: u8, prefixLength: u8, flags: u8, scope: u8, index: u32 })

/** IFA_*, uapi/linux/if_addr.h. */
export const addressTable = {
  /** The far end of a point-to-point link; everywhere else the same as `local`. */
  address: { type: 1, wire: ip },
  local: { type: 2, wire: ip },
  label: { type: 3, wire: str },
  broadcast: { type: 4, wire: ip },
  /** All of the flags; the header has room for eight. */
  flags: { type: 8, wire: u32 },
} as const
