import { type Given, nested } from '../table.ts'
import { named, u16, u32 } from '../wire.ts'

/** MACVLAN_MODE_*, uapi/linux/if_link.h. */
const modes = { private: 1, vepa: 2, bridge: 4, passthru: 8, source: 16 } as const

/** IFLA_MACVLAN_* */
const macvlanTable = {
  /** Who of those on one parent reach each other; passthru has the parent to itself. */
  mode: { type: 1, wire: named(u32, modes) },
  /** MACVLAN_FLAG_*: 1 leaves the parent out of promiscuous mode (passthru). */
  flags: { type: 2, wire: u16 },
  /** Broadcast packets that may wait to be copied to all of one parent. */
  bcQueueLength: { type: 7, wire: u32 },
} as const

/** A macvlan's own settings. */
export type MacvlanData = Given<typeof macvlanTable>

export const macvlanWire = nested(macvlanTable)
