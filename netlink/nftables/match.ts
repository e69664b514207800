/**
 * Statements of the nft language as the expressions that nft makes of them, so that nft prints
 * them again as they would be typed.
 */
import { addressBits, addressToBytes, type Family } from '../../ip/address.ts'
import { firstAddress, type Prefix } from '../../ip/prefix.ts'
import { encode } from '../codec/writer.ts'
import { families } from './codec.ts'
import {
  type Expression,
  NF_NAT_RANGE_PROTO_RANDOM_FULLY,
  NFT_LOOKUP_F_INV,
  NFT_REG_1,
  NFT_REG_VERDICT,
} from './expression.ts'
import type { VerdictName } from './value.ts'

export type Side = 'source' | 'destination'

export interface MatchOptions {
  /** Matches everything else. */
  readonly not?: boolean
}

/** Byte offsets in the header: RFC 791 section 3.1, RFC 8200 section 3. */
export const addressOffsets = {
  4: { source: 12, destination: 16 },
  6: { source: 8, destination: 24 },
} as const

const dreg = NFT_REG_1
const sreg = NFT_REG_1

/** Only packets of this family; in an inet or bridge table it must precede a match of addresses. */
export function familyIs(family: Family): Expression[] {
  const value = Uint8Array.of(family === 4 ? families.ip : families.ip6)
  return [
    { name: 'meta', attrs: { key: 'nfproto', dreg } },
    { name: 'cmp', attrs: { sreg, op: 'eq', data: { value } } },
  ]
}

/** `meta mark & MASK == VALUE` */
export function markIs(value: number, mask: number): Expression[] {
  return [
    { name: 'meta', attrs: { key: 'mark', dreg } },
    bitwiseAnd(hostUint32(mask)),
    { name: 'cmp', attrs: { sreg, op: 'eq', data: { value: hostUint32(value) } } },
  ]
}

/** `ip saddr @SET` */
export function addressIn(
  side: Side,
  set: { name: string; family: Family },
  { not }: MatchOptions = {},
): Expression[] {
  return [
    loadAddress(side, set.family, addressBits(set.family) / 8),
    { name: 'lookup', attrs: { set: set.name, sreg, ...(not && { flags: NFT_LOOKUP_F_INV }) } },
  ]
}

/** `ip saddr PREFIX`. Throws `RangeError` for what nothing can match: not an address at all. */
export function addressIs(side: Side, prefix: Prefix, { not }: MatchOptions = {}): Expression[] {
  const { family } = prefix.address
  const { length } = prefix
  const op = not ? 'neq' : 'eq'
  const address = addressToBytes(firstAddress(prefix))
  if (length === 0) {
    if (not) throw new RangeError('nothing is outside a prefix of length 0')
    return []
  }
  // A prefix of whole bytes is compared by loading just these, as nft and iptables do.
  if (length % 8 === 0) {
    const value = address.subarray(0, length / 8)
    return [
      loadAddress(side, family, value.length),
      { name: 'cmp', attrs: { sreg, op, data: { value } } },
    ]
  }
  return [
    loadAddress(side, family, address.length),
    bitwiseAnd(maskBytes(prefix)),
    { name: 'cmp', attrs: { sreg, op, data: { value: address } } },
  ]
}

/** `counter` */
export function counter(): Expression {
  return { name: 'counter', attrs: {} }
}

/** `masquerade`, in a nat chain at postrouting. */
export function masquerade({ fullyRandom }: { fullyRandom?: boolean } = {}): Expression {
  return {
    name: 'masq',
    attrs: fullyRandom ? { flags: NF_NAT_RANGE_PROTO_RANDOM_FULLY } : {},
  }
}

/** `accept`, `return`, `jump CHAIN` and so on. */
export function verdict(code: VerdictName, chain?: string): Expression {
  const verdict = { code, ...(chain !== undefined && { chain }) }
  return { name: 'immediate', attrs: { dreg: NFT_REG_VERDICT, data: { verdict } } }
}

function loadAddress(side: Side, family: Family, length: number): Expression {
  const offset = addressOffsets[family][side]
  return { name: 'payload', attrs: { dreg, base: 'network', offset, length } }
}

function bitwiseAnd(mask: Uint8Array): Expression {
  const { length } = mask
  const xor = { value: new Uint8Array(length) }
  return { name: 'bitwise', attrs: { sreg, dreg, length, mask: { value: mask }, xor } }
}

function maskBytes({ address: { family }, length }: Prefix): Uint8Array {
  const bits = addressBits(family)
  const value = ((1n << BigInt(length)) - 1n) << BigInt(bits - length)
  return addressToBytes({ family, value })
}

/** As a register holds a number: in the machine's own byte order. */
function hostUint32(value: number): Uint8Array {
  return encode((out) => out.u32(value))
}
