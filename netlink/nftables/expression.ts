/**
 * Expressions are the instructions a rule is made of: they load into registers, compare registers
 * and end in a verdict. One table each, one row an attribute (uapi/linux/netfilter/nf_tables.h;
 * fib, range and nat as of Linux 6.1).
 */
import {
  type Attrs,
  decodeAttrs,
  nested,
  type Table,
  walkAttrs,
  writeAttr,
  writeAttrs,
} from '../codec/table.ts'
import { bytes, named, str, u8, u32be, u64be, type Wire } from '../codec/wire.ts'
import type { Writer } from '../codec/writer.ts'
import { data } from './value.ts'

/** The register that holds a verdict; 1 to 4 hold 16 bytes each, 8 to 23 alias them by fours. */
export const NFT_REG_VERDICT = 0
export const NFT_REG_1 = 1
export const NFT_REG32_00 = 8
export const NFT_LOOKUP_F_INV = 1
/** Which address of the packet is looked up in the routing tables. */
export const NFTA_FIB_F_SADDR = 1
export const NFTA_FIB_F_DADDR = 2
export const NF_NAT_RANGE_PROTO_RANDOM_FULLY = 0x10

const metaKeys = {
  protocol: 1,
  mark: 3,
  iif: 4,
  oif: 5,
  iifname: 6,
  oifname: 7,
  nfproto: 15,
  l4proto: 16,
} as const
const ctKeys = { state: 0, direction: 1, status: 2, mark: 3, protocol: 10, id: 23 } as const
const comparisons = { eq: 0, neq: 1, lt: 2, lte: 3, gt: 4, gte: 5 } as const
const payloadBases = { link: 0, network: 1, transport: 2, inner: 3 } as const
const fibResults = { oif: 1, oifname: 2, type: 3 } as const

const tables = {
  bitwise: {
    sreg: { type: 1, wire: u32be },
    dreg: { type: 2, wire: u32be },
    length: { type: 3, wire: u32be },
    mask: { type: 4, wire: nested(data) },
    xor: { type: 5, wire: nested(data) },
    op: { type: 6, wire: u32be },
  },
  cmp: {
    sreg: { type: 1, wire: u32be },
    op: { type: 2, wire: named(u32be, comparisons) },
    data: { type: 3, wire: nested(data) },
  },
  counter: {
    bytes: { type: 1, wire: u64be },
    packets: { type: 2, wire: u64be },
  },
  ct: {
    dreg: { type: 1, wire: u32be },
    key: { type: 2, wire: named(u32be, ctKeys) },
    direction: { type: 3, wire: u8 },
    sreg: { type: 4, wire: u32be },
  },
  fib: {
    dreg: { type: 1, wire: u32be },
    result: { type: 2, wire: named(u32be, fibResults) },
    flags: { type: 3, wire: u32be },
  },
  immediate: {
    dreg: { type: 1, wire: u32be },
    data: { type: 2, wire: nested(data) },
  },
  lookup: {
    set: { type: 1, wire: str },
    sreg: { type: 2, wire: u32be },
    dreg: { type: 3, wire: u32be },
    flags: { type: 5, wire: u32be },
  },
  masq: {
    flags: { type: 1, wire: u32be },
    portMinReg: { type: 2, wire: u32be },
    portMaxReg: { type: 3, wire: u32be },
  },
  meta: {
    dreg: { type: 1, wire: u32be },
    key: { type: 2, wire: named(u32be, metaKeys) },
    sreg: { type: 3, wire: u32be },
  },
  nat: {
    type: { type: 1, wire: named(u32be, { snat: 0, dnat: 1 }) },
    family: { type: 2, wire: u32be },
    addressMinReg: { type: 3, wire: u32be },
    addressMaxReg: { type: 4, wire: u32be },
    portMinReg: { type: 5, wire: u32be },
    portMaxReg: { type: 6, wire: u32be },
    flags: { type: 7, wire: u32be },
  },
  payload: {
    dreg: { type: 1, wire: u32be },
    base: { type: 2, wire: named(u32be, payloadBases) },
    offset: { type: 3, wire: u32be },
    length: { type: 4, wire: u32be },
    sreg: { type: 5, wire: u32be },
    checksumType: { type: 6, wire: u32be },
    checksumOffset: { type: 7, wire: u32be },
    checksumFlags: { type: 8, wire: u32be },
  },
  range: {
    sreg: { type: 1, wire: u32be },
    op: { type: 2, wire: named(u32be, { eq: 0, neq: 1 }) },
    from: { type: 3, wire: nested(data) },
    to: { type: 4, wire: nested(data) },
  },
} as const satisfies Record<string, Table>

type Tables = typeof tables
type Known = {
  [K in keyof Tables]: { readonly name: K; readonly attrs: Attrs<Tables[K]> }
}[keyof Tables]

/** An expression that has no table here, kept as it came. */
interface UnknownExpression {
  readonly name: 'unknown'
  readonly kind: string
  readonly data: Uint8Array
}

export type Expression = Known | UnknownExpression

/** What the kernel fills in where nothing was said, or counts by itself. */
const unsaid: { readonly [K in keyof Tables]?: Attrs<Tables[K]> } = {
  bitwise: { op: 0 },
  lookup: { flags: 0 },
  masq: { flags: 0 },
}

/** The expression without what the kernel adds to it, so that a rule read equals the rule written. */
export function normalExpression(expression: Expression): Expression {
  if (expression.name === 'unknown') return expression
  if (expression.name === 'counter') return { name: 'counter', attrs: {} }
  if (expression.name === 'nat') return normalNat(expression)
  const added: Readonly<Record<string, unknown>> = unsaid[expression.name] ?? {}
  const kept = Object.entries(expression.attrs).filter(
    ([key, value]) => !(key in added && added[key] === value),
  )
  return { ...expression, attrs: Object.fromEntries(kept) }
}

/** NF_NAT_RANGE_MAP_IPS and _PROTO_SPECIFIED: the kernel sets them where there is a register. */
const NAT_RANGE_IMPLIED = 3

/** The kernel shows a single address or port as a range from itself to itself. */
function normalNat({ attrs }: Extract<Expression, { name: 'nat' }>): Expression {
  const { addressMaxReg, portMaxReg, flags = 0, ...kept } = attrs
  const said = flags & ~NAT_RANGE_IMPLIED
  return {
    name: 'nat',
    attrs: {
      ...kept,
      ...(addressMaxReg !== undefined && addressMaxReg !== kept.addressMinReg && { addressMaxReg }),
      ...(portMaxReg !== undefined && portMaxReg !== kept.portMinReg && { portMaxReg }),
      ...(said > 0 && { flags: said }),
    },
  }
}

const NFTA_EXPR_NAME = 1
const NFTA_EXPR_DATA = 2
const nameRow = { type: NFTA_EXPR_NAME, wire: str }
const rawRow = { type: NFTA_EXPR_DATA, wire: { ...bytes, nested: true as const } }

/** NFTA_EXPR_*: the name says which table the rest is to be read by. */
export const expression: Wire<Expression> = {
  nested: true,
  write(out, value) {
    if (value.name === 'unknown') {
      writeAttr(out, nameRow, value.kind)
      writeAttr(out, rawRow, value.data)
    } else {
      writeAttr(out, nameRow, value.name)
      writeAttr(out, attrsRow(tables[value.name]), value.attrs)
    }
  },
  read(payload) {
    let name = ''
    let content = new Uint8Array(0)
    for (const attr of walkAttrs(payload)) {
      if (attr.type === NFTA_EXPR_NAME) name = str.read(attr.payload)
      if (attr.type === NFTA_EXPR_DATA) content = attr.payload.slice()
    }
    if (!isKnown(name)) return { name: 'unknown', kind: name, data: content }
    return { name, attrs: decodeAttrs(tables[name], content) } as Expression
  },
}

function attrsRow(table: Table) {
  const write = (out: Writer, attrs: Attrs<Table>) => writeAttrs(out, table, attrs)
  const read = (payload: Uint8Array) => decodeAttrs(table, payload)
  return { type: NFTA_EXPR_DATA, wire: { nested: true as const, write, read } }
}

function isKnown(name: string): name is keyof Tables {
  return Object.hasOwn(tables, name)
}
