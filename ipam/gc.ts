import { parseAddress } from '../ip/address.ts'
import {
  type IpamDeps,
  type IpamPlace,
  isRemnant,
  lockExistingFolder,
  readReservations,
  sidecarPath,
} from './folder.ts'
import { openHoldings } from './holdings.ts'
import { formatOwner, type Owner } from './owner.ts'
import { freeAll, type Stale } from './release.ts'
import { unstageOthers } from './stage.ts'

/**
 * Frees the addresses of a network that none of the listed owners holds, and what killed ADDs of
 * others left. A reservation without an interface stays while any listed owner has its container
 * id; so does one whose text cannot be read. Returns how many addresses were freed.
 * @throws AggregateError as `release` does; the lock's `LockTimeout`.
 */
export function collect(place: IpamPlace, keep: readonly Owner[], deps: IpamDeps): number {
  using folder = lockExistingFolder(place, deps)
  unstageOthers(sidecarPath(place), keep)
  if (!folder) return 0
  const kept = new Set(keep.map(formatOwner))
  for (const { containerId } of keep) kept.add(containerId)
  const holdings = openHoldings(folder, deps)
  const stale: Stale[] = []
  for (const reservation of readReservations(folder)) {
    const { name: address, content } = reservation
    if (content === undefined || !parseAddress(address)) continue
    const text = content.trim()
    if (isRemnant(reservation) || !isKept(text, kept)) stale.push({ address, containerId: text })
  }
  freeAll(holdings, stale, deps)
  return stale.length
}

/** By its first line alone where some other tool wrote the second. */
function isKept(text: string, kept: ReadonlySet<string>): boolean {
  if (kept.has(text)) return true
  return !text.includes('\r\n') && kept.has(text.split(/\s/, 1)[0] ?? '')
}
