import { formatAddress, isLoopback, isMulticast, sameAddress } from '../../ip/address.ts'
import { type ByFamily, familiesOf } from '../../ip/by-family.ts'
import { formatPrefix, type Prefix, prefixCovers, prefixesOverlap } from '../../ip/prefix.ts'
import type { Lease } from '../lease.ts'
import type { Backend, FindPath, Target, Uplink } from './backend.ts'
import type { Entry } from './kernel-state.ts'

/** What a peer's lease is judged by. */
export interface Ours {
  readonly backend: Backend
  /** The cluster's networks, and this host's own subnets in them. */
  readonly networks: ByFamily<Prefix>
  readonly subnets: ByFamily<Prefix>
  readonly uplinks: ByFamily<Uplink>
}

/** What is wanted in the kernel for one peer. */
export interface PeerPlan {
  readonly state: 'tunnel' | 'direct' | 'skipped'
  readonly entries: readonly Entry[]
  /** Why the peer, or one family of it, is not reached. */
  readonly problem?: string
}

/**
 * Plans for one peer, family by family: a fault in one does not take the other with it. Whoever can
 * write to the store has written this lease, so nothing outside the cluster's network is believed.
 */
export function planPeer(lease: Lease, ours: Ours, findPath: FindPath): PeerPlan {
  const { backend } = ours
  if (lease.attrs.backendType !== backend.type) {
    const theirs = lease.attrs.backendType || 'no'
    return skip(`its backend is ${theirs}, ours is ${backend.type}`)
  }
  const entries: Entry[] = []
  const problems: string[] = []
  let state: PeerPlan['state'] = 'skipped'
  // A family that this host does not have is none of its business.
  for (const family of familiesOf(ours.subnets)) {
    const subnet = lease.subnets[family]
    if (!subnet) continue
    const publicIP = lease.attrs.publicIP[family]
    const fault = checkSubnet(subnet, ours) ?? checkAddress(publicIP, ours)
    if (fault !== undefined || !publicIP) {
      problems.push(fault ?? `it has no public IPv${family} address`)
      continue
    }
    const target: Target = { subnet, publicIP, data: lease.attrs.backendData[family] }
    const plan = backend.peer(target, findPath)
    if (plan.state === 'skipped') problems.push(plan.problem)
    else {
      entries.push(...plan.entries)
      state = state === 'tunnel' ? state : plan.state
    }
  }
  if (entries.length === 0 && problems.length === 0) problems.push('it has no subnet of our family')
  return { state, entries, ...(problems.length > 0 && { problem: problems.join('; ') }) }
}

function skip(problem: string): PeerPlan {
  return { state: 'skipped', entries: [], problem }
}

function checkSubnet(subnet: Prefix, { networks, subnets }: Ours): string | undefined {
  const { family } = subnet.address
  const network = networks[family]
  const own = subnets[family]
  if (network && !prefixCovers(network, subnet)) {
    return `${formatPrefix(subnet)} is outside ${formatPrefix(network)}`
  }
  return own && prefixesOverlap(own, subnet)
    ? `${formatPrefix(subnet)} overlaps this host’s own ${formatPrefix(own)}`
    : undefined
}

function checkAddress(address: Target['publicIP'] | undefined, ours: Ours): string | undefined {
  if (!address) return undefined
  const uplink = ours.uplinks[address.family]
  const text = formatAddress(address)
  if (isMulticast(address) || isLoopback(address)) return `${text} cannot be a host’s address`
  return uplink && (sameAddress(address, uplink.publicIP) || sameAddress(address, uplink.address))
    ? `its public address ${text} is this host’s own`
    : undefined
}
