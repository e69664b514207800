/** The attribute tables of ctnetlink, from uapi/linux/netfilter/nfnetlink_conntrack.h. */
import { nested } from './table.ts'
import { ip, u8, u16be, u32, u32be } from './wire.ts'

const NFNL_SUBSYS_CTNETLINK = 1
/** IPCTNL_MSG_CT_* */
export const CT_NEW = NFNL_SUBSYS_CTNETLINK << 8
export const CT_GET = CT_NEW | 1
export const CT_DELETE = CT_NEW | 2

const addressTable = {
  source4: { type: 1, wire: ip },
  destination4: { type: 2, wire: ip },
  source6: { type: 3, wire: ip },
  destination6: { type: 4, wire: ip },
} as const

const protocolTable = {
  number: { type: 1, wire: u8 },
  sourcePort: { type: 2, wire: u16be },
  destinationPort: { type: 3, wire: u16be },
  icmpId: { type: 4, wire: u16be },
  icmpType: { type: 5, wire: u8 },
  icmpCode: { type: 6, wire: u8 },
  icmp6Id: { type: 7, wire: u16be },
  icmp6Type: { type: 8, wire: u8 },
  icmp6Code: { type: 9, wire: u8 },
} as const

export const tupleTable = {
  addresses: { type: 1, wire: nested(addressTable) },
  protocol: { type: 2, wire: nested(protocolTable) },
  zone: { type: 3, wire: u16be },
} as const

/** Which parts of the tuple beside it are to match; in the machine's own byte order. */
const filterTable = { original: { type: 1, wire: u32 } } as const

/** CTA_FILTER_F_*, net/netfilter/nf_conntrack_netlink.c: the kernel's headers leave them out. */
export const CTA_FILTER_F_IP_DST = 1 << 1
export const CTA_FILTER_F_PROTO_NUM = 1 << 3
export const CTA_FILTER_F_PROTO_DST_PORT = 1 << 5

export const conntrackTable = {
  original: { type: 1, wire: nested(tupleTable) },
  reply: { type: 2, wire: nested(tupleTable) },
  status: { type: 3, wire: u32be },
  mark: { type: 8, wire: u32be },
  id: { type: 12, wire: u32be },
  zone: { type: 18, wire: u16be },
  filter: { type: 25, wire: nested(filterTable) },
} as const
