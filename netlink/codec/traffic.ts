/** Traffic control: uapi/linux/rtnetlink.h and pkt_sched.h. Numbers are in the machine's byte order. */
import { payload, struct } from './struct.ts'
import { nested } from './table.ts'
import { bytes, s32, str, u8, u16, u32, u64, type Wire } from './wire.ts'

export const RTM_NEWQDISC = 36
export const RTM_DELQDISC = 37
export const RTM_GETQDISC = 38
export const RTM_NEWTFILTER = 44
export const RTM_GETTFILTER = 46

/** struct tcmsg */
export const tcmsg = struct({ family: u8, index: s32, handle: u32, parent: u32, info: u32 })

/** TC_H_*: the places on a device that have no qdisc as their parent. */
export const TC_H_ROOT = 0xffffffff
export const TC_H_INGRESS = 0xfffffff1
/** Where packets enter, of an ingress qdisc and of clsact alike. */
export const TC_H_INGRESS_FILTERS = 0xfffffff2

/** Bytes that are read further at once, and so need not be copied. */
const unread: Wire<Uint8Array> = { write: bytes.write, read: (payload) => payload }

/** TCA_*; the form of the options depends on the kind beside them. */
export const trafficTable = {
  kind: { type: 1, wire: str },
  options: { type: 2, wire: unread },
} as const

/** TC_LINKLAYER_ETHERNET: the kernel computes by the rate itself and wants no table of times. */
export const LINKLAYER_ETHERNET = 1

/** struct tc_tbf_qopt, its two struct tc_ratespec unfolded. Buffer and mtu are in ticks of 64 ns. */
const tbfParameters = struct({
  cellLog: u8,
  linklayer: u8,
  overhead: u16,
  cellAlign: u16,
  mpu: u16,
  rate: u32,
  peakCellLog: u8,
  peakLinklayer: u8,
  peakOverhead: u16,
  peakCellAlign: u16,
  peakMpu: u16,
  peakRate: u32,
  limit: u32,
  buffer: u32,
  mtu: u32,
})

/** TCA_TBF_*; rates in bytes per second. */
export const tbf = nested({
  parameters: { type: 1, wire: payload(tbfParameters) },
  rate64: { type: 4, wire: u64 },
  peakRate64: { type: 5, wire: u64 },
  burst: { type: 6, wire: u32 },
  peakBurst: { type: 7, wire: u32 },
})

/** TCA_FQ_CODEL_*; times in microseconds. */
const fqCodelTable = {
  target: { type: 1, wire: u32 },
  /** Packets. */
  limit: { type: 2, wire: u32 },
  interval: { type: 3, wire: u32 },
  ecn: { type: 4, wire: u32 },
  flows: { type: 5, wire: u32 },
  /** Bytes. */
  quantum: { type: 6, wire: u32 },
  memoryLimit: { type: 9, wire: u32 },
} as const

export const fqCodel = nested(fqCodelTable)

/** struct tc_fifo_qopt: bytes. */
export const fifo = struct({ limit: u32 })
