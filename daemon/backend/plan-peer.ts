import { formatAddress, isHostAddress, isLinkLocal, sameAddress } from '../../ip/address.ts'
import { type ByFamily, byFamily, valuesOf } from '../../ip/by-family.ts'
import {
  formatPrefix,
  type Prefix,
  prefixContains,
  prefixCovers,
  prefixesOverlap,
} from '../../ip/prefix.ts'
import type { Lease } from '../lease/lease.ts'
import type { Backend, CommandBackend, FindPath, Target, Uplink } from './backend.ts'
import type { PeerCommands } from './command.ts'
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
  /** `commands`: commands see to it. `none`: nothing is to be done. */
  readonly state: 'tunnel' | 'direct' | 'commands' | 'none' | 'skipped'
  readonly entries: readonly Entry[]
  readonly commands?: PeerCommands
  /** Why the peer, or one family of it, is not reached. */
  readonly problem?: string
}

/**
 * Plans for one peer, family by family: a fault in one does not take the other with it. Whoever can
 * write to the store has written this lease, so nothing outside the cluster's network is believed.
 */
export function planPeer(lease: Lease, ours: Ours, findPath: FindPath): PeerPlan {
  const { backend } = ours
  if (lease.attrs.backendType !== backend.leaseType) {
    const theirs = lease.attrs.backendType || 'no'
    return skip(`its backend is ${theirs}, ours is ${backend.type}`)
  }
  const problems: string[] = []
  // A family that this host does not have is none of its business.
  const targets = byFamily((family): Target | undefined => {
    const subnet = ours.subnets[family] && lease.subnets[family]
    if (!subnet) return undefined
    const publicIP = lease.attrs.publicIP[family]
    const fault = checkSubnet(subnet, ours) ?? checkAddress(publicIP, ours)
    if (fault !== undefined || !publicIP) {
      problems.push(fault ?? `it has no public IPv${family} address`)
      return undefined
    }
    return { subnet, publicIP, data: lease.attrs.backendData[family] }
  })
  if (valuesOf(targets).length === 0 && problems.length === 0) {
    problems.push('it has no subnet of our family')
  }
  return backend.commands
    ? planCommands(backend.commands, targets, problems)
    : planEntries(backend, targets, problems, findPath)
}

function planEntries(
  backend: Backend,
  targets: ByFamily<Target>,
  faults: readonly string[],
  findPath: FindPath,
): PeerPlan {
  const problems = [...faults]
  const entries: Entry[] = []
  let state: PeerPlan['state'] = 'skipped'
  for (const target of valuesOf(targets)) {
    const plan = backend.peer(target, findPath)
    if (plan.state === 'skipped') problems.push(plan.problem)
    else {
      entries.push(...plan.entries)
      state = state === 'tunnel' ? state : plan.state
    }
  }
  return { state, entries, ...problemOf(problems) }
}

/** One run for a peer, whatever families it has. */
function planCommands(
  backend: CommandBackend,
  targets: ByFamily<Target>,
  faults: readonly string[],
): PeerPlan {
  if (valuesOf(targets).length === 0) return { state: 'skipped', entries: [], ...problemOf(faults) }
  const commands = backend.peer(targets)
  if ('problem' in commands) {
    return { state: 'skipped', entries: [], ...problemOf([...faults, commands.problem]) }
  }
  return { state: 'commands', entries: [], commands, ...problemOf(faults) }
}

function problemOf(problems: readonly string[]): { problem?: string } {
  return problems.length > 0 ? { problem: problems.join('; ') } : {}
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
  const { family } = address
  const uplink = ours.uplinks[family]
  const network = ours.networks[family]
  const text = formatAddress(address)
  const isElsewhere = family === 6 && isLinkLocal(address) && uplink && !isLinkLocal(uplink.address)
  if (!isHostAddress(address) || isElsewhere) return `${text} cannot be a host’s address`
  if (uplink && (sameAddress(address, uplink.publicIP) || sameAddress(address, uplink.address))) {
    return `its public address ${text} is this host’s own`
  }
  // The packets for it would go into the very tunnel that is to carry them, unless hosts live there.
  const isInside = network && prefixContains(network, address)
  return isInside && uplink && !prefixContains(network, uplink.address)
    ? `its public address ${text} is inside the cluster’s network ${formatPrefix(network)}`
    : undefined
}
