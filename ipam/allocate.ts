import type { Dns, IpConfig, Route } from '../cni/protocol/result.ts'
import { type Address, formatAddress, parseAddress } from '../ip/address.ts'
import { formatPrefix } from '../ip/prefix.ts'
import { AddressTaken, DuplicateAllocation, PoolExhausted } from './errors.ts'
import {
  type IpamDeps,
  type LockedFolder,
  lockFolder,
  readLastReserved,
  readReservations,
  removeReservation,
  reserve,
  stage,
  unstage,
  writeLastReserved,
} from './folder.ts'
import { type Owner, ownership } from './owner.ts'
import type { IpamPlan, SetPlan } from './plan.ts'
import { formatRangeSet, rangeFor } from './ranges.ts'
import { readResolvConf } from './resolv-conf.ts'
import { type Candidate, search } from './search.ts'

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
  using folder = lockFolder(plan, deps)
  const ledger = readLedger(folder, owner, deps)
  const claimed: Candidate[] = []
  try {
    stage(folder, owner)
    for (const set of plan.sets) claimed.push(claim(set, folder, ledger))
    claimed.forEach(({ address }, index) => writeLastReserved(folder, index, address))
  } catch (error) {
    for (const { address } of claimed) removeReservation(folder, formatAddress(address))
    throw error
  } finally {
    unstage(folder)
  }
  return claimed
}

/** What a folder holds as one owner sees it. */
interface Ledger {
  readonly owner: Owner
  /** The names of all reservations. */
  readonly taken: ReadonlySet<string>
  /** The owner's addresses among them. */
  readonly own: readonly Address[]
}

/** Reads the reservations, and frees the addresses whose files are empty. */
function readLedger(folder: LockedFolder, owner: Owner, { log }: IpamDeps): Ledger {
  const taken = new Set<string>()
  const own: Address[] = []
  for (const { name, content } of readReservations(folder)) {
    if (content === '' && parseAddress(name)) {
      removeReservation(folder, name)
      log.warn('freed an address that a crash left reserved for nobody', { address: name })
      continue
    }
    taken.add(name)
    if (content === undefined || ownership(content, owner) === 'none') continue
    const address = parseAddress(name)
    if (address) own.push(address)
  }
  return { owner, taken, own }
}

/** Reserves one address of one set. */
function claim(set: SetPlan, folder: LockedFolder, ledger: Ledger): Candidate {
  const { taken } = ledger
  const { index, ranges, requested } = set
  if (requested && taken.has(formatAddress(requested.address))) throw noneFree(set, folder)
  refuseDuplicate(set, ledger)
  // Reserving may still find an address taken, where somebody writes without the lock.
  const take = (address: Address) => !taken.has(formatAddress(address)) && reserve(folder, address)
  if (!requested) {
    const found = search(ranges, readLastReserved(folder, index), take)
    if (found) return found
  } else if (take(requested.address)) {
    return requested
  }
  throw noneFree(set, folder)
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
function refuseDuplicate({ index, ranges }: SetPlan, { own, owner }: Ledger): void {
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
