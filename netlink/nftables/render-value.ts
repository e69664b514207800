/** Values of nft's data types as nft prints them. */
import { addressFromBytes, formatAddress } from '../../ip/address.ts'
import { formatPrefix, hostPrefix } from '../../ip/prefix.ts'
import { align4 } from '../codec/table.ts'
import { mac } from '../codec/wire.ts'
import { type DataType, partLengths } from './data-type.ts'
import { prefixRange, type Range } from './interval.ts'

/** IPPROTO_* that have a name of their own wherever nft runs. */
const protocols: Readonly<Record<number, string>> = {
  1: 'icmp',
  6: 'tcp',
  17: 'udp',
  58: 'ipv6-icmp',
  132: 'sctp',
}

/** The parts of a concatenation, or the one value: `10.1.1.1 . 80`. */
export function formatValue(type: DataType, value: Uint8Array, end = value): string {
  const words: string[] = []
  let at = 0
  for (const [index, length] of lengthsOf(type, value).entries()) {
    const first = value.subarray(at, at + length)
    words.push(formatRange(type[index], first, end.subarray(at, at + length)))
    at += align4(length)
  }
  return words.join(' . ')
}

/** One unknown part makes them all unknown: where it ends cannot be told. */
function lengthsOf(type: DataType, value: Uint8Array): number[] {
  return type.some((part) => typeof part === 'number') ? [value.length] : partLengths(type)
}

function formatRange(type: DataType[number] | undefined, first: Uint8Array, last: Uint8Array) {
  const [from, to] = [addressFromBytes(first), addressFromBytes(last)]
  const isAddress = type === 'ipv4_addr' || type === 'ipv6_addr'
  if (isAddress && from && to) return renderRange({ first: from, last: to })
  const text = formatPart(type, first)
  const end = formatPart(type, last)
  return text === end ? text : `${text}-${end}`
}

function formatPart(type: DataType[number] | undefined, value: Uint8Array): string {
  return (partFormats[type ?? 0] ?? hex)(value)
}

/** Of the types that are not printed as plain bytes, or as addresses. */
const partFormats: Readonly<Record<string | number, (value: Uint8Array) => string>> = {
  inet_proto: formatProtocol,
  inet_service: formatPort,
  ether_addr: mac.read,
  ifname: formatText,
}

/** A range as the one prefix it is, or with its bounds. */
export function renderRange({ first, last }: Range): string {
  for (let length = 0; length < hostPrefix(first).length; length++) {
    const range = prefixRange({ address: first, length })
    if (range.first.value === first.value && range.last.value === last.value) {
      return formatPrefix({ address: first, length })
    }
  }
  const text = formatAddress(first)
  return first.value === last.value ? text : `${text}-${formatAddress(last)}`
}

/** A protocol of IP by its name, if it has one here. */
export function formatProtocol(value: Uint8Array): string {
  const number = value[0] ?? 0
  return protocols[number] ?? `${number}`
}

/** A port, which nft prints as a number. */
export function formatPort(value: Uint8Array): string {
  return `${((value[0] ?? 0) << 8) | (value[1] ?? 0)}`
}

/** Text in a register, such as the name of an interface: `"lo"`. */
export function formatText(value: Uint8Array): string {
  const end = value.indexOf(0)
  return `"${new TextDecoder().decode(end < 0 ? value : value.subarray(0, end))}"`
}

/** Bytes as they lie: `0x0a000001`. */
export function hex(value: Uint8Array): string {
  return `0x${Array.from(value, (byte) => byte.toString(16).padStart(2, '0')).join('')}`
}
