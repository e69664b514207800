/**
 * Statements of the nft language as the expressions that nft makes of them, so that nft prints
 * them again as they would be typed.
 */
import { addressBits, addressToBytes, type Family } from '../../ip/address.ts'
import { firstAddress, type Prefix } from '../../ip/prefix.ts'
import { align4 } from '../codec/table.ts'
import { encode } from '../codec/writer.ts'
import { families } from './codec.ts'
import {
  type Expression,
  NF_NAT_RANGE_PROTO_RANDOM_FULLY,
  NFT_LOOKUP_F_INV,
  NFT_REG_1,
  NFT_REG_VERDICT,
  NFT_REG32_00,
  NFTA_FIB_F_DADDR,
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

/** IPPROTO_* of those that have ports, all in the same place of their header. */
export const transportProtocols = { tcp: 6, udp: 17, sctp: 132 } as const
export type TransportProtocol = keyof typeof transportProtocols

/** IPS_*, uapi/linux/netfilter/nf_conntrack_common.h. */
export const connectionStatus = { snat: 0x10, dnat: 0x20 } as const

/** RTN_LOCAL, uapi/linux/rtnetlink.h. */
export const RTN_LOCAL = 2

const IFNAMSIZ = 16
const dreg = NFT_REG_1
const sreg = NFT_REG_1

/** Only packets of this family; in an inet or bridge table it must precede a match of addresses. */
export function familyIs(family: Family): Expression[] {
  const value = Uint8Array.of(familyNumber(family))
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

/** `ip daddr vmap @MAP`: goes where a map of verdicts leads for the address. */
export function addressVerdict(side: Side, map: { name: string; family: Family }): Expression[] {
  return [
    loadAddress(side, map.family, addressBits(map.family) / 8),
    { name: 'lookup', attrs: { set: map.name, sreg, dreg: NFT_REG_VERDICT } },
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

/** `fib daddr type local`: the packet is for an address of this host. In a chain that has a hook. */
export function destinationIsLocal(options: MatchOptions = {}): Expression[] {
  return fibTypeIs(NFTA_FIB_F_DADDR, RTN_LOCAL, options)
}

function fibTypeIs(flags: number, type: number, { not }: MatchOptions): Expression[] {
  return [
    { name: 'fib', attrs: { dreg, result: 'type', flags } },
    { name: 'cmp', attrs: { sreg, op: not ? 'neq' : 'eq', data: { value: hostUint32(type) } } },
  ]
}

/** `ct status dnat`: the connection's destination was rewritten, or its source. */
export function statusHas(status: keyof typeof connectionStatus): Expression[] {
  return [
    { name: 'ct', attrs: { dreg, key: 'status' } },
    bitwiseAnd(hostUint32(connectionStatus[status])),
    { name: 'cmp', attrs: { sreg, op: 'neq', data: { value: hostUint32(0) } } },
  ]
}

/** `iifname NAME` or `oifname NAME`; by name, so it holds whenever such an interface comes. */
export function interfaceIs(
  direction: 'input' | 'output',
  name: string,
  { not }: MatchOptions = {},
): Expression[] {
  const value = new Uint8Array(IFNAMSIZ)
  const { written } = new TextEncoder().encodeInto(name, value)
  if (written >= IFNAMSIZ) throw new RangeError(`interface name ${name} is too long`)
  return [
    { name: 'meta', attrs: { key: direction === 'input' ? 'iifname' : 'oifname', dreg } },
    { name: 'cmp', attrs: { sreg, op: not ? 'neq' : 'eq', data: { value } } },
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

/** The whole of an address of the packet into a register, or its first bytes. */
export function loadAddress(
  side: Side,
  family: Family,
  length: number,
  register: number = dreg,
): Expression {
  const offset = addressOffsets[family][side]
  return { name: 'payload', attrs: { dreg: register, base: 'network', offset, length } }
}

/**
 * The registers that the parts of a concatenation, of these lengths in bytes, lie in: one after
 * the other, each from a 4-byte bound on. The kernel calls a register by its 16-byte name where it
 * has one.
 */
export function partRegisters(lengths: readonly number[]): number[] {
  const registers: number[] = []
  let word = 0
  for (const length of lengths) {
    registers.push(word % 4 === 0 ? NFT_REG_1 + word / 4 : NFT_REG32_00 + word)
    word += align4(length) / 4
  }
  return registers
}

/** NFPROTO_* */
export function familyNumber(family: Family): number {
  return family === 4 ? families.ip : families.ip6
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
