/**
 * The attribute tables of nf_tables, one row an attribute, and the message frame around them.
 * Numbers are from uapi/linux/netfilter/{nfnetlink,nf_tables}.h and uapi/linux/netfilter.h.
 * Integers are big-endian here, unlike in rtnetlink, but for what `bytes` carries: that is data
 * as it lies in a register or a packet.
 */
import { NLM_F_CREATE, NLM_F_EXCL, type Request } from '../codec/message.ts'
import { nfgenmsg } from '../codec/nfnetlink.ts'
import { decodeBody, encodeBody } from '../codec/struct.ts'
import { type Attrs, listOf, nested, type Table, walkAttrs, writeAttr } from '../codec/table.ts'
import { s32be, str, u32be, u64be, type Wire } from '../codec/wire.ts'
import { expression } from './expression.ts'
import { elementUserdata, nameUserdata, ruleUserdata, setUserdata, userdata } from './userdata.ts'
import { data } from './value.ts'

/** NFPROTO_*, the protocol families a table can be for. */
export const families = { inet: 1, ip: 2, arp: 3, netdev: 5, bridge: 7, ip6: 10 } as const
export type TableFamily = keyof typeof families

/** What every object but a table itself is found by. */
export interface TableRef {
  readonly family: TableFamily
  readonly name: string
}

export const NFNL_MSG_BATCH_BEGIN = 16
export const NFNL_MSG_BATCH_END = 17
export const NFNL_SUBSYS_NFTABLES = 10

/** NFT_MSG_*. */
export const messages = {
  newTable: 0,
  getTable: 1,
  deleteTable: 2,
  newChain: 3,
  getChain: 4,
  deleteChain: 5,
  newRule: 6,
  getRule: 7,
  deleteRule: 8,
  newSet: 9,
  getSet: 10,
  deleteSet: 11,
  newElement: 12,
  getElement: 13,
  deleteElement: 14,
  newGeneration: 15,
  getGeneration: 16,
} as const
export type MessageName = keyof typeof messages

export const batchTable = { generation: { type: 1, wire: u32be } } as const
export const generationTable = { id: { type: 1, wire: u32be } } as const

export const tableTable = {
  name: { type: 1, wire: str },
  flags: { type: 2, wire: u32be },
  handle: { type: 4, wire: u64be },
  userdata: { type: 6, wire: userdata(nameUserdata) },
} as const

const hookTable = {
  number: { type: 1, wire: u32be },
  priority: { type: 2, wire: s32be },
  device: { type: 3, wire: str },
} as const

export const chainTable = {
  table: { type: 1, wire: str },
  handle: { type: 2, wire: u64be },
  name: { type: 3, wire: str },
  hook: { type: 4, wire: nested(hookTable) },
  policy: { type: 5, wire: u32be },
  type: { type: 7, wire: str },
  flags: { type: 10, wire: u32be },
  userdata: { type: 12, wire: userdata(nameUserdata) },
} as const

export const ruleTable = {
  table: { type: 1, wire: str },
  chain: { type: 2, wire: str },
  handle: { type: 3, wire: u64be },
  expressions: { type: 4, wire: listOf(1, expression) },
  position: { type: 6, wire: u64be },
  userdata: { type: 7, wire: userdata(ruleUserdata) },
} as const

const fieldTable = { length: { type: 1, wire: u32be } } as const
const descriptionTable = {
  size: { type: 1, wire: u32be },
  fields: { type: 2, wire: listOf(1, nested(fieldTable)) },
} as const

export const setTable = {
  table: { type: 1, wire: str },
  name: { type: 2, wire: str },
  flags: { type: 3, wire: u32be },
  keyType: { type: 4, wire: u32be },
  keyLength: { type: 5, wire: u32be },
  dataType: { type: 6, wire: u32be },
  dataLength: { type: 7, wire: u32be },
  description: { type: 9, wire: nested(descriptionTable) },
  id: { type: 10, wire: u32be },
  userdata: { type: 13, wire: userdata(setUserdata) },
} as const

export const elementTable = {
  key: { type: 1, wire: nested(data) },
  data: { type: 2, wire: nested(data) },
  flags: { type: 3, wire: u32be },
  userdata: { type: 6, wire: userdata(elementUserdata) },
  keyEnd: { type: 10, wire: nested(data) },
} as const

export const elementListTable = {
  table: { type: 1, wire: str },
  set: { type: 2, wire: str },
  elements: { type: 3, wire: numbered(nested(elementTable)) },
} as const

/** A list whose entries' attribute numbers mean nothing: libnftnl counts them, the kernel does not. */
function numbered<V>(wire: Wire<V>): Wire<readonly V[]> {
  const row = { type: 1, wire }
  return {
    nested: true,
    write(out, values) {
      for (const value of values) writeAttr(out, row, value)
    },
    read: (payload) => Array.from(walkAttrs(payload), (attr) => wire.read(attr.payload)),
  }
}

/** How the kernel answers a question about the contents of a table or set that is not there. */
export const ENOENT = 2

/** What an operation does when its object is there already: nothing, or fail with EEXIST. */
export interface CreateOptions {
  readonly exclusive?: boolean
}

export function createFlags({ exclusive }: CreateOptions): number {
  return exclusive ? NLM_F_CREATE | NLM_F_EXCL : NLM_F_CREATE
}

/** Builds one nf_tables message. Family 0 asks for the objects of every family. */
export function message<T extends Table, R = void>(
  name: MessageName,
  family: TableFamily | undefined,
  content: { table: T; attrs: Attrs<T> },
  rest: Omit<Request<R>, 'type' | 'flags' | 'body'> & { flags?: number },
): Request<R> {
  const header = { family: family === undefined ? 0 : families[family] }
  const body = encodeBody(nfgenmsg, header, content.table, content.attrs)
  const type = (NFNL_SUBSYS_NFTABLES << 8) | messages[name]
  return { type, flags: 0, body, ...rest }
}

/** Reads the body of an nf_tables message: which family it is of, and its attributes. */
export function decodeMessage<T extends Table>(
  table: T,
  body: Uint8Array,
): { family: TableFamily | undefined; attrs: Attrs<T> } {
  const { header, attrs } = decodeBody(nfgenmsg, table, body)
  const names = Object.keys(families) as TableFamily[]
  return { family: names.find((name) => families[name] === header.family), attrs }
}

/** NFNL_MSG_BATCH_BEGIN or _END. With `generation` the batch is refused once rules have changed. */
export function batchMessage(kind: 'begin' | 'end', generation?: number): Request {
  const attrs = generation === undefined ? {} : { generation }
  return {
    type: kind === 'begin' ? NFNL_MSG_BATCH_BEGIN : NFNL_MSG_BATCH_END,
    flags: 0,
    body: encodeBody(nfgenmsg, { resourceId: NFNL_SUBSYS_NFTABLES }, batchTable, attrs),
    op: 'commit an nftables transaction',
  }
}

/** The name of an object in messages: `set inet heddle-cni hosts4`. */
export function describe(kind: string, table: TableRef, name?: string): string {
  return [kind, table.family, table.name, ...(name === undefined ? [] : [name])].join(' ')
}
