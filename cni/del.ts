import type { AttachmentRecord } from '../conf/attachment-record.ts'
import { Connection } from '../netlink/connection.ts'
import { isErrno } from '../netlink/errors.ts'
import { deleteLink, type Link } from '../netlink/link.ts'
import type { Netns } from '../sys/netns.ts'
import { bridgeNameOf } from './bridge-conf.ts'
import { type Call, keyOf } from './call.ts'
import { runDelegate } from './delegate.ts'
import { releaseAddresses } from './ipam.ts'
import { findLink } from './link.ts'
import { stopMasquerade } from './masquerade.ts'
import { isNetnsError, isOwnNetns, ownNetns } from './netns.ts'
import { readRecord, removeRecord } from './record.ts'
import { forgetTarget, targetOfExisting } from './resolve.ts'
import type { Target } from './target.ts'
import { findHostVeth, possibleHostVeths } from './veth.ts'

/**
 * Detaches a container, by its record, by the names that ADD derives, and by the configuration.
 * What is gone already is success.
 * @throws AggregateError of the steps that failed, after all have been tried.
 */
export function del(call: Call): void {
  const target = targetOfExisting(call)
  const failures: unknown[] = []
  if (target.type === 'bridge') detach(call, target, failures)
  else attempt(failures, () => delegate(call, target))
  if (failures.length > 0) throw new AggregateError(failures, 'cannot detach the container')
  forgetTarget(call)
}

function delegate(call: Call, { type, text }: Target): void {
  runDelegate(call, { type, command: 'DEL', stdin: text })
}

function detach(call: Call, target: Target, failures: unknown[]): void {
  const key = keyOf(call)
  const record = attempt(failures, () => readRecord(key))
  attempt(failures, () => removeLink(call, target, record))
  // After the link: another container may get the addresses at once.
  attempt(failures, () => releaseAddresses(call, target))
  // Before the masquerading, which the daemon would otherwise put back from the record just then.
  // Should this run end in between, the configuration tells the next DEL what is left.
  if (failures.length === 0) removeRecord(key)
  const isMasqueraded = record ? record.masquerade !== undefined : target.conf.ipMasq === true
  if (isMasqueraded) {
    attempt(failures, () => stopMasquerade(key, record?.addresses ?? [], call.deps))
  }
}

function attempt<T>(failures: unknown[], step: () => T): T | undefined {
  try {
    return step()
  } catch (error) {
    failures.push(error)
    return undefined
  }
}

function removeLink(call: Call, target: Target, record: AttachmentRecord | undefined): void {
  using host = new Connection(call.deps.openNetlink('route'))
  const own = findHostVeth(host, record ? [record] : possibleHostVeths(keyOf(call)))
  // With it goes the container's end, wherever that is by now.
  if (own) removeIfThere(host, own)
  else removeForeignVeth(call, host, target, record)
}

/**
 * Removes what the reference plugins attached before heddle took over: a veth of the container's
 * namespace whose other end is a port of our bridge. An interface that another network brought in
 * under this name stays; DEL also follows an ADD that failed because of it.
 */
function removeForeignVeth(
  call: Call,
  host: Connection,
  target: Target,
  record: AttachmentRecord | undefined,
): void {
  using netns = openRemainder(call, record)
  if (!netns) return
  using inside = new Connection(call.deps.inNetns(netns, () => call.deps.openNetlink('route')))
  const link = findLink(inside, call.invocation.ifname)
  if (link?.kind !== 'veth' || link.linkIndex === undefined) return
  const peer = findLink(host, { index: link.linkIndex })
  const bridge = findLink(host, bridgeNameOf(target.conf))
  if (peer?.kind === 'veth' && bridge && peer.master === bridge.index) removeIfThere(inside, link)
}

/**
 * The container's namespace, if it is still there. Paths are used again (`/proc/<pid>/ns/net`), so
 * one that leads elsewhere than when the container was attached counts as gone.
 */
function openRemainder(
  { invocation, deps }: Call,
  record: AttachmentRecord | undefined,
): Netns | undefined {
  if (invocation.netns === '') return undefined
  using opened = new DisposableStack()
  try {
    const netns = opened.use(deps.openNetns(invocation.netns))
    if (record && !isNamespaceOf(record, netns)) return undefined
    if (!invocation.netnsOverride && isOwnNetns(netns, deps)) throw ownNetns()
    opened.move()
    return netns
  } catch (error) {
    if (isNetnsError(error)) return undefined
    throw error
  }
}

function isNamespaceOf({ netns }: AttachmentRecord, { device, inode }: Netns): boolean {
  return netns.device === device && netns.inode === inode
}

function removeIfThere(connection: Connection, { index }: Link): void {
  try {
    connection.execute(deleteLink({ index }))
  } catch (error) {
    // The namespace, or another DEL, took it along meanwhile.
    if (!isErrno(error, 'ENODEV')) throw error
  }
}
