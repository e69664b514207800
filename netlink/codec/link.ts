import { AF_INET6 } from './family.ts'
import { birthTable } from './ifinfo.ts'
import { portWire } from './kind/bridge.ts'
import { linkInfo } from './kind.ts'
import { nested } from './table.ts'
import { s32, str, u8, u32 } from './wire.ts'

// uapi/linux/rtnetlink.h
export const RTM_NEWLINK = 16
export const RTM_DELLINK = 17
export const RTM_GETLINK = 18

/** RTEXT_FILTER_SKIP_STATS: counters would be the larger part of every answer. */
export const SKIP_STATS = 1 << 3

/** IFLA_INET6_*, uapi/linux/if_link.h. */
const inet6Table = { addrGenMode: { type: 8, wire: u8 } } as const

/** IFLA_AF_SPEC: one nest for each address family. */
const afTable = { inet6: { type: AF_INET6, wire: nested(inet6Table) } } as const

/** IFLA_*, uapi/linux/if_link.h. */
export const linkTable = {
  ...birthTable,
  linkIndex: { type: 5, wire: u32 },
  master: { type: 10, wire: u32 },
  port: { type: 12, wire: portWire },
  operstate: { type: 16, wire: u8 },
  info: { type: 18, wire: linkInfo },
  alias: { type: 20, wire: str },
  afSpec: { type: 26, wire: nested(afTable) },
  group: { type: 27, wire: u32 },
  extMask: { type: 29, wire: u32 },
  linkNetnsid: { type: 37, wire: s32 },
} as const
