import { Connection } from '../../netlink/connection.ts'
import type { Netns } from '../../sys/netns.ts'
import type { CniDeps } from '../call.ts'
import { findLink } from '../link.ts'
import { removeIfThere } from '../mode/veth.ts'
import { isNetnsError } from '../netns.ts'
import type { Stale } from './stale.ts'

/** Removes stale macvlans from namespaces that outlived their containers. They have no other end. */
export function removeMacvlans(stale: readonly Stale[], deps: CniDeps): void {
  for (const { key, record } of stale) {
    const { link } = record ?? {}
    if (link?.mode !== 'macvlan') continue
    using netns = openIfSame(link.netns, deps)
    if (!netns) continue
    using inside = new Connection(deps.inNetns(netns, () => deps.openNetlink('route')))
    const found = findLink(inside, key.ifname)
    if (found?.kind === 'macvlan' && found.mac === link.mac) removeIfThere(inside, found)
  }
}

/** Undefined when the path leads nowhere, or to a namespace that came later. */
function openIfSame(
  { path, device, inode }: { path: string; device: number; inode: number },
  deps: CniDeps,
): Netns | undefined {
  using opened = new DisposableStack()
  try {
    const netns = opened.use(deps.openNetns(path))
    if (netns.device !== device || netns.inode !== inode) return undefined
    opened.move()
    return netns
  } catch (error) {
    if (isNetnsError(error)) return undefined
    throw error
  }
}
