import { type Given, nested } from '../table.ts'
import { bool, u8, u16, u16be, u32, type Wire } from '../wire.ts'

/** IFLA_BR_*, uapi/linux/if_link.h. Times are in USER_HZ, hundredths of a second. */
const bridgeTable = {
  forwardDelay: { type: 1, wire: u32 },
  helloTime: { type: 2, wire: u32 },
  maxAge: { type: 3, wire: u32 },
  ageingTime: { type: 4, wire: u32 },
  stpState: { type: 5, wire: u32 },
  priority: { type: 6, wire: u16 },
  vlanFiltering: { type: 7, wire: bool },
  vlanProtocol: { type: 8, wire: u16be },
  groupForwardMask: { type: 9, wire: u16 },
  multicastRouter: { type: 22, wire: u8 },
  multicastSnooping: { type: 23, wire: bool },
  nfCallIptables: { type: 36, wire: bool },
  nfCallIp6tables: { type: 37, wire: bool },
  vlanDefaultPvid: { type: 39, wire: u16 },
} as const

/** A bridge's own settings. */
export type BridgeData = Given<typeof bridgeTable>

/** IFLA_BRPORT_*, uapi/linux/if_link.h. */
const portTable = {
  /** BR_STATE_*: 0 disabled, 3 forwarding (uapi/linux/if_bridge.h). */
  state: { type: 1, wire: u8 },
  priority: { type: 2, wire: u16 },
  cost: { type: 3, wire: u32 },
  /** Frames may leave by the port they came from. */
  hairpin: { type: 4, wire: bool },
  bpduGuard: { type: 5, wire: bool },
  fastLeave: { type: 7, wire: bool },
  learning: { type: 8, wire: bool },
  unicastFlood: { type: 9, wire: bool },
  proxyArp: { type: 10, wire: bool },
  multicastFlood: { type: 27, wire: bool },
  broadcastFlood: { type: 30, wire: bool },
  neighSuppress: { type: 32, wire: bool },
  /** Isolated ports of a bridge do not reach each other. */
  isolated: { type: 33, wire: bool },
} as const

/** What a bridge keeps for each of its ports. */
export type BridgePort = Given<typeof portTable>

export const bridgeWire: Wire<BridgeData> = nested(bridgeTable)
export const portWire: Wire<BridgePort> = nested(portTable)
