import { portTag } from '../../firewall/port-owner.ts'
import type { Connection } from '../../netlink/connection.ts'
import { isErrno } from '../../netlink/errors.ts'
import { addLink, deleteLink, getLink, type Link, setLink } from '../../netlink/link.ts'
import type { CniDeps } from '../call.ts'
import { findLink } from '../link.ts'
import type { AttachmentKey } from '../stable-names.ts'

/** A veth's. With the ifb's own default of 32 packets it stalls under a load of small ones. */
const queueLength = 1000

/** Whose an ifb is: its alias. */
export function ifbTag({ network, ...owner }: AttachmentKey): string {
  return portTag(network, owner)
}

/**
 * The name for an attachment's ifb: the reference plugin's, so that its DEL removes ours. That one
 * leaves out the interface, so a container's second interface takes another.
 */
export function ifbNameFor(host: Connection, key: AttachmentKey, deps: CniDeps): string {
  const [first, second] = ifbNames(key, deps)
  const link = findLink(host, first)
  return link && link.alias !== ifbTag(key) ? second : first
}

/** The names that an attachment's ifb may have. */
export function ifbNames(
  { network, containerId, ifname }: AttachmentKey,
  { sha512Hex }: Pick<CniDeps, 'sha512Hex'>,
): [first: string, second: string] {
  const name = (text: string) => `bwp${sha512Hex(text).slice(0, 12)}`
  return [name(network + containerId), name(`${network}${containerId}${ifname}`)]
}

/** Makes it, up and marked as its owner's. */
export function createIfb(
  host: Connection,
  { name, key, mtu }: { readonly name: string; readonly key: AttachmentKey; readonly mtu: number },
): Link {
  const [added, marked, made] = host.exchange([
    addLink({ kind: 'ifb', name, mtu, txQueueLength: queueLength, up: true }),
    setLink({ name, alias: ifbTag(key) }),
    getLink({ name }),
  ])
  const error = added.error ?? marked.error ?? made.error
  if (error || !made.value) throw error ?? new TypeError(`ifb ${name} was made and is not there`)
  return made.value
}

export function findIfb(host: Connection, name: string): Link | undefined {
  const link = findLink(host, name)
  return link?.kind === 'ifb' ? link : undefined
}

/** One without an alias was made by the reference plugin, or by a run that was killed then. */
function isOf({ alias }: Link, key: AttachmentKey): boolean {
  return alias === undefined || alias === ifbTag(key)
}

/** Removes an attachment's ifb: `known`, else whichever there is. None is success. */
export function removeIfbs(
  host: Connection,
  key: AttachmentKey,
  known: string | undefined,
  deps: CniDeps,
): void {
  for (const name of known === undefined ? ifbNames(key, deps) : [known]) {
    const link = findIfb(host, name)
    if (!link || !isOf(link, key)) continue
    const [error] = host.batch([deleteLink({ index: link.index })])
    if (error && !isErrno(error, 'ENODEV')) throw error
  }
}
