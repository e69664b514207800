import { ReservationMissing } from './errors.ts'
import {
  folderPath,
  type IpamDeps,
  type IpamPlace,
  lockExistingFolder,
  readReservations,
} from './folder.ts'
import type { Owner } from './owner.ts'
import { reservationsOf } from './release.ts'

/** Makes sure that an owner still holds an address. @throws ReservationMissing when it does not. */
export function check(place: IpamPlace, owner: Owner, deps: IpamDeps): void {
  using folder = lockExistingFolder(place, deps)
  if (folder && reservationsOf(owner, readReservations(folder)).length > 0) return
  throw new ReservationMissing(owner.containerId, owner.ifname, folderPath(place))
}
