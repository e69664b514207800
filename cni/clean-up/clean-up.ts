import { detachMasquerade } from '../../firewall/masquerade.ts'
import { removeReferenceRules } from '../../firewall/reference-rules.ts'
import { Connection } from '../../netlink/connection.ts'
import type { Link } from '../../netlink/link.ts'
import { type Call, keyOf } from '../call.ts'
import { previousMac, readPrevious } from '../chain/previous.ts'
import type { Detachment } from '../del.ts'
import { lacksNftables } from '../errors.ts'
import { findLink } from '../link.ts'
import { bridgeNameOf } from '../mode/bridge-conf.ts'
import { removeIfThere } from '../mode/veth.ts'
import { openRemainder } from '../netns.ts'
import { interfaceNameFault } from '../protocol/env.ts'
import type { CniResult } from '../protocol/result.ts'
import { listRecords } from '../records/records.ts'
import { type Target, usesSubnetFile } from '../target/target.ts'
import { mayHaveFeatures } from '../target/wanted-features.ts'
import { removeLegacyRules } from './legacy-rules.ts'

/**
 * Removes what the firewall has of an attachment of which there is no record: ours by the owner's
 * tag, and what the reference plugins wrote where the configuration says that they may have.
 */
export function removeUnrecorded(call: Call, target: Target): void {
  const key = keyOf(call)
  const masquerade = target.conf.ipMasq === true || usesSubnetFile(call.role, call.conf)
  const ports = mayHaveFeatures(call)
  try {
    using firewall = new Connection(call.deps.openNetlink('netfilter'))
    detachMasquerade(firewall, { network: key.network, owner: key })
    if (masquerade || ports)
      removeReferenceRules(firewall, { ...key, masquerade, ports }, call.deps)
  } catch (error) {
    // A kernel without nftables has nothing of the kind.
    if (!lacksNftables(error)) throw error
  }
  if (masquerade || ports) removeLegacyRules(call, { ...key, masquerade, ports })
}

/**
 * Removes what the reference plugins attached before heddle took over: a veth of the container's
 * namespace whose other end is a port of our bridge. An interface that another network brought in
 * under this name stays, since DEL also follows an ADD that failed because of it, and so does
 * another container's, since paths of namespaces are used again.
 */
export function removeForeignVeth({ call, target }: Detachment, host: Connection): void {
  const name = bridgeNameOf(target.conf)
  const bridge = interfaceNameFault(name) ? undefined : findLink(host, name)
  if (!bridge) return
  const previous = readPrevious(call)
  const port = findPortInside(call, host, previous) ?? findPortOutside(host, previous)
  if (port?.kind !== 'veth' || port.master !== bridge.index) return
  const isRecorded = listRecords().some(({ link }) => link?.hostVeth === port.name)
  if (!isRecorded) removeIfThere(host, port)
}

/** The other end of the container's interface, if that is as the result of ADD has it. */
function findPortInside(call: Call, host: Connection, previous: CniResult): Link | undefined {
  using netns = openRemainder(call, undefined)
  if (!netns) return undefined
  const { ifname } = call.invocation
  using inside = new Connection(call.deps.inNetns(netns, () => call.deps.openNetlink('route')))
  const link = findLink(inside, ifname)
  if (link?.kind !== 'veth' || link.linkIndex === undefined) return undefined
  const expected = previousMac(call, previous)
  if (expected !== undefined && expected !== link.mac) return undefined
  return findLink(host, { index: link.linkIndex })
}

/** The host's end that the result of ADD names, by its name and MAC address. */
function findPortOutside(host: Connection, { interfaces = [] }: CniResult): Link | undefined {
  for (const { name, mac = '', sandbox = '' } of interfaces) {
    if (sandbox !== '' || mac === '' || interfaceNameFault(name)) continue
    const link = findLink(host, name)
    if (link?.kind === 'veth' && link.mac === mac.toLowerCase()) return link
  }
  return undefined
}
