import type { Address, Family } from '../../ip/address.ts'

/** AF_*, linux/socket.h. */
const AF_INET = 2
export const AF_BRIDGE = 7
export const AF_INET6 = 10

export function afOf(family: Family): number {
  return family === 4 ? AF_INET : AF_INET6
}

/** Undefined for a family that is not IP. */
export function familyOf(af: number): Family | undefined {
  return af === AF_INET ? 4 : af === AF_INET6 ? 6 : undefined
}

/** The all-zero address of a family: what a route to everywhere goes to. */
export function unspecified(family: Family): Address {
  return { family, value: 0n }
}
