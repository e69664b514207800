import { formatLeaseKey, type LeaseAttrs } from '../../conf/lease.ts'
import { type Pool, poolHas } from '../../conf/network-config.ts'
import { sameAddress } from '../../ip/address.ts'
import { type ByFamily, byFamily, families, familiesOf, valuesOf } from '../../ip/by-family.ts'
import { formatPrefix, type Prefix, prefixesOverlap } from '../../ip/prefix.ts'
import type { Logger } from '../../log/logger.ts'
import { sleep } from '../alarm.ts'
import type { Clock } from '../host/clock.ts'
import { newChallenge } from './challenge.ts'
import { describeHolder, describeSubnets, type Lease, subnetsOverlap } from './lease.ts'
import type { LeaseList, LeaseStore } from './lease-store.ts'
import { pickSubnet } from './pick-subnet.ts'

/** What a node asks for, and by which signs it knows its own lease. */
export interface Claim {
  readonly pools: ByFamily<Pool>
  /** What the lease is to say; it names the node. */
  readonly attrs: LeaseAttrs & { readonly nodeId: string }
  /** Subnets this host worked with before, the likeliest first. */
  readonly previous: readonly ByFamily<Prefix>[]
}

export interface AcquireTools {
  readonly leases: LeaseStore
  readonly clock: Clock
  readonly log: Logger
  readonly signal: AbortSignal
  /** From when on a subnet may be taken that was not this host's before; ms on the boot clock. */
  readonly mayTakeFrom: () => number
  /** The lease as this very process wrote it last: nobody need be asked whose that is. */
  readonly held: Lease | undefined
}

/** A lease in hand. `sentAt`: when the request that renewed it was sent, ms on the boot clock. */
export interface Acquired {
  readonly lease: Lease
  readonly sentAt: number
  /** It was not this node's before. */
  readonly isNew: boolean
}

/** All subnets of the pool are taken; flannel's words. */
export class OutOfSubnetsError extends Error {
  override readonly name = 'OutOfSubnetsError'
}

/** A daemon on another host lives under this host's node id. */
export class NodeIdInUseError extends Error {
  override readonly name = 'NodeIdInUseError'
}

/** Others were quicker, every time. */
export class LostRaceError extends Error {
  override readonly name = 'LostRaceError'
}

const ATTEMPTS = 20
/**
 * How long a daemon with our node id has to show that it lives: it may have to wait for its next try
 * to reach the store, and then for the store.
 */
const ANSWER_MS = 15_000
const ANSWER_POLL_MS = 250

/** Whether a lease is this node's: by node id, or where it has none, by public address. */
export function isMine(lease: Lease, { nodeId, publicIP }: LeaseAttrs): boolean {
  if (lease.attrs.nodeId !== undefined) return lease.attrs.nodeId === nodeId
  const family = families.find((one) => publicIP[one] !== undefined)
  const [ours, theirs] = family ? [publicIP[family], lease.attrs.publicIP[family]] : []
  return ours !== undefined && theirs !== undefined && sameAddress(ours, theirs)
}

/**
 * Gets this node a lease: its own one again, else its previous subnets if they are free, else free
 * ones. `first` is a fresh list to begin with. All writes are conditional; a lost race is tried
 * again from a new list.
 * @throws OutOfSubnetsError, NodeIdInUseError, LostRaceError, StoreError
 */
export async function acquireLease(
  claim: Claim,
  first: LeaseList,
  tools: AcquireTools,
): Promise<Acquired> {
  let list = first
  for (let attempt = 1; attempt <= ATTEMPTS && !tools.signal.aborted; attempt++) {
    const acquired = await tryOnce(claim, list, tools)
    if (acquired) return acquired
    // Nodes that met here come back at different moments.
    await sleep(Math.random() * 50 * attempt, tools.signal)
    list = await tools.leases.list()
  }
  throw new LostRaceError(`failed to acquire lease: lost the race ${ATTEMPTS} times`)
}

/** One attempt; undefined when somebody was quicker. */
async function tryOnce(
  claim: Claim,
  list: LeaseList,
  tools: AcquireTools,
): Promise<Acquired | undefined> {
  const { log } = tools
  const mine = list.leases
    .filter((lease) => isMine(lease, claim.attrs))
    .toSorted((a, b) => rank(a) - rank(b))
  const current = mine.find((lease) => fitsPools(lease.subnets, claim.pools)) ?? mine[0]
  if (current && !(await challenge(current, claim, tools))) return undefined
  if (current && !isProven(current, list, claim, tools)) {
    log.warn('another node has this subnet too: given back', { lease: current.key })
    await remove(current, tools.leases)
    return undefined
  }
  if (current && fitsPools(current.subnets, claim.pools)) {
    const renewed = await renew(claim, current, tools)
    if (renewed) await giveBack(ofNode(mine, claim), renewed.lease, tools)
    return renewed
  }
  const taken = [
    ...list.leases.filter((lease) => !mine.includes(lease)).map(({ subnets }) => subnets),
    ...list.unreadable.map(({ subnets }) => subnets),
  ].flatMap(valuesOf)
  const subnets = await choose(claim, current, taken, tools)
  const acquired = subnets && (await takeSubnets(claim.attrs, subnets, list, tools))
  if (!acquired) return undefined
  // What has only the address in common is taken instead, and only then this node's to give back.
  const isGone = await giveBack(mine, acquired.lease, tools)
  return isGone ? sayAgain(acquired, claim, tools) : acquired
}

/**
 * Whether this host may go on with its lease. A try before, of this process or of one that was
 * killed, may have written it without a look who else has its subnets.
 */
function isProven(
  { key, subnets, reserved, attrs }: Lease,
  list: LeaseList,
  claim: Claim,
  { leases, held }: AcquireTools,
): boolean {
  const isWorkedWith =
    key === held?.key || claim.previous.some((one) => formatLeaseKey(one) === key)
  if (isWorkedWith && !leases.unproven.has(key)) return true
  if (reserved || attrs.nodeId !== claim.attrs.nodeId) return true
  if (findRival(list.leases, subnets, claim.attrs)) return false
  leases.unproven.delete(key)
  return true
}

/** Another node's lease that has part of these subnets. */
export function findRival(
  leases: readonly Lease[],
  subnets: ByFamily<Prefix>,
  attrs: LeaseAttrs,
): Lease | undefined {
  return leases.find((one) => !isMine(one, attrs) && subnetsOverlap(one.subnets, subnets))
}

/** Those that carry the node's id; one with its address alone may be another's behind the same NAT. */
function ofNode(leases: readonly Lease[], { attrs: { nodeId } }: Claim): Lease[] {
  return leases.filter(({ attrs }) => attrs.nodeId === nodeId)
}

/** What an operator has reserved for the node comes first, then what has its id. */
function rank({ reserved, attrs }: Lease): number {
  return (reserved ? 0 : 2) + (attrs.nodeId === undefined ? 1 : 0)
}

/** Whether a node may keep exactly these subnets under the configuration. */
export function fitsPools(subnets: ByFamily<Prefix>, pools: ByFamily<Pool>): boolean {
  return families.every((family) => {
    const [subnet, pool] = [subnets[family], pools[family]]
    return pool ? subnet !== undefined && poolHas(pool, subnet) : subnet === undefined
  })
}

/** For each family what the node has, else had, else a free one. Undefined: not at this moment. */
async function choose(
  { pools, previous, attrs }: Claim,
  current: Lease | undefined,
  taken: readonly Prefix[],
  { clock, mayTakeFrom, signal, log }: AcquireTools,
): Promise<ByFamily<Prefix> | undefined> {
  const keep = byFamily((family) => {
    const pool = pools[family]
    const candidates = [current?.subnets[family], ...previous.map((subnets) => subnets[family])]
    return candidates.find(
      (subnet) =>
        subnet &&
        pool &&
        poolHas(pool, subnet) &&
        !taken.some((one) => prefixesOverlap(one, subnet)),
    )
  })
  const missing = familiesOf(pools).filter((family) => keep[family] === undefined)
  const wait = mayTakeFrom() - clock().boot
  if (missing.length > 0 && wait > 0) {
    log.warn('the store lost data: no new subnet yet, so that owners can put theirs back', {
      seconds: Math.ceil(wait / 1000),
    })
    await sleep(wait, signal)
    return undefined
  }
  return byFamily((family) => keep[family] ?? pick(pools[family], taken, attrs.nodeId))
}

function pick(pool: Pool | undefined, taken: readonly Prefix[], seed: string): Prefix | undefined {
  const subnet = pool && pickSubnet(pool, taken, seed)
  if (!pool || subnet) return subnet
  throw new OutOfSubnetsError(
    `out of subnets: every /${pool.subnetLen} of ${formatPrefix(pool.network)} that may be taken is taken`,
  )
}

async function renew(
  claim: Claim,
  { key }: Lease,
  { leases, clock }: AcquireTools,
): Promise<Acquired | undefined> {
  const sentAt = clock().boot
  // Read again: a challenge, or anybody, may have written it since it was listed.
  const now = await leases.get(key)
  const lease = now && isMine(now, claim.attrs) && (await leases.put(now, claim.attrs))
  return lease ? { lease, sentAt, isNew: false } : undefined
}

/**
 * Takes subnets that are free in `list`. The store refuses only the very same key, and two nodes that choose one IPv4
 * subnet may differ in IPv6: so we look once more, and give way to whoever is there too. The other
 * one either looked before we wrote, and holds it, or sees us as well and gives way. Undefined:
 * somebody was quicker.
 * @throws StoreError
 */
export async function takeSubnets(
  attrs: LeaseAttrs,
  subnets: ByFamily<Prefix>,
  list: LeaseList,
  { leases, clock, log }: Pick<AcquireTools, 'leases' | 'clock' | 'log'>,
): Promise<Acquired | undefined> {
  const sentAt = clock().boot
  const key = formatLeaseKey(subnets)
  leases.unproven.add(key)
  const lease = await leases.create(subnets, attrs)
  if (!lease) return undefined
  const rival = findRival(await leases.listUpTo(lease, list), subnets, attrs)
  if (!rival) {
    leases.unproven.delete(key)
    return { lease, sentAt, isNew: true }
  }
  const who = describeHolder(rival.attrs)
  log.warn('another node took the same subnet', { subnet: describeSubnets(subnets), node: who })
  await leases.delete(lease)
  return undefined
}

/**
 * Gives back those of a node's leases that are not the one it holds; reservations stay. Whether
 * one of them had a subnet of the one that stays.
 */
export async function giveBack(
  mine: readonly Lease[],
  held: Lease,
  { leases, log }: Pick<AcquireTools, 'leases' | 'log'>,
): Promise<boolean> {
  let isShared = false
  for (const old of mine) {
    if (old.key === held.key || old.reserved || !(await remove(old, leases))) continue
    log.info('old lease given back', { subnet: describeSubnets(old.subnets) })
    isShared ||= subnetsOverlap(old.subnets, held.subnets)
  }
  return isShared
}

/** Deletes a lease, also when its holder was asked something meanwhile. */
async function remove(lease: Lease, leases: LeaseStore): Promise<boolean> {
  if (await leases.delete(lease)) return true
  const now = await leases.get(lease.key)
  return now?.attrs.nodeId !== undefined && now.attrs.nodeId === lease.attrs.nodeId
    ? leases.delete(now)
    : false
}

/**
 * Writes a new lease once more after the old one with the same IPv4 subnet went: flanneld takes the
 * end of the old for the end of that subnet.
 */
async function sayAgain(
  acquired: Acquired,
  { attrs }: Claim,
  { leases, clock }: AcquireTools,
): Promise<Acquired> {
  const sentAt = clock().boot
  const lease = await leases.put(acquired.lease, attrs)
  return lease ? { ...acquired, lease, sentAt } : acquired
}

/**
 * A lease with our node id and another public address is ours after the host has moved, or another
 * host's that was copied from this one. We ask by writing a question into it, its data untouched: a
 * living holder takes it out again. False when it has gone meanwhile.
 * @throws NodeIdInUseError
 */
async function challenge(lease: Lease, claim: Claim, tools: AcquireTools): Promise<boolean> {
  const { leases, clock, signal, log, held } = tools
  const isKnown = lease.key === held?.key && lease.revision === held.revision
  if (isKnown || lease.attrs.nodeId === undefined) return true
  // A bare reservation names no address, and nobody lives there.
  if (samePublicIP(lease.attrs, claim.attrs) || lease.attrs.backendType === '') return true
  const holder = describeHolder(lease.attrs)
  log.info('this node’s lease has another public address: asking whether anybody lives there', {
    lease: lease.key,
    holder,
  })
  const asked = await leases.put(lease, { ...lease.attrs, challenge: newChallenge() })
  if (!asked) return false
  const until = clock().boot + ANSWER_MS
  while (clock().boot < until && !signal.aborted) {
    await sleep(ANSWER_POLL_MS, signal)
    const now = await leases.get(lease.key)
    if (!now) return false
    if (now.revision === asked.revision) continue
    const message = `another daemon lives under this host’s node id: ${holder}, subnet ${describeSubnets(lease.subnets)}. If this host is a copy of that one, remove its node-id file`
    throw new NodeIdInUseError(message)
  }
  return !signal.aborted
}

/**
 * Whether both name the same host: no family in which they differ, and one in which they do not. A
 * host that gets or loses its second family stays the same.
 */
export function samePublicIP(a: LeaseAttrs, b: LeaseAttrs): boolean {
  const both = families.flatMap((family) => {
    const [one, other] = [a.publicIP[family], b.publicIP[family]]
    return one && other ? [sameAddress(one, other)] : []
  })
  const isNameless = valuesOf(a.publicIP).length + valuesOf(b.publicIP).length === 0
  return both.length > 0 ? both.every((same) => same) : isNameless
}
