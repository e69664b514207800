import { ReservationMissing } from './errors.ts'
import { folderPath, type IpamDeps, type IpamPlace, lockExistingFolder } from './folder.ts'
import { holdingsOf, openHoldings } from './holdings.ts'
import type { Owner } from './owner.ts'

/** Makes sure that an owner still holds an address. @throws ReservationMissing when it does not. */
export function check(place: IpamPlace, owner: Owner, deps: IpamDeps): void {
  using folder = lockExistingFolder(place, deps)
  if (folder && holdingsOf(openHoldings(folder, deps), owner, deps).length > 0) return
  throw new ReservationMissing(owner.containerId, owner.ifname, folderPath(place))
}
