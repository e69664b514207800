/**
 * A u32 classifier that matches every packet and sends it elsewhere: uapi/linux/pkt_cls.h and
 * tc_act/tc_mirred.h.
 */
import { payload, struct } from './struct.ts'
import { nested } from './table.ts'
import { s32, str, u8, u16, u16be, u32, u32be } from './wire.ts'

/** TC_ACT_STOLEN: the packet has gone another way. */
export const TC_ACT_STOLEN = 4
/** TCA_EGRESS_REDIR: as if sent by the other link. */
export const TCA_EGRESS_REDIR = 1
/** TC_U32_TERMINAL: what matches needs no further look. */
export const TC_U32_TERMINAL = 1

/** struct tc_mirred */
const mirredParameters = struct({
  index: u32,
  capabilities: u32,
  action: s32,
  references: s32,
  bindings: s32,
  kind: s32,
  ifindex: u32,
})

/** TCA_MIRRED_* */
const mirredTable = { parameters: { type: 2, wire: payload(mirredParameters) } } as const

/** TCA_ACT_*; of other kinds the options read as something they are not. */
const actionTable = {
  kind: { type: 1, wire: str },
  options: { type: 2, wire: nested(mirredTable) },
} as const

/** Actions are numbered from 1 in the order they are done. */
const actionsTable = { first: { type: 1, wire: nested(actionTable) } } as const

/** struct tc_u32_sel with one struct tc_u32_key. */
const selector = struct({
  flags: u8,
  offsetShift: u8,
  keyCount: u8,
  offsetMask: u16be,
  offset: u16,
  offsetOffset: u16,
  hashOffset: u16,
  hashMask: u32be,
  keyMask: u32be,
  keyValue: u32be,
  keyOffset: s32,
  keyOffsetMask: s32,
})

/** TCA_U32_* */
export const u32Options = nested({
  selector: { type: 5, wire: payload(selector) },
  actions: { type: 7, wire: nested(actionsTable) },
})
