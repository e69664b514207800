import type { LinkRecord } from '../conf/attachment-record.ts'
import type { Netns } from '../sys/netns.ts'
import type { Call, CniDeps } from './call.ts'
import { ownNetns } from './protocol/error.ts'

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
  return isSameNetns(netns, own)
}

/** Whether `openNetns` failed for there being no such namespace (any more). */
export function isNetnsError(error: unknown): error is Error & { readonly gone: boolean } {
  return error instanceof Error && error.name === 'NetnsError' && 'gone' in error
}

/**
 * The container's namespace for DEL, if it is still there: by its path of now, else by that of ADD.
 * Paths are used again (`/proc/<pid>/ns/net`), so one that leads elsewhere than when the container
 * was attached counts as gone. The caller disposes it.
 * @throws CniError 8 when nothing tells and it is the plugin's own.
 */
export function openRemainder(
  { invocation, deps }: Call,
  link: LinkRecord | undefined,
): Netns | undefined {
  for (const path of new Set([invocation.netns, link?.netns.path ?? ''])) {
    const netns = path === '' ? undefined : openIfThere(path, deps)
    if (!netns) continue
    if (link ? isSameNetns(link.netns, netns) : isOther(netns, invocation, deps)) return netns
    netns[Symbol.dispose]()
  }
  return undefined
}

function openIfThere(path: string, deps: CniDeps): Netns | undefined {
  try {
    return deps.openNetns(path)
  } catch (error) {
    if (isNetnsError(error)) return undefined
    throw error
  }
}

function isOther(netns: Netns, { netnsOverride }: Call['invocation'], deps: CniDeps): boolean {
  if (netnsOverride || !isOwnNetns(netns, deps)) return true
  netns[Symbol.dispose]()
  throw ownNetns()
}

type Identity = Pick<Netns, 'device' | 'inode'>

function isSameNetns(a: Identity, b: Identity): boolean {
  return a.device === b.device && a.inode === b.inode
}
