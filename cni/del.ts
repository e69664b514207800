import type { AttachmentMode, AttachmentRecord } from '../conf/attachment-record.ts'
import { Connection } from '../netlink/connection.ts'
import type { Link } from '../netlink/link.ts'
import { attempt } from './attempt.ts'
import { type Call, keyOf, type Loaders } from './call.ts'
import { runDelegate } from './delegate.ts'
import { stopMasquerade } from './features/masquerade.ts'
import { releaseAddresses } from './ipam.ts'
import { findLink } from './link.ts'
import { findHostVeth, possibleHostVeths, removeIfThere } from './mode/veth.ts'
import { allParts, linkParts, markEnding, readRecord, removePart } from './records/record.ts'
import type { AttachmentKey } from './stable-names.ts'
import { forgetTarget, targetOfDel } from './target/resolve.ts'
import { modeOf, type Target } from './target/target.ts'
import { mayHaveFeatures } from './target/wanted-features.ts'

/**
 * Detaches a container, by its record, by the names that ADD derives, and by the configuration.
 * What is gone already is success.
 * @throws AggregateError of the steps that failed, after all have been tried.
 */
export function del(call: Call): void {
  const failures: unknown[] = []
  const key = keyOf(call)
  const record = attempt(failures, () => readRecord(key))
  // It was another plugin that attached the container; this one was chained after it.
  if (call.role === 'heddle' && record && (record.chained || !record.link)) {
    call.deps.load.chained().deleteChained(call)
    return
  }
  const target = targetOfDel(call)
  const mode = modeOf(call.role, target)
  if (mode === 'elsewhere') attempt(failures, () => delegate(call, target))
  else {
    const own = record?.link && record
    detach({ call, key, target, mode: own?.link?.mode ?? mode, record: own, failures })
  }
  if (failures.length > 0) throw new AggregateError(failures, 'cannot detach the container')
  forgetTarget(call)
}

function delegate(call: Call, { type, text }: Target): void {
  runDelegate(call, { type, command: 'DEL', stdin: text })
}

/** What one DEL works with. */
export interface Detachment {
  readonly call: Call
  readonly key: AttachmentKey
  readonly target: Target
  readonly mode: AttachmentMode
  /** Of an attachment whose link heddle made. */
  readonly record: AttachmentRecord | undefined
  readonly failures: unknown[]
}

/**
 * The record goes last: a DEL that is killed leaves it to the next one. Entries of the firewall are
 * not put back meanwhile, since the record says that they are to go.
 */
function detach(detachment: Detachment): void {
  const { call, key, target, record, failures } = detachment
  const tools = loadTools(detachment)
  const { features, cleaning } = tools
  if (record && (record.ports || record.masquerade)) markEnding(record)
  // Before the addresses: another container may get them at once.
  if (features && (!record || record.ports)) {
    attempt(failures, () => features.unpublish(call, record))
  }
  removeLinks(detachment, tools)
  if (record?.masquerade) {
    attempt(failures, () => stopMasquerade(key, record.link?.addresses ?? [], call.deps))
  }
  if (cleaning) attempt(failures, () => cleaning.removeUnrecorded(call, target))
  attempt(failures, () => releaseAddresses(call, target))
  if (failures.length === 0) removePart(key, call.role === 'heddle' ? allParts : linkParts, record)
}

/** Code that not every DEL needs. It has to be there before anything is changed. */
interface Tools {
  readonly features: ReturnType<Loaders['features']> | undefined
  readonly otherwise: ReturnType<Loaders['otherwise']> | undefined
  readonly cleaning: ReturnType<Loaders['cleaning']> | undefined
}

function loadTools({ call, record, mode }: Detachment): Tools {
  const { load } = call.deps
  return {
    features: hasFeatures(call, record) ? load.features() : undefined,
    otherwise: mode === 'macvlan' ? load.otherwise() : undefined,
    cleaning: record ? undefined : load.cleaning(),
  }
}

function hasFeatures(call: Call, record: AttachmentRecord | undefined): boolean {
  if (!record) return mayHaveFeatures(call)
  return call.role === 'heddle' && (record.ports ?? record.shaping) !== undefined
}

function removeLinks(detachment: Detachment, { features, otherwise, cleaning }: Tools): void {
  const { call, record, failures } = detachment
  using host = new Connection(call.deps.openNetlink('route'))
  if (features && (!record || record.shaping)) {
    attempt(failures, () => features.unshape(call, host, record))
  }
  attempt(failures, () => {
    const own = findOwnVeth(host, detachment)
    // With it goes the container's end, wherever that is by now.
    if (own) removeIfThere(host, own)
    else if (otherwise) otherwise.removeMacvlan(detachment, host)
    else cleaning?.removeForeignVeth(detachment, host)
  })
}

/** By its record; by the names that ADD derives when that is of no help. */
function findOwnVeth(host: Connection, { key, record }: Detachment): Link | undefined {
  const recorded = record?.link?.hostVeth
  if (recorded === '') return undefined
  const link = recorded === undefined ? undefined : findLink(host, recorded)
  if (recorded !== undefined && !link) return undefined
  if (link?.kind === 'veth' && link.mac === record?.link?.hostMac) return link
  // An ADD that was killed had not noted yet that the name is somebody else's.
  return findHostVeth(host, possibleHostVeths(key))
}
