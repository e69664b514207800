/**
 * nft's data types (nftables, include/datatype.h). The kernel keeps the number of a set's type and
 * does nothing with it; nft prints the set's elements by it.
 */
import { align4 } from '../codec/table.ts'

/** Byte order as nft notes it in a set's userdata; `host` for what a register holds natively. */
const byteOrders = { host: 1, network: 2 } as const

const dataTypes = {
  nf_proto: { number: 2, size: 1, order: 'host' },
  ipv4_addr: { number: 7, size: 4, order: 'network' },
  ipv6_addr: { number: 8, size: 16, order: 'network' },
  ether_addr: { number: 9, size: 6, order: 'network' },
  inet_proto: { number: 12, size: 1, order: 'network' },
  inet_service: { number: 13, size: 2, order: 'network' },
  mark: { number: 19, size: 4, order: 'host' },
  ifname: { number: 41, size: 16, order: 'host' },
} as const satisfies Record<
  string,
  { number: number; size: number; order: keyof typeof byteOrders }
>

type DataTypeName = keyof typeof dataTypes

/** The types a key or value is concatenated of, usually one; a number is a type unknown here. */
export type DataType = readonly (DataTypeName | number)[]

/** TYPE_BITS: a concatenation is one number, six bits a part, the first part highest. */
const PART_BITS = 6

/** The number by which nft and the kernel know the type. */
export function dataTypeNumber(type: DataType): number {
  return type.reduce<number>((sum, part) => (sum << PART_BITS) | partNumber(part), 0)
}

function partNumber(part: DataTypeName | number): number {
  return typeof part === 'number' ? part : dataTypes[part].number
}

/** Undoes `dataTypeNumber`. */
export function dataTypeFromNumber(value: number): DataType {
  const parts: (DataTypeName | number)[] = []
  for (let rest = value; rest > 0; rest >>>= PART_BITS) {
    const part = rest & ((1 << PART_BITS) - 1)
    const names = Object.keys(dataTypes) as DataTypeName[]
    parts.unshift(names.find((name) => dataTypes[name].number === part) ?? part)
  }
  return parts
}

/** Each part's length in bytes, unpadded. Throws `RangeError` for a type known by number only. */
export function partLengths(type: DataType): number[] {
  return type.map((part) => {
    if (typeof part === 'number') throw new RangeError(`data type ${part} has no known length`)
    return dataTypes[part].size
  })
}

/** The length of a key or value in bytes; the parts of a concatenation start on 4-byte bounds. */
export function dataTypeLength(type: DataType): number {
  const lengths = partLengths(type)
  return lengths.length === 1
    ? (lengths[0] ?? 0)
    : lengths.reduce((sum, length) => sum + align4(length), 0)
}

/** The type's byte order as nft records it: none (0) for a concatenation. */
export function byteOrderNumber(type: DataType): number {
  const [only, second] = type
  if (second !== undefined || only === undefined || typeof only === 'number') return 0
  return byteOrders[dataTypes[only].order]
}

/** As nft writes it: `ipv4_addr . inet_service`. */
export function formatDataType(type: DataType): string {
  return type.map((part) => (typeof part === 'number' ? `type#${part}` : part)).join(' . ')
}
