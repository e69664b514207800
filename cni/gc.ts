import { type ListedAttachment, listedAttachments } from '../conf/attachment-list.ts'
import { pruneMasquerade } from '../firewall/masquerade.ts'
import { prunePublished } from '../firewall/published.ts'
import { collect } from '../ipam/gc.ts'
import { ipamPlace } from '../ipam/plan.ts'
import { Connection } from '../netlink/connection.ts'
import { listLinks } from '../netlink/link.ts'
import { attempt } from './attempt.ts'
import type { Call } from './call.ts'
import { partsOf } from './chain/chained-parts.ts'
import { forgetTargets, staleAttachments } from './clean-up/stale.ts'
import { type Collection, deleteAll, staleIfbs, staleVeths } from './clean-up/stale-links.ts'
import { removeMacvlans } from './clean-up/stale-macvlans.ts'
import { runDelegate } from './delegate.ts'
import { unlimit } from './features/rate-limit.ts'
import { allParts, markEnding, removePart } from './records/record.ts'
import { runningAdds } from './records/running.ts'
import { targetOfNetwork } from './target/resolve.ts'
import { isOwnIpam, modeOf, type Target, usesSubnetFile } from './target/target.ts'
import { isChained } from './target/wanted-features.ts'

/**
 * Removes what belongs to attachments of this network that the runtime does not list, and nothing
 * of another network. Without a list nothing is known to be stale. An attachment that an ADD was at
 * work on when this began stays, though it is not listed yet; that none begins meanwhile is the
 * runtime's duty (CNI spec 1.1.0, section 2, GC).
 * @throws AggregateError of the steps that failed, after all have been tried.
 */
export function collectGarbage(call: Call): void {
  const listed = listedAttachments(call.conf)
  if (!listed || call.conf.disableGC === true) return
  const network = call.conf.name ?? ''
  const failures: unknown[] = []
  // Before and after: what is half made is of one of them.
  const before = runningAdds()
  const found = staleAttachments(network, listed)
  const newer = found.flatMap(({ key, isNewer }) => (isNewer ? key : []))
  for (const { containerId, ifname } of newer) {
    const attachment = `${containerId} ${ifname}`
    call.deps.log.warn('left alone: a newer heddle wrote its record', { network, attachment })
  }
  const keep = [...listed, ...before, ...runningAdds(), ...newer]
  const stale = found.filter(({ key }) => !keep.some((one) => isSame(one, key)))
  const collection = { network, keep, stale }
  for (const { record } of stale) {
    if (record?.ports || record?.masquerade) attempt(failures, () => markEnding(record))
  }
  if (isChained(call)) collectAdded(call, collection, failures)
  else collectAttached(call, collection, failures)
  if (failures.length > 0) throw new AggregateError(failures, 'cannot collect everything')
}

function isSame(a: ListedAttachment, b: ListedAttachment): boolean {
  return a.containerId === b.containerId && a.ifname === b.ifname
}

/** What a chained plugin has a part in; the rest is the business of the plugin before it. */
function collectAdded(call: Call, collection: Collection, failures: unknown[]): void {
  const { network, keep, stale } = collection
  const parts = partsOf(call)
  if (parts.includes('ports')) {
    attempt(failures, () => {
      using firewall = new Connection(call.deps.openNetlink('netfilter'))
      prunePublished(firewall, network, keep)
    })
  }
  if (parts.includes('shaping')) attempt(failures, () => removeLinks(call, collection, false))
  if (failures.length > 0) return
  for (const { key, record } of stale) {
    attempt(failures, () => {
      if (record && parts.some((part) => record[part])) removePart(key, parts, record)
    })
  }
}

function collectAttached(call: Call, collection: Collection, failures: unknown[]): void {
  const { network, keep, stale } = collection
  const target = targetOfNetwork(call)
  if (modeOf(call.role, target) === 'elsewhere') {
    attempt(failures, () => askDelegate(call, target, target.type))
  } else {
    attempt(failures, () => removeLinks(call, collection, true))
    attempt(failures, () => removeMacvlans(stale, call.deps))
    attempt(failures, () => pruneFirewall(call, network, keep))
    if (failures.length === 0) {
      for (const { key, record } of stale)
        attempt(failures, () => removePart(key, allParts, record))
    }
    attempt(failures, () => collectAddresses(call, target, keep))
  }
  if (usesSubnetFile(call.role, call.conf)) attempt(failures, () => forgetTargets(call, keep))
}

function removeLinks(call: Call, collection: Collection, isAttached: boolean): void {
  using host = new Connection(call.deps.openNetlink('route'))
  const links = host.dump(listLinks())
  const ifbs = staleIfbs(links, collection, call.deps)
  const veths = isAttached ? staleVeths(links, collection.stale) : []
  // Where the link is another plugin's it stays, without what was set up on it.
  for (const { record } of collection.stale) {
    const shaped = links.find(({ name }) => name === record?.shaping?.hostLink)
    if (shaped && !veths.includes(shaped)) unlimit(host, shaped)
  }
  deleteAll(host, [...ifbs, ...veths], links)
}

function pruneFirewall(call: Call, network: string, keep: readonly ListedAttachment[]): void {
  using firewall = new Connection(call.deps.openNetlink('netfilter'))
  prunePublished(firewall, network, keep)
  pruneMasquerade(firewall, network, keep)
}

function collectAddresses(call: Call, target: Target, keep: readonly ListedAttachment[]): void {
  const type = target.conf.ipam?.type ?? ''
  if (type === '') return
  if (isOwnIpam(type)) collect(ipamPlace(target.conf), keep, call.deps)
  else askDelegate(call, target, type)
}

/** Another plugin's part, on the same list. */
function askDelegate(call: Call, { text }: Target, type: string): void {
  const stdin = text === call.stdin ? text : withLists(text, call)
  runDelegate(call, { type, command: 'GC', stdin })
}

function withLists(text: string, { conf }: Call): string {
  const lists = Object.entries(conf).filter(([key]) => key.toLowerCase().startsWith('cni.dev/'))
  return JSON.stringify({ ...JSON.parse(text), ...Object.fromEntries(lists) })
}
