import { nested } from '../codec/table.ts'
import { bytes, s32be, str, type Wire } from '../codec/wire.ts'

/** enum nft_verdicts and the NF_* verdicts of uapi/linux/netfilter.h, which share their numbers. */
const verdicts = { drop: 0, accept: 1, continue: -1, jump: -3, goto: -4, return: -5 } as const
export type VerdictName = keyof typeof verdicts

/**
 * A number that has names: reads to the name, or to the number itself if it has none, so that what
 * a newer kernel or another program uses stays readable.
 */
export function named<const T extends Readonly<Record<string, number>>>(
  wire: Wire<number>,
  names: T,
): Wire<keyof T | number> {
  return {
    write: (out, value) => wire.write(out, typeof value === 'number' ? value : (names[value] ?? 0)),
    read(payload) {
      const value = wire.read(payload)
      return Object.keys(names).find((name) => names[name] === value) ?? value
    },
  }
}

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
