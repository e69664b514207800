import type { Netns } from '../sys/netns.ts'
import type { Call, CniDeps } from './call.ts'
import { CniError, errorCodes } from './protocol/error.ts'

/**
 * Opens the container's namespace for ADD and CHECK; the caller disposes it.
 * @throws NetnsError (sys), or CniError 8 when it is the plugin's own.
 */
export function openContainer({ invocation, deps }: Call): Netns {
  const netns = deps.openNetns(invocation.netns)
  try {
    if (!invocation.netnsOverride && isOwnNetns(netns, deps)) throw ownNetns()
    return netns
  } catch (error) {
    netns[Symbol.dispose]()
    throw error
  }
}

export function isOwnNetns(netns: Netns, deps: CniDeps): boolean {
  using own = deps.currentNetns()
  return netns.device === own.device && netns.inode === own.inode
}

export function ownNetns(): CniError {
  return new CniError(
    errorCodes.invalidNetns,
    "plugin's netns and netns from CNI_NETNS should not be the same",
  )
}

/** Whether `openNetns` failed for there being no such namespace (any more). */
export function isNetnsError(error: unknown): error is Error & { readonly gone: boolean } {
  return error instanceof Error && error.name === 'NetnsError' && 'gone' in error
}
