import { DecodeError } from '../../conf/errors.ts'
import { type LeaseAttrs, parseLeaseKey, parseLeaseValue } from '../../conf/lease.ts'
import { formatAddress } from '../../ip/address.ts'
import { type ByFamily, valuesOf } from '../../ip/by-family.ts'
import { formatPrefix, type Prefix, prefixesOverlap } from '../../ip/prefix.ts'
import type { Entry } from '../../store/store.ts'

/** A node's claim on its subnets, as the store holds it. */
export interface Lease {
  /** The last part of its key. */
  readonly key: string
  readonly subnets: ByFamily<Prefix>
  readonly attrs: LeaseAttrs
  readonly revision: number
  /** It has no time to live: an operator reserved it. */
  readonly reserved: boolean
  /** When the store says it ends, ms since the epoch; absent where the store does not tell. */
  readonly expiresAt?: number
}

/**
 * Reads an entry of the store, whose key starts with `prefix`, as a lease.
 * @throws DecodeError when the key or the value cannot be one.
 */
export function readLease(entry: Entry, prefix: string): Lease {
  const key = entry.key.slice(prefix.length)
  const subnets = parseLeaseKey(key)
  if (!subnets) throw new DecodeError(`the key "${entry.key}" names no subnet`)
  const { revision, expiresAt } = entry
  return {
    key,
    subnets,
    attrs: parseLeaseValue(entry.value),
    revision,
    reserved: !entry.leased,
    ...(expiresAt !== undefined && { expiresAt }),
  }
}

/** Whether a subnet is only kept free, with nobody at work there. */
export function isBareReservation({ reserved, attrs }: Lease): boolean {
  return reserved && attrs.backendType === ''
}

export function subnetsOverlap(a: ByFamily<Prefix>, b: ByFamily<Prefix>): boolean {
  return valuesOf(a).some((one) => valuesOf(b).some((other) => prefixesOverlap(one, other)))
}

/** `10.5.34.0/24`, or `10.5.34.0/24 and fc00:0:0:5::/64`. */
export function describeSubnets(subnets: ByFamily<Prefix>): string {
  return valuesOf(subnets).map(formatPrefix).join(' and ')
}

/** Who holds a lease, for messages: its public address, and its node id if it has one. */
export function describeHolder({ publicIP, nodeId }: LeaseAttrs): string {
  const addresses = valuesOf(publicIP).map(formatAddress).join(' and ') || 'an unknown address'
  return nodeId === undefined ? addresses : `${addresses} (node ${nodeId})`
}
