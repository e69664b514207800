import { type IpamDeps, type IpamPlace, lockExistingFolder, sidecarPath } from './folder.ts'
import { noteFreed } from './freed.ts'
import { free, type Holdings, holdingsOf, openHoldings, settle } from './holdings.ts'
import type { Owner } from './owner.ts'
import { unstageAll } from './stage.ts'

/**
 * Frees everything an owner holds in a network, whatever the configured ranges. Nothing to free is
 * success, and makes no folder.
 * @throws AggregateError when some of it could not be freed, after all has been tried; the lock's
 * `LockTimeout`.
 */
export function release(place: IpamPlace, owner: Owner, deps: IpamDeps): void {
  using folder = lockExistingFolder(place, deps)
  if (!folder) return unstageAll(sidecarPath(place), owner)
  const holdings = openHoldings(folder, deps)
  const held = holdingsOf(holdings, owner, deps)
  const stale = held.map((address) => ({ address, containerId: owner.containerId }))
  freeAll(holdings, stale, deps)
  unstageAll(folder.sidecar, owner)
}

/** A reservation to be freed, and the container that its text names. */
export interface Stale {
  readonly address: string
  readonly containerId: string
}

/** Frees reservations. @throws AggregateError as `release` does. */
export function freeAll(holdings: Holdings, stale: readonly Stale[], { log }: IpamDeps): void {
  if (stale.length === 0) return
  const errors: unknown[] = []
  const freed: string[] = []
  for (const { address, containerId } of stale) {
    try {
      free(holdings, address, containerId)
      freed.push(address)
    } catch (error) {
      errors.push(error)
    }
  }
  try {
    noteFreed(holdings.folder, freed)
  } catch (error) {
    // Freed they are; the next one may get them at once.
    log.warn('could not note what was freed', { reason: String(error) })
  }
  if (errors.length > 0) throw new AggregateError(errors, 'cannot release every address')
  settle(holdings)
}
