/**
 * What can go wrong once a plan is sound. A plan that is not sound is a `ConfigError`. Messages
 * start with upstream host-local's text, which callers and operators search for; `details` says
 * what to do about it. `cni/protocol/error.ts` gives each class its CNI code by name.
 */

/** Every address of a range set that may be handed out is reserved. */
export class PoolExhausted extends Error {
  override readonly name = 'PoolExhausted'
  readonly setIndex: number
  readonly ranges: string
  readonly details: string

  constructor(setIndex: number, ranges: string, folder: string) {
    super(
      `failed to allocate for range ${setIndex}: no IP addresses available in range set: ${ranges}`,
    )
    this.setIndex = setIndex
    this.ranges = ranges
    this.details = `every address is reserved in ${folder}`
  }
}

/** The address that was asked for is somebody's. */
export class AddressTaken extends Error {
  override readonly name = 'AddressTaken'
  readonly address: string
  readonly folder: string
  readonly details: string

  constructor(setIndex: number, address: string, ranges: string, folder: string) {
    super(
      `failed to allocate for range ${setIndex}: requested IP address ${address} is not available in range set ${ranges}`,
    )
    this.address = address
    this.folder = folder
    this.details = `it is reserved in ${folder}`
  }
}

/** The same container interface holds an address of the range set already. */
export class DuplicateAllocation extends Error {
  override readonly name = 'DuplicateAllocation'
  readonly address: string
  readonly containerId: string

  constructor(setIndex: number, address: string, containerId: string) {
    super(
      `failed to allocate for range ${setIndex}: ${address} has been allocated to ${containerId}, duplicate allocation is not allowed`,
    )
    this.address = address
    this.containerId = containerId
  }
}

/** CHECK found no address of this container interface. */
export class ReservationMissing extends Error {
  override readonly name = 'ReservationMissing'
  readonly containerId: string
  readonly ifname: string
  readonly details: string

  constructor(containerId: string, ifname: string, folder: string) {
    super(`host-local: Failed to find address added by container ${containerId}`)
    this.containerId = containerId
    this.ifname = ifname
    this.details = `no file in ${folder} holds the container's id and ${ifname}`
  }
}
