/** Maps that send a host's ports to containers': their keys and values, and the rule to use them. */
import {
  type Address,
  addressBits,
  addressFromBytes,
  addressToBytes,
  type Family,
} from '../../ip/address.ts'
import type { DataType } from './data-type.ts'
import { type Expression, NFT_REG_1 } from './expression.ts'
import {
  familyNumber,
  loadAddress,
  partRegisters,
  type TransportProtocol,
  transportProtocols,
} from './match.ts'

/** A port of this host: on one address, or on every one. */
export interface HostPort {
  readonly protocol: TransportProtocol
  readonly port: number
  readonly address?: Address
}

/** Where its packets go. */
export interface Endpoint {
  readonly address: Address
  readonly port: number
}

/** Bytes of a protocol and a port in a concatenation, each padded to four. */
const PORT_KEY_LENGTH = 8

/** What such a map is of: `inet_proto . inet_service : ipv4_addr . inet_service`. */
export function portMapType(
  family: Family,
  { byAddress = false }: { byAddress?: boolean } = {},
): { key: DataType; data: DataType } {
  const address = family === 4 ? 'ipv4_addr' : 'ipv6_addr'
  const port = ['inet_proto', 'inet_service'] as const
  return { key: byAddress ? [address, ...port] : port, data: [address, 'inet_service'] }
}

/**
 * `dnat ip to meta l4proto . th dport map @MAP`, for prerouting and output: the destination becomes
 * what the map, of `portMapType`, has for the packet. With `byAddress` the key begins with the
 * packet's destination, and in an inet table `familyIs` has to come before; without, packets of
 * the other family are passed by. What is not in the map goes on to the next rule.
 */
export function dnatToMap(
  map: { name: string; family: Family },
  { byAddress = false }: { byAddress?: boolean } = {},
): Expression[] {
  const { family, name } = map
  const length = addressBits(family) / 8
  const registers = partRegisters(byAddress ? [length, 1, 2] : [1, 2])
  const [protocol = 0, port = 0] = byAddress ? registers.slice(1) : registers
  const [addressMinReg = 0, portMinReg = 0] = partRegisters([length, 2])
  return [
    ...(byAddress ? [loadAddress('destination', family, length)] : []),
    { name: 'meta', attrs: { key: 'l4proto', dreg: protocol } },
    { name: 'payload', attrs: { dreg: port, base: 'transport', offset: 2, length: 2 } },
    { name: 'lookup', attrs: { set: name, sreg: NFT_REG_1, dreg: NFT_REG_1 } },
    {
      name: 'nat',
      attrs: { type: 'dnat', family: familyNumber(family), addressMinReg, portMinReg },
    },
  ]
}

/** The key for a port, as it lies in the registers. */
export function portKey({ protocol, port, address }: HostPort): Uint8Array {
  const start = address ? (address.family === 4 ? 4 : 16) : 0
  const key = new Uint8Array(start + PORT_KEY_LENGTH)
  if (address) key.set(addressToBytes(address))
  key[start] = transportProtocols[protocol]
  setPort(key, start + 4, port)
  return key
}

/** Undoes `portKey`; undefined for bytes it did not make. */
export function readPortKey(key: Uint8Array): HostPort | undefined {
  const start = key.length - PORT_KEY_LENGTH
  if (start < 0) return undefined
  const protocol = protocolName(key[start])
  const address = addressFromBytes(key.subarray(0, start))
  if (!protocol || (start > 0 && !address)) return undefined
  return { protocol, port: getPort(key, start + 4), ...(address && { address }) }
}

/** The value for where the packets go. */
export function endpointData({ address, port }: Endpoint): Uint8Array {
  const bytes = addressToBytes(address)
  const data = new Uint8Array(bytes.length + 4)
  data.set(bytes)
  setPort(data, bytes.length, port)
  return data
}

function protocolName(number: number | undefined): TransportProtocol | undefined {
  for (const name in transportProtocols) {
    if (transportProtocols[name as TransportProtocol] === number) return name as TransportProtocol
  }
  return undefined
}

function setPort(bytes: Uint8Array, at: number, port: number): void {
  if (port < 0 || port > 0xffff) throw new RangeError(`${port} is not a port`)
  bytes[at] = port >> 8
  bytes[at + 1] = port & 0xff
}

function getPort(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
}
