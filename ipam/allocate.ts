import { existsSync, readdirSync } from '#fs'
import type { Dns, IpConfig, Route } from '../cni/protocol/result.ts'
import { type Address, formatAddress, parseAddress } from '../ip/address.ts'
import { formatPrefix } from '../ip/prefix.ts'
import { AddressTaken, DuplicateAllocation, PoolExhausted } from './errors.ts'
import {
  type IpamDeps,
  type LockedFolder,
  lockFolder,
  readLastReserved,
  removeReservation,
  writeLastReserved,
} from './folder.ts'
import { readResting } from './freed.ts'
import {
  findHoldings,
  type Holding,
  type Holdings,
  note,
  openHoldings,
  settle,
} from './holdings.ts'
import type { Owner } from './owner.ts'
import type { IpamPlan, SetPlan } from './plan.ts'
import { formatRangeSet, rangeFor } from './ranges.ts'
import { readResolvConf } from './resolv-conf.ts'
import { type Candidate, search } from './search.ts'
import { type Staged, stage, take, unstage } from './stage.ts'

/** The part of an ADD's result that IPAM answers; `ips` in the order of the range sets. */
export interface Allocation {
  readonly ips: readonly IpConfig[]
  readonly routes: readonly Route[]
  readonly dns?: Dns
}

/**
 * Reserves one address of every range set for an owner, all or none.
 * @throws PoolExhausted, AddressTaken, DuplicateAllocation; the lock's `LockTimeout`; node:fs errors.
 */
export function allocate(plan: IpamPlan, owner: Owner, deps: IpamDeps): Allocation {
  const dns = plan.resolvConf === undefined ? undefined : readResolvConf(plan.resolvConf)
  const claimed = reserveAll(plan, owner, deps)
  return { ips: claimed.map(ipConfig), routes: plan.routes, ...(dns && { dns }) }
}

function reserveAll(plan: IpamPlan, owner: Owner, deps: IpamDeps): readonly Candidate[] {
  const staged = stage(plan, owner)
  try {
    using folder = lockFolder(plan, deps)
    // Before the lock is free: by then a staged file with an address is taken for a killed ADD's.
    using _ = { [Symbol.dispose]: () => unstage(staged) }
    const holdings = openHoldings(folder, deps)
    const own = addressesOf(findHoldings(holdings, owner, deps))
    const claimed = claimAll(plan.sets, { holdings, staged, owner, own })
    note(holdings, staged, namesOf(claimed), deps)
    settle(holdings)
    return claimed
  } finally {
    unstage(staged)
  }
}

function addressesOf(held: readonly Holding[]): Address[] {
  const own: Address[] = []
  for (const { address } of held) {
    const parsed = parseAddress(address)
    if (parsed) own.push(parsed)
  }
  return own
}

function namesOf(claimed: readonly Candidate[]): string[] {
  return claimed.map(({ address }) => formatAddress(address))
}

/** What one ADD needs to reserve an address. */
interface Claim {
  readonly holdings: Holdings
  readonly staged: Staged
  readonly owner: Owner
  /** The owner's addresses. */
  readonly own: readonly Address[]
}

function claimAll(sets: readonly SetPlan[], claim: Claim): readonly Candidate[] {
  const { holdings } = claim
  const claimed: Candidate[] = []
  try {
    for (const set of sets) claimed.push(claimOne(set, claim))
    claimed.forEach(({ address }, index) => writeLastReserved(holdings.folder, index, address))
  } catch (error) {
    for (const name of namesOf(claimed)) removeReservation(holdings.folder, name)
    settle(holdings)
    throw error
  }
  return claimed
}

/** Reserves one address of one set. */
function claimOne(set: SetPlan, claim: Claim): Candidate {
  const { folder } = claim.holdings
  const { requested } = set
  const name = requested && formatAddress(requested.address)
  if (name !== undefined && existsSync(`${folder.path}/${name}`)) throw noneFree(set, folder)
  refuseDuplicate(set, claim)
  if (name === undefined) {
    const found = claimFree(set, claim)
    if (found) return found
  } else if (requested && take(folder, claim.staged, name)) {
    return requested
  }
  throw noneFree(set, folder)
}

/** So many addresses are found taken one by one before the names of all are read. */
const patience = 32

/** Reserves the next free address; one that was freed just now only when there is no other. */
function claimFree({ index, ranges }: SetPlan, { holdings, staged }: Claim): Candidate | undefined {
  const { folder } = holdings
  const last = readLastReserved(folder, index)
  const isResting = readResting(folder)
  let taken: ReadonlySet<string> | undefined
  let misses = 0
  let passedOver = false
  const attempt = (address: Address, mayRest: boolean): boolean => {
    const name = formatAddress(address)
    if (taken?.has(name)) return false
    if (!mayRest && isResting(name)) {
      passedOver = true
      return false
    }
    if (take(folder, staged, name)) return true
    if (++misses === patience) taken = new Set(readdirSync(folder.path))
    return false
  }
  const found = search(ranges, last, (address) => attempt(address, false))
  if (found || !passedOver) return found
  return search(ranges, last, (address) => attempt(address, true))
}

function noneFree({ index, ranges, requested }: SetPlan, folder: LockedFolder): Error {
  const text = formatRangeSet(ranges)
  return requested
    ? new AddressTaken(index, formatAddress(requested.address), text, folder.path)
    : new PoolExhausted(index, text, folder.path)
}

/**
 * Refuses a second address of one set for one owner, requested or not. Upstream lets a requested
 * one pass; but a reservation is released by its owner, so that undoing the second ADD would take
 * the first one's address away.
 */
function refuseDuplicate({ index, ranges }: SetPlan, { own, owner }: Claim): void {
  for (const address of own) {
    if (!rangeFor(ranges, address)) continue
    throw new DuplicateAllocation(index, formatAddress(address), owner.containerId)
  }
}

function ipConfig({ address, range }: Candidate): IpConfig {
  return {
    address: formatPrefix({ address, length: range.subnet.length }),
    gateway: formatAddress(range.gateway),
  }
}
