import type {
  LeasesAnswer,
  ReleaseAnswer,
  ReleaseRequest,
  ReserveAnswer,
  ReserveRequest,
  StoredLease,
} from '../../conf/admin.ts'
import { DecodeError } from '../../conf/errors.ts'
import {
  formatLeaseKey,
  formatLeaseValue,
  type LeaseAttrs,
  parseLeaseKey,
} from '../../conf/lease.ts'
import { formatAddress, isUnspecified, parseAddress, sameAddress } from '../../ip/address.ts'
import { type ByFamily, byFamily, familiesOf, valuesOf } from '../../ip/by-family.ts'
import {
  firstAddress,
  formatPrefix,
  type Prefix,
  parsePrefix,
  samePrefix,
} from '../../ip/prefix.ts'
import { fitsPools } from '../lease/acquire.ts'
import {
  describeHolder,
  describeSubnets,
  type Lease,
  readLease,
  subnetsOverlap,
} from '../lease/lease.ts'
import { RequestError } from '../status/http-server.ts'
import type { AdminTools } from './admin.ts'
import { storedConfig } from './admin-config.ts'

/** Every lease in the store, this host's and those whose values nobody can read too. */
export async function listLeases({ leases, manager }: AdminTools): Promise<LeasesAnswer> {
  const list = await leases.list()
  const own = manager.current?.lease.key
  const readable = list.leases.map((lease) => told(lease, lease.key === own))
  const unreadable = list.unreadable.map(({ key, subnets }) => ({
    key,
    subnets: valuesOf(subnets).map(formatPrefix),
    publicIPs: [],
    backend: '',
    reserved: false,
    own: false,
    unreadable: true as const,
  }))
  return { leases: [...readable, ...unreadable] }
}

function told({ key, subnets, attrs, reserved, expiresAt }: Lease, own: boolean): StoredLease {
  return {
    key,
    subnets: valuesOf(subnets).map(formatPrefix),
    publicIPs: valuesOf(attrs.publicIP).map(formatAddress),
    backend: attrs.backendType,
    ...(attrs.nodeId !== undefined && { nodeId: attrs.nodeId }),
    reserved,
    own,
    ...(expiresAt !== undefined && { expires: new Date(expiresAt).toISOString() }),
  }
}

/**
 * Gives back a lease: the daemon's own, after which it ends, or deletes another's. A host that lives
 * writes its lease again.
 * @throws RequestError, StoreError
 */
export async function release(tools: AdminTools, asked: ReleaseRequest): Promise<ReleaseAnswer> {
  const { store, storePrefix, manager, log } = tools
  const current = manager.current?.lease
  const key = asked.subnet === undefined ? current?.key : await keyOf(tools, asked.subnet)
  if (key === undefined) throw new RequestError(409, 'this daemon has no lease')
  if (current && key === current.key) {
    log.warn('lease is released on request', { lease: key })
    if (!(await manager.release())) {
      throw new RequestError(409, `the lease ${key} changed meanwhile: look at it again`)
    }
    return { ...released(current), own: true }
  }
  const path = `${storePrefix}/subnets/${key}`
  const entry = await store.get(path)
  if (!entry) throw new RequestError(404, `there is no lease ${key}; heddlectl lease ls lists them`)
  if (!(await store.delete(path, entry.revision))) {
    throw new RequestError(409, `the lease ${key} changed meanwhile: look at it again`)
  }
  const lease = readIfPossible(() => readLease(entry, `${storePrefix}/subnets/`))
  const answer = lease
    ? released(lease)
    : { subnets: [key], holder: 'nobody that can be read', reserved: !entry.leased }
  log.warn('lease of another host deleted on request', { lease: key, holder: answer.holder })
  return { ...answer, own: false }
}

/** The key of the lease that has these subnets, which may be one family's alone. */
async function keyOf({ leases }: AdminTools, text: string): Promise<string> {
  const subnets = readSubnets(text)
  const list = await leases.list()
  const lease = [...list.leases, ...list.unreadable].find((one) =>
    familiesOf(subnets).every((family) => {
      const [theirs, wanted] = [one.subnets[family], subnets[family]]
      return theirs && wanted && samePrefix(theirs, wanted)
    }),
  )
  return lease?.key ?? formatLeaseKey(subnets)
}

function released({ subnets, attrs, reserved }: Lease): Omit<ReleaseAnswer, 'own'> {
  return { subnets: valuesOf(subnets).map(formatPrefix), holder: describeHolder(attrs), reserved }
}

/**
 * Reserves a subnet: a lease without an end, for one host or for none. A lease which that host has
 * now becomes the reservation.
 * @throws RequestError, ConfigError, DecodeError, StoreError
 */
export async function reserve(tools: AdminTools, asked: ReserveRequest): Promise<ReserveAnswer> {
  const { log } = tools
  const subnets = readSubnets(asked.subnet)
  const attrs = readHolder(asked)
  const { pools } = await storedConfig(tools)
  if (!fitsPools(subnets, pools)) {
    const words = valuesOf(pools).map(
      ({ network, subnetLen, min, max }) =>
        `a /${subnetLen} of ${formatPrefix(network)} from ${formatAddress(min)} to ${formatAddress(max)}`,
    )
    throw new RequestError(422, `${asked.subnet} is not ${words.join(' and ')}`)
  }
  await refuseRivals(tools, subnets)
  const key = formatLeaseKey(subnets)
  const answer =
    (await reserveFree(tools, subnets, attrs)) ?? (await reserveHeld(tools, key, attrs))
  log.info('subnet reserved on request', { lease: key, holder: answer.holder })
  return { ...answer, subnets: valuesOf(subnets).map(formatPrefix) }
}

/** Throws RequestError if other leases have part of these subnets. */
async function refuseRivals({ leases }: AdminTools, subnets: ByFamily<Prefix>): Promise<void> {
  const key = formatLeaseKey(subnets)
  const list = await leases.list()
  const rival = [...list.leases, ...list.unreadable].find(
    (one) => one.key !== key && subnetsOverlap(one.subnets, subnets),
  )
  if (rival)
    throw new RequestError(409, `${describeSubnets(subnets)} overlaps the lease ${rival.key}`)
}

/** A key nobody has; undefined if somebody has it. */
async function reserveFree(
  tools: AdminTools,
  subnets: ByFamily<Prefix>,
  attrs: LeaseAttrs,
): Promise<Omit<ReserveAnswer, 'subnets'> | undefined> {
  const { store, storePrefix } = tools
  const path = `${storePrefix}/subnets/${formatLeaseKey(subnets)}`
  const entry = await store.create(path, formatLeaseValue(attrs))
  if (!entry) return undefined
  try {
    // With two families a host may have taken one of them under another key since we looked.
    await refuseRivals(tools, subnets)
  } catch (error) {
    await store.delete(path, entry.revision)
    throw error
  }
  return { holder: describeAsked(attrs), wasHeld: false }
}

/** The lease that the same holder has, or whoever has it if nobody was named. */
async function reserveHeld(
  { store, storePrefix }: AdminTools,
  key: string,
  attrs: LeaseAttrs,
): Promise<Omit<ReserveAnswer, 'subnets'>> {
  const prefix = `${storePrefix}/subnets/`
  const entry = await store.get(prefix + key)
  const lease = entry && readIfPossible(() => readLease(entry, prefix))
  if (!entry || !lease) throw new RequestError(409, `the lease ${key} cannot be read`)
  if (!isFor(lease, attrs)) {
    throw new RequestError(409, `${key} is leased by ${describeHolder(lease.attrs)}`)
  }
  // The very same value, without an end.
  if (!(await store.put(prefix + key, entry.value, entry.revision))) {
    throw new RequestError(409, `the lease ${key} changed meanwhile: try again`)
  }
  return { holder: describeHolder(lease.attrs), wasHeld: true }
}

/** Whether whoever holds the lease is the one that was named, if one was. */
function isFor({ attrs }: Lease, asked: LeaseAttrs): boolean {
  if (asked.nodeId !== undefined && asked.nodeId !== attrs.nodeId) return false
  return familiesOf(asked.publicIP).every((family) => {
    const [theirs, wanted] = [attrs.publicIP[family], asked.publicIP[family]]
    return theirs !== undefined && wanted !== undefined && sameAddress(theirs, wanted)
  })
}

function describeAsked(attrs: LeaseAttrs): string {
  const { nodeId, publicIP } = attrs
  if (nodeId === undefined && valuesOf(publicIP).length === 0) return 'nobody'
  return valuesOf(publicIP).length === 0 ? `node ${nodeId}` : describeHolder(attrs)
}

/** Reads `10.5.34.0/24`, `10.5.34.0/24,fc00::/64`, or a key. */
function readSubnets(text: string): ByFamily<Prefix> {
  const prefixes = text.split(',').map((word) => parsePrefix(word.trim()))
  const subnets = byFamily((family) => prefixes.find((one) => one?.address.family === family))
  const key = parseLeaseKey(text)
  if (key) return key
  if (valuesOf(subnets).length !== prefixes.length) {
    throw new RequestError(
      400,
      `"${text}" is no subnet: 10.5.34.0/24, or 10.5.34.0/24,fc00:0:0:5::/64 for both families`,
    )
  }
  for (const subnet of valuesOf(subnets)) {
    if (firstAddress(subnet).value === subnet.address.value) continue
    const meant = formatPrefix({ address: firstAddress(subnet), length: subnet.length })
    throw new RequestError(400, `${formatPrefix(subnet)} has host bits set: ${meant} is the subnet`)
  }
  return subnets
}

function readHolder({ publicIPs = [], nodeId }: ReserveRequest): LeaseAttrs {
  const addresses = publicIPs.map((text) => {
    const address = parseAddress(text)
    if (address && !isUnspecified(address)) return address
    throw new RequestError(400, `"${text}" is no public IP address`)
  })
  const publicIP = byFamily((family) => addresses.find((one) => one.family === family))
  if (valuesOf(publicIP).length !== addresses.length) {
    throw new RequestError(400, 'one public IP address for each family')
  }
  // As a lease's reader wants it.
  if (nodeId !== undefined && !/^[!-~]{1,100}$/.test(nodeId)) {
    throw new RequestError(400, `"${nodeId}" is no node id; heddlectl status shows a host’s`)
  }
  return { publicIP, backendType: '', backendData: {}, ...(nodeId !== undefined && { nodeId }) }
}

/** Undefined for a value that nobody can read. */
function readIfPossible(read: () => Lease): Lease | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof DecodeError) return undefined
    throw error
  }
}
