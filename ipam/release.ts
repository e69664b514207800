import {
  type IpamDeps,
  type IpamPlace,
  lockExistingFolder,
  type Reservation,
  readReservations,
  removeReservation,
  unstage,
} from './folder.ts'
import { type Owner, type Ownership, ownership } from './owner.ts'

/**
 * Frees everything an owner holds in a network, whatever the configured ranges. Nothing to free is
 * success, and makes no folder.
 * @throws AggregateError when some of it could not be freed, after all has been tried; the lock's
 * `LockTimeout`.
 */
export function release(place: IpamPlace, owner: Owner, deps: IpamDeps): void {
  using folder = lockExistingFolder(place, deps)
  if (!folder) return
  unstage(folder)
  const errors: unknown[] = []
  for (const { name } of reservationsOf(owner, readReservations(folder))) {
    try {
      removeReservation(folder, name)
    } catch (error) {
      errors.push(error)
    }
  }
  if (errors.length > 0) throw new AggregateError(errors, 'cannot release every address')
}

/** The owner's reservations; files that name no interface only count when none names this one. */
export function reservationsOf(owner: Owner, held: readonly Reservation[]): Reservation[] {
  const exact = select(held, owner, 'exact')
  return exact.length > 0 ? exact : select(held, owner, 'id')
}

function select(held: readonly Reservation[], owner: Owner, kind: Ownership): Reservation[] {
  return held.filter(({ content }) => content !== undefined && ownership(content, owner) === kind)
}
