/**
 * Userdata is opaque to the kernel: it keeps it beside an object and gives it back. libnftnl and
 * nft hold small records there, a byte of type and a byte of length before each
 * (libnftnl/udata.h), and nft needs them to print an object as it was written.
 */
import type { Attrs, Table } from '../codec/table.ts'
import { str, u32, type Wire } from '../codec/wire.ts'
import { encode } from '../codec/writer.ts'

/** NFTNL_UDATA_TABLE_*, NFTNL_UDATA_CHAIN_* */
export const nameUserdata = { comment: { type: 0, wire: str } } as const

/**
 * NFTNL_UDATA_RULE_*, and a mark of our own on a rule in somebody else's chain. nft and iptables
 * skip what they do not know, so it shows nowhere.
 */
export const ruleUserdata = {
  comment: { type: 0, wire: str },
  mark: { type: 0x68, wire: str },
} as const

/** NFTNL_UDATA_SET_*; byte orders are nft's enum byteorder, in the host's own. */
export const setUserdata = {
  keyByteOrder: { type: 0, wire: u32 },
  dataByteOrder: { type: 1, wire: u32 },
  dataInterval: { type: 6, wire: u32 },
  comment: { type: 7, wire: str },
} as const

/** NFTNL_UDATA_SET_ELEM_* */
export const elementUserdata = {
  comment: { type: 0, wire: str },
  flags: { type: 1, wire: u32 },
} as const

/** Records as a table describes them. Records it does not know are skipped. */
export function userdata<T extends Table>(table: T): Wire<Attrs<T>> {
  return {
    write(out, values) {
      for (const key in values) {
        const row = table[key]
        const value = values[key]
        if (row === undefined || value === undefined) continue
        const payload = encode((record) => row.wire.write(record, value))
        if (payload.length > 255) throw new RangeError(`userdata ${key} is too long`)
        out.u8(row.type)
        out.u8(payload.length)
        out.bytes(payload)
      }
    },
    read(payload) {
      const values: Record<string, unknown> = {}
      for (let at = 0; at + 2 <= payload.length; ) {
        const start = at + 2
        const end = start + (payload[at + 1] ?? 0)
        // Other programs keep other things here: what does not fit this form is not an error.
        if (end > payload.length) break
        for (const [key, { type, wire }] of Object.entries(table)) {
          if (type === payload[at]) values[key] = wire.read(payload.subarray(start, end))
        }
        at = end
      }
      return values as Attrs<T>
    },
  }
}
