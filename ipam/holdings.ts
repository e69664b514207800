import {
  type IpamDeps,
  isRemnant,
  type LockedFolder,
  type Reservation,
  readReservation,
  readReservations,
  removeRemnant,
  removeReservation,
} from './folder.ts'
import { readBootId, readStamp, stampFolder } from './index-state.ts'
import { type Owner, type Ownership, ownership } from './owner.ts'
import { findPins, keyOf, pin, unpin } from './pins.ts'
import type { Staged } from './stage.ts'
import { synchronize } from './sync.ts'

/** What a locked folder holds, by owner. */
export interface Holdings {
  readonly folder: LockedFolder
  /** What to stamp the folder with while the pins tell all there is; undefined: it must be read. */
  stamp: number | undefined
}

/** A reservation of an owner's, by what its text names. */
export interface Holding {
  readonly address: string
  readonly ownership: Ownership
}

/** Makes sure that the pins can be believed, if there can be any. */
export function openHoldings(folder: LockedFolder, deps: IpamDeps): Holdings {
  const bootId = readBootId(deps)
  if (bootId === undefined) return { folder, stamp: undefined }
  try {
    return { folder, stamp: readStamp(folder, bootId) ?? synchronize(folder, bootId, deps) }
  } catch (error) {
    deps.log.warn('reading every reservation, since no index of them can be kept', {
      folder: folder.path,
      reason: String(error),
    })
    return { folder, stamp: undefined }
  }
}

/**
 * The reservations whose text names the owner in full, or its container id and no interface. Frees,
 * where it has to read them all, what a crash left reserved for nobody.
 */
export function findHoldings(
  { folder, stamp }: Holdings,
  owner: Owner,
  deps: IpamDeps,
): readonly Holding[] {
  const found: Holding[] = []
  const consider = (reservation: Reservation | undefined) => {
    if (reservation?.content === undefined) return
    const kind = ownership(reservation.content, owner)
    if (kind !== 'none') found.push({ address: reservation.name, ownership: kind })
  }
  if (stamp !== undefined) {
    const pinned = findPins(folder.sidecar, keyOf(owner.containerId))
    for (const address of pinned) consider(readReservation(folder, address))
    return found
  }
  for (const reservation of readReservations(folder)) {
    if (isRemnant(reservation)) removeRemnant(folder, reservation.name, deps)
    else consider(reservation)
  }
  return found
}

/** What DEL frees and CHECK looks for: a file without an interface counts when no other does. */
export function holdingsOf(holdings: Holdings, owner: Owner, deps: IpamDeps): string[] {
  const found = findHoldings(holdings, owner, deps)
  const hasExact = found.some((holding) => holding.ownership === 'exact')
  const wanted = found.filter((holding) => !hasExact || holding.ownership === 'exact')
  return wanted.map(({ address }) => address)
}

/** Frees a reservation of a container's. */
export function free({ folder, stamp }: Holdings, address: string, containerId: string): void {
  removeReservation(folder, address)
  if (stamp !== undefined) unpin(folder.sidecar, keyOf(containerId), address)
}

/** Notes what the owner of a staged file has been given: the file becomes its pin. */
export function note(
  holdings: Holdings,
  { path, text }: Staged,
  addresses: readonly string[],
  deps: IpamDeps,
): void {
  if (holdings.stamp === undefined) return
  const { sidecar } = holdings.folder
  const key = keyOf(text)
  try {
    for (let i = 0; i < addresses.length; i++) {
      const move = i === addresses.length - 1
      pin(sidecar, { path, move }, key, { address: addresses[i] ?? '', maker: 'heddle' })
    }
  } catch (error) {
    // The addresses are reserved; without the stamp the next one finds them by looking.
    holdings.stamp = undefined
    deps.log.warn('could not index a reservation', { reason: String(error) })
  }
}

/** To be called when pins and folder agree again, before the lock is freed. */
export function settle({ folder, stamp }: Holdings): void {
  if (stamp === undefined) return
  try {
    stampFolder(folder, stamp)
  } catch {
    // The next one looks through the folder then.
  }
}
