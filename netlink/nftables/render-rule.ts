/**
 * A rule as nft prints it, recovered from its expressions. Knows what `match.ts` writes and what
 * iptables-nft makes of address matches; any other expression is named in brackets.
 */
import { addressBits, addressFromBytes, type Family, formatAddress } from '../../ip/address.ts'
import { formatPrefix } from '../../ip/prefix.ts'
import { families, type TableFamily } from './codec.ts'
import {
  type Expression,
  NF_NAT_RANGE_PROTO_RANDOM_FULLY,
  NFT_LOOKUP_F_INV,
  NFT_REG_1,
  NFTA_FIB_F_DADDR,
  NFTA_FIB_F_SADDR,
} from './expression.ts'
import { addressOffsets, connectionStatus, RTN_LOCAL } from './match.ts'
import { formatPort, formatProtocol, formatText, hex } from './render-value.ts'
import type { Rule } from './rule.ts'

/** One rule of a table of this family, with its comment, on one line. */
export function renderRule(rule: Rule, family: TableFamily): string {
  let state: State = {
    ...(family === 'ip' && { family: 4 }),
    ...(family === 'ip6' && { family: 6 }),
  }
  const words: string[] = []
  for (const [index, expression] of rule.expressions.entries()) {
    const next = load(state, expression)
    if (!next) words.push(renderExpression(expression, state.loaded ?? nothing))
    // nft leaves out what follows from `ip` or `ip6` in later words.
    else if (next.family !== state.family && !rule.expressions.slice(index).some(isOfNetwork)) {
      words.push(`meta nfproto ipv${next.family}`)
    }
    state = next ?? state
  }
  if (rule.comment !== undefined) words.push(`comment "${rule.comment}"`)
  return words.join(' ')
}

/** What is known at a point of the rule: of the packet, and of the one register that nft uses. */
interface State {
  readonly family?: Family
  readonly loaded?: Loaded
}

/** How to print what a field is compared with. */
type Kind =
  | 'nfproto'
  | 'mark'
  | 'fibtype'
  | 'status'
  | 'name'
  | 'l4proto'
  | 'port'
  | 'found'
  | 4
  | 6
  | 'other'

interface Loaded {
  readonly text: string
  readonly kind: Kind
  readonly mask?: Uint8Array
}

type Named<K> = Extract<Expression, { name: K }>

const nothing: Loaded = { text: '', kind: 'other' }

/** What is known after an expression that adds no words to the line; undefined for one that does. */
function load(state: State, expression: Expression): State | undefined {
  const { family, loaded = nothing } = state
  const { name } = expression
  const field = loadedField(expression, family)
  if (field) return { ...state, loaded: isFirst(expression) ? field : append(loaded, field) }
  if (name === 'bitwise' && expression.attrs.mask?.value) {
    return { ...state, loaded: { ...loaded, mask: expression.attrs.mask.value } }
  }
  if (name === 'cmp' && loaded.kind === 'nfproto') {
    return { family: expression.attrs.data?.value?.[0] === families.ip ? 4 : 6 }
  }
  if (name === 'lookup' && expression.attrs.dreg === NFT_REG_1) {
    return { ...state, loaded: { text: renderLookup(expression, loaded), kind: 'found' } }
  }
  return undefined
}

function isOfNetwork(expression: Expression): boolean {
  return expression.name === 'payload' && expression.attrs.base === 'network'
}

function renderExpression(expression: Expression, loaded: Loaded): string {
  const { name } = expression
  if (name === 'cmp') return renderCompare(expression, loaded)
  if (name === 'lookup') return renderLookup(expression, loaded)
  if (name === 'counter') return 'counter'
  if (name === 'masq') return renderMasquerade(expression)
  if (name === 'nat') return renderNat(expression, loaded)
  if (name === 'immediate') return renderVerdict(expression)
  return name === 'unknown' ? `[${expression.kind}]` : `[${name}]`
}

function loadedField(expression: Expression, family: Family | undefined): Loaded | undefined {
  const { name } = expression
  if (name === 'meta' && expression.attrs.sreg === undefined) return metaField(expression)
  if (name === 'payload' && expression.attrs.sreg === undefined) {
    return payloadField(expression, family)
  }
  if (name === 'ct' && expression.attrs.sreg === undefined) return ctField(expression)
  if (name === 'fib') return fibField(expression)
  return undefined
}

/** A concatenation's first part is in the first register, the others in those after it. */
function isFirst(expression: Expression): boolean {
  return 'attrs' in expression && 'dreg' in expression.attrs && expression.attrs.dreg === NFT_REG_1
}

function append(loaded: Loaded, { text }: Loaded): Loaded {
  return { text: `${loaded.text} . ${text}`, kind: 'other' }
}

function metaField({ attrs: { key } }: Named<'meta'>): Loaded {
  if (key === 'iifname' || key === 'oifname') return { text: key, kind: 'name' }
  const kind = key === 'nfproto' || key === 'mark' || key === 'l4proto' ? key : 'other'
  return { text: `meta ${key}`, kind }
}

function ctField({ attrs: { key } }: Named<'ct'>): Loaded {
  return { text: `ct ${key}`, kind: key === 'status' ? key : 'other' }
}

function fibField({ attrs: { result, flags = 0 } }: Named<'fib'>): Loaded {
  const address = flags === NFTA_FIB_F_SADDR ? 'saddr' : 'daddr'
  const isPlain = flags === NFTA_FIB_F_SADDR || flags === NFTA_FIB_F_DADDR
  const kind = result === 'type' ? 'fibtype' : 'other'
  return { text: `fib ${isPlain ? address : `[${flags}]`} ${result}`, kind }
}

function payloadField({ attrs }: Named<'payload'>, family: Family | undefined): Loaded {
  const { base, offset, length } = attrs
  if (base === 'network' && family !== undefined) {
    const ip = family === 4 ? 'ip' : 'ip6'
    const { source, destination } = addressOffsets[family]
    if (offset === source) return { text: `${ip} saddr`, kind: family }
    if (offset === destination) return { text: `${ip} daddr`, kind: family }
  }
  if (base === 'transport' && length === 2 && (offset === 0 || offset === 2)) {
    return { text: offset === 0 ? 'th sport' : 'th dport', kind: 'port' }
  }
  return { text: `@${base},${offset},${length}`, kind: 'other' }
}

const operators: Readonly<Record<string, string>> = {
  eq: '==',
  neq: '!=',
  lt: '<',
  lte: '<=',
  gt: '>',
  gte: '>=',
}

function renderCompare({ attrs }: Named<'cmp'>, { text, kind, mask }: Loaded): string {
  const { op = 'eq', data } = attrs
  const value = data?.value ?? new Uint8Array(0)
  const operator = operators[op] ?? `[${op}]`
  const unlessEqual = op === 'eq' ? '' : `${operator} `
  if (kind === 4 || kind === 6) return `${text} ${unlessEqual}${renderPrefix(kind, value, mask)}`
  if (kind === 'status' && mask && op === 'neq' && value.every((byte) => byte === 0)) {
    return `${text} ${statusName(mask)}`
  }
  const number = formats[kind] ?? hex
  if (mask) return `${text} & ${number(mask)} ${operator} ${number(value)}`
  return `${text} ${unlessEqual}${number(value)}`
}

function renderLookup({ attrs }: Named<'lookup'>, { text }: Loaded): string {
  const not = (attrs.flags ?? 0) & NFT_LOOKUP_F_INV ? '!= ' : ''
  const map = attrs.dreg === undefined ? '' : attrs.dreg === 0 ? 'vmap ' : 'map '
  return `${text} ${map}${not}@${attrs.set}`
}

function renderMasquerade({ attrs: { flags = 0 } }: Named<'masq'>): string {
  return flags & NF_NAT_RANGE_PROTO_RANDOM_FULLY ? 'masquerade fully-random' : 'masquerade'
}

function renderVerdict({ attrs }: Named<'immediate'>): string {
  const verdict = attrs.data?.verdict
  if (!verdict) return '[immediate]'
  return verdict.chain === undefined ? `${verdict.code}` : `${verdict.code} ${verdict.chain}`
}

/** An address of which only the first bytes were loaded, or some bits masked, is a prefix. */
function renderPrefix(family: Family, value: Uint8Array, mask: Uint8Array | undefined): string {
  const bits = addressBits(family)
  const full = new Uint8Array(bits / 8)
  full.set(value.subarray(0, full.length))
  const address = addressFromBytes(full)
  if (!address) return hex(value)
  const length = mask ? oneBits(mask) : value.length * 8
  return length === bits ? formatAddress(address) : formatPrefix({ address, length })
}

function oneBits(mask: Uint8Array): number {
  let count = 0
  for (const byte of mask) for (let rest = byte; rest > 0; rest &= rest - 1) count++
  return count
}

function renderNat({ attrs }: Named<'nat'>, { text, kind }: Loaded): string {
  const { type, family } = attrs
  const words = family === families.ip ? `${type} ip` : `${type} ip6`
  return kind === 'found' && attrs.addressMinReg === NFT_REG_1
    ? `${words} to ${text}`
    : `[${words}]`
}

/** The values that are not plain bytes. */
const formats: { readonly [K in Kind]?: (value: Uint8Array) => string } = {
  mark: hostNumber,
  status: statusName,
  fibtype: (value) => (value[0] === RTN_LOCAL ? 'local' : hostNumber(value)),
  name: formatText,
  l4proto: formatProtocol,
  port: formatPort,
}

/** A number as a register holds it, least significant byte first. */
function hostNumber(value: Uint8Array): string {
  return hex(Uint8Array.from(value).reverse())
}

function statusName(value: Uint8Array): string {
  const [first, ...others] = value
  const names = Object.entries(connectionStatus).filter(([, bit]) => bit === first)
  return others.some((byte) => byte !== 0)
    ? hostNumber(value)
    : (names[0]?.[0] ?? hostNumber(value))
}
