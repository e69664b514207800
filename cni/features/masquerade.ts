import type { AttachmentRecord } from '../../conf/attachment-record.ts'
import type { Address } from '../../ip/address.ts'
import { parsePrefix } from '../../ip/prefix.ts'
import { Connection } from '../../netlink/connection.ts'
import type { CniDeps } from '../call.ts'
import { markEnding, readRecord } from '../records/record.ts'
import type { AttachmentKey } from '../stable-names.ts'
import type { Undo } from '../undo.ts'

/** Masquerades what the container sends outside. Taken back when `undo` is disposed. */
export function masquerade(record: AttachmentRecord, deps: CniDeps, undo: Undo): void {
  if (!record.masquerade) return
  const addresses = record.link?.addresses ?? []
  // Before the kernel is asked: its answer may get lost.
  undo.defer(() => stopMasquerade(record, addresses, deps))
  undo.defer(() => {
    const now = readRecord(record)
    if (now) markEnding(now)
  })
  using firewall = new Connection(deps.openNetlink('netfilter'))
  deps.load.firewall().attachMasquerade(firewall, {
    network: record.network,
    owner: record,
    addresses: addressesOf(addresses),
    exempt: record.masquerade.exempt.flatMap((text) => parsePrefix(text) ?? []),
  })
}

/** Ends that. Without addresses everything of this container's interface is looked for. */
export function stopMasquerade(
  owner: AttachmentKey,
  addresses: readonly string[],
  deps: CniDeps,
): void {
  using firewall = new Connection(deps.openNetlink('netfilter'))
  const known = addressesOf(addresses)
  const { network } = owner
  const what = { network, owner, ...(known.length > 0 && { addresses: known }) }
  deps.load.firewall().detachMasquerade(firewall, what)
}

/** Says what masquerading lacks, for CHECK. */
export function masqueradeFault(
  owner: AttachmentKey,
  addresses: readonly string[],
  deps: CniDeps,
): string | undefined {
  using firewall = new Connection(deps.openNetlink('netfilter'))
  const { network } = owner
  const what = { network, owner, addresses: addressesOf(addresses) }
  return deps.load.firewall().missingMasquerade(firewall, what)
}

function addressesOf(cidrs: readonly string[]): Address[] {
  return cidrs.flatMap((cidr) => parsePrefix(cidr)?.address ?? [])
}
