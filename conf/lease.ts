import {
  type Address,
  type Family,
  formatAddress,
  isUnspecified,
  parseAddress,
} from '../ip/address.ts'
import { type ByFamily, byFamily, valuesOf } from '../ip/by-family.ts'
import { firstAddress, type Prefix } from '../ip/prefix.ts'
import { DecodeError } from './errors.ts'
import { parseForeignJson } from './json.ts'
import { canonicalKeys } from './keys.ts'

/** What a lease's value says of its node (flannel's LeaseAttrs, and our NodeID). */
export interface LeaseAttrs {
  /** Where peers send the packets for this node. */
  readonly publicIP: ByFamily<Address>
  /** Empty when the value has none. */
  readonly backendType: string
  /** `BackendData` and `BackendV6Data`: JSON of the backend's own form, unread. */
  readonly backendData: ByFamily<unknown>
  /**
   * A question to whoever lives under this node id; a daemon that does takes it out again. In no
   * lease for longer than it takes to find out.
   */
  readonly challenge?: string
  /** Which node holds it; flannel writes none and ignores ours. */
  readonly nodeId?: string
}

/** The longest prefix lengths flannel reads in a key: it parses them into 5 and 7 bits. */
const maxLength = { 4: 31, 6: 127 } as const

/**
 * Reads the last part of a lease's key: `10.5.34.0-24`, with IPv6 `10.5.34.0-24&fc00:0:0:5::-64`,
 * or, ours alone, IPv6 only `fc00:0:0:5::-64`. Undefined for anything else, host bits included.
 */
export function parseLeaseKey(text: string): ByFamily<Prefix> | undefined {
  const and = text.indexOf('&')
  const first = parseSubnet(and < 0 ? text : text.slice(0, and))
  if (!first) return undefined
  if (and < 0) return first.address.family === 4 ? { 4: first } : { 6: first }
  const second = parseSubnet(text.slice(and + 1))
  // IPv4 goes first; the other order is nobody's.
  return first.address.family === 4 && second?.address.family === 6
    ? { 4: first, 6: second }
    : undefined
}

function parseSubnet(word: string): Prefix | undefined {
  const match = /^([\d.]+|[\da-f:]+)-(0|[1-9]\d{0,2})$/.exec(word)
  const address = match?.[1] === undefined ? undefined : parseAddress(match[1])
  if (!address) return undefined
  const prefix = { address, length: Number(match?.[2]) }
  if (prefix.length > maxLength[address.family]) return undefined
  return firstAddress(prefix).value === address.value ? prefix : undefined
}

/** The inverse of `parseLeaseKey`, in flannel's canonical text. */
export function formatLeaseKey(subnets: ByFamily<Prefix>): string {
  return valuesOf(subnets)
    .map((subnet) => `${formatAddress(subnet.address)}-${subnet.length}`)
    .join('&')
}

const valueKeys = {
  PublicIP: {},
  PublicIPv6: {},
  BackendType: {},
  BackendData: {},
  BackendV6Data: {},
  Challenge: {},
  NodeID: {},
}

/**
 * Reads a lease's value; flannel writes it, and anybody else may have.
 * @throws DecodeError saying what is wrong with it.
 */
export function parseLeaseValue(text: string): LeaseAttrs {
  const json = parseForeignJson(text, 'the lease')
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new DecodeError('the lease is not a JSON object')
  }
  const values = canonicalKeys(json, valueKeys) as Readonly<Record<string, unknown>>
  const nodeId = string(values, 'NodeID')
  const challenge = string(values, 'Challenge')
  const keys = { 4: ['PublicIP', 'BackendData'], 6: ['PublicIPv6', 'BackendV6Data'] } as const
  return {
    publicIP: byFamily((family) => address(values, keys[family][0], family)),
    backendType: string(values, 'BackendType'),
    backendData: byFamily((family) => values[keys[family][1]]),
    ...(challenge !== '' && { challenge }),
    ...(nodeId !== '' && { nodeId }),
  }
}

function string(values: Readonly<Record<string, unknown>>, key: string): string {
  const value = values[key] ?? ''
  if (typeof value !== 'string') throw new DecodeError(`${key} of the lease is not a string`)
  // It is shown on terminals, and anybody may have written it.
  if (!/^[ -~]{0,100}$/.test(value)) throw new DecodeError(`${key} of the lease is not plain text`)
  return value
}

function address(
  values: Readonly<Record<string, unknown>>,
  key: string,
  family: Family,
): Address | undefined {
  const text = string(values, key)
  if (text === '') return undefined
  const parsed = parseAddress(text)
  if (parsed?.family !== family) {
    throw new DecodeError(`${key} of the lease is not an IPv${family} address: "${text}"`)
  }
  // flannel writes 0.0.0.0 where there is none.
  return isUnspecified(parsed) ? undefined : parsed
}

/**
 * A lease's value: flannel's fields byte for byte as Go's encoder writes them, `NodeID` after them.
 */
export function formatLeaseValue(attrs: LeaseAttrs): string {
  const { publicIP, backendData } = attrs
  return JSON.stringify({
    PublicIP: publicIP[4] ? formatAddress(publicIP[4]) : '0.0.0.0',
    PublicIPv6: publicIP[6] ? formatAddress(publicIP[6]) : null,
    BackendType: attrs.backendType || undefined,
    BackendData: backendData[4],
    BackendV6Data: backendData[6],
    Challenge: attrs.challenge,
    NodeID: attrs.nodeId,
  })
}
