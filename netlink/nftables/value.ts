import { nested } from '../codec/table.ts'
import { bytes, named, s32be, str } from '../codec/wire.ts'

/** enum nft_verdicts and the NF_* verdicts of uapi/linux/netfilter.h, which share their numbers. */
const verdicts = { drop: 0, accept: 1, continue: -1, jump: -3, goto: -4, return: -5 } as const
export type VerdictName = keyof typeof verdicts

/** NFTA_VERDICT_* */
const verdictTable = {
  code: { type: 1, wire: named(s32be, verdicts) },
  chain: { type: 2, wire: str },
} as const

/** NFTA_DATA_*: the content of a register, either plain bytes or a verdict. */
export const data = {
  value: { type: 1, wire: bytes },
  verdict: { type: 2, wire: nested(verdictTable) },
} as const
