import type { ListedAttachment } from '../../conf/attachment-list.ts'
import { networkTag } from '../../firewall/port-owner.ts'
import type { Connection } from '../../netlink/connection.ts'
import { isErrno } from '../../netlink/errors.ts'
import { deleteLink, deleteLinks, type Link, setLink } from '../../netlink/link.ts'
import type { CniDeps } from '../call.ts'
import { ifbNames, ifbTag } from '../features/ifb.ts'
import { type HostVeth, possibleHostVeths } from '../mode/veth.ts'
import type { Stale } from './stale.ts'

/** The host's ends of stale attachments' links, which take the containers' along. */
export function staleVeths(links: readonly Link[], stale: readonly Stale[]): Link[] {
  const macs = new Map<string, string>()
  for (const { key, record } of stale) {
    const ends: readonly HostVeth[] = record?.link ? [record.link] : possibleHostVeths(key)
    for (const { hostVeth, hostMac } of ends) macs.set(hostVeth, hostMac)
  }
  return links.filter(({ kind, name, mac }) => kind === 'veth' && mac && macs.get(name) === mac)
}

/**
 * The network's ifbs that belong to nobody to keep: by their alias, and where there is none, as on
 * those of the reference plugin, by the names that stale attachments' ifbs may have.
 */
export function staleIfbs(
  links: readonly Link[],
  { network, keep, stale }: Collection,
  deps: Pick<CniDeps, 'sha512Hex'>,
): Link[] {
  const start = networkTag(network)
  const kept = new Set(keep.map((owner) => ifbTag({ network, ...owner })))
  const names = new Set(stale.flatMap(({ key }) => ifbNames(key, deps)))
  return links.filter(({ kind, name, alias }) => {
    if (kind !== 'ifb') return false
    return alias === undefined ? names.has(name) : alias.startsWith(start) && !kept.has(alias)
  })
}

/** What is collected of a network, and what is not. */
export interface Collection {
  readonly network: string
  readonly keep: readonly ListedAttachment[]
  readonly stale: readonly Stale[]
}

/** Deletes links, many in one operation of the kernel, which waits once for all of them. */
export function deleteAll(host: Connection, doomed: readonly Link[], all: readonly Link[]): void {
  const [first, ...others] = doomed
  if (!first) return
  const group = freeGroup(all)
  const requests =
    others.length === 0
      ? [deleteLink({ index: first.index })]
      : [...doomed.map(({ index }) => setLink({ index, group })), deleteLinks({ group })]
  for (const error of host.batch(requests)) {
    // Its container's namespace took it along meanwhile.
    if (error && !isErrno(error, 'ENODEV')) throw error
  }
}

/** The number of a group in which there is no link, other than 0. */
function freeGroup(links: readonly Link[]): number {
  const taken = new Set(links.map(({ group }) => group))
  let group = 0x6865_0000
  while (taken.has(group)) group++
  return group
}
