import type { Address } from '../../ip/address.ts'
import { afOf } from './family.ts'
import { struct } from './struct.ts'
import { align4, decodeAttrs, nested, writeAttrs } from './table.ts'
import { ip, s32, u8, u16, u32, type Wire } from './wire.ts'

// uapi/linux/rtnetlink.h, as everything here
export const RTM_NEWROUTE = 24
export const RTM_DELROUTE = 25
export const RTM_GETROUTE = 26
export const RTM_NEWRULE = 32
export const RTM_DELRULE = 33

export const RTNH_F_ONLINK = 4
export const RT_TABLE_MAIN = 254
export const RT_SCOPE_UNIVERSE = 0
export const RT_SCOPE_LINK = 253
export const RT_SCOPE_HOST = 254
export const RT_SCOPE_NOWHERE = 255

/** RTN_*. */
export const routeTypes = {
  unspec: 0,
  unicast: 1,
  local: 2,
  broadcast: 3,
  anycast: 4,
  multicast: 5,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
  throw: 9,
  nat: 10,
  xresolve: 11,
} as const

/** struct rtmsg. */
export const rtmsg = struct({
  family: u8,
  destinationLength: u8,
  sourceLength: u8,
  tos: u8,
  table: u8,
  protocol: u8,
  scope: u8,
  type: u8,
  flags: u32,
})

/** RTAX_*: of the route's metrics, those that a CNI result can carry. */
const metricsTable = { mtu: { type: 2, wire: u32 }, advmss: { type: 8, wire: u32 } } as const

/** struct rtvia: a gateway of another family than the route's. */
const via: Wire<Address> = {
  write(out, address) {
    out.u16(afOf(address.family))
    ip.write(out, address)
  },
  read: (payload) => ip.read(payload.subarray(2)),
}

/** RTA_* that one hop can have of its own. */
const hopTable = { gateway: { type: 5, wire: ip }, via: { type: 18, wire: via } } as const

/** One of the ways of a route that has several. */
export interface Hop {
  readonly gateway?: Address
  readonly oif: number
  /** From 1: the share of packets that take this way. */
  readonly weight: number
  /** RTNH_F_*. */
  readonly flags: number
}

/** struct rtnexthop; `length` covers the attributes behind it, `hops` is the weight less one. */
const rtnexthop = struct({ length: u16, flags: u8, hops: u8, oif: s32 })

/** RTA_MULTIPATH: hops one after another, each a header with attributes of its own. */
const multipath: Wire<readonly Hop[]> = {
  write(out, hops) {
    for (const { gateway, oif, flags, weight } of hops) {
      const start = out.length
      rtnexthop.write(out, { flags, hops: weight - 1, oif })
      writeAttrs(out, hopTable, { gateway })
      out.setU16(start, out.length - start)
    }
  },
  read(payload) {
    const hops: Hop[] = []
    let at = 0
    while (at < payload.length) {
      const { length, flags, hops: extra, oif } = rtnexthop.read(payload.subarray(at))
      if (length < rtnexthop.size || at + length > payload.length) {
        throw new RangeError(
          `next hop at byte ${at} claims ${length} of ${payload.length - at} bytes`,
        )
      }
      const attrs = decodeAttrs(hopTable, payload.subarray(at + rtnexthop.size, at + length))
      const gateway = attrs.gateway ?? attrs.via
      hops.push({ oif, flags, weight: extra + 1, ...(gateway && { gateway }) })
      at += align4(length)
    }
    return hops
  },
}

/** RTA_*. `source` is RTA_PREFSRC. */
export const routeTable = {
  destination: { type: 1, wire: ip },
  oif: { type: 4, wire: u32 },
  gateway: { type: 5, wire: ip },
  priority: { type: 6, wire: u32 },
  source: { type: 7, wire: ip },
  metrics: { type: 8, wire: nested(metricsTable) },
  hops: { type: 9, wire: multipath },
  /** All of the table's number; the header has room for eight bits. */
  table: { type: 15, wire: u32 },
  via: { type: 18, wire: via },
} as const
