import type { AttachmentRecord } from '../conf/attachment-record.ts'
import { Connection } from '../netlink/connection.ts'
import { type Call, keyOf } from './call.ts'
import { runDelegate } from './delegate.ts'
import { CheckFailed } from './errors.ts'
import { masqueradeFault } from './features/masquerade.ts'
import { checkAddresses } from './ipam.ts'
import { checkBridged } from './mode/check-bridge.ts'
import { checkContents, ownIps, type Subject } from './mode/check-link.ts'
import { checkMacvlan } from './mode/check-macvlan.ts'
import { checkPtp } from './mode/check-ptp.ts'
import { openContainer } from './netns.ts'
import { CniError, errorCodes } from './protocol/error.ts'
import { parseResult } from './protocol/parse-result.ts'
import { readRecord } from './records/record.ts'
import { targetOfExisting } from './target/resolve.ts'
import { modeOf, type Target } from './target/target.ts'
import { wantsFeatures } from './target/wanted-features.ts'

/**
 * Makes sure that a container is attached as the final result of its ADD says, what chained
 * plugins changed included, and that the host still does its part.
 * @throws CheckFailed naming the first difference; what IPAM says.
 */
export function check(call: Call): void {
  const record = readRecord(keyOf(call))
  // It was another plugin that attached the container; this one was chained after it.
  if (call.role === 'heddle' && record && (record.chained || !record.link)) {
    call.deps.load.chained().checkChained(call)
    return
  }
  const saved = targetOfExisting(call)
  const { prevResult } = call.conf
  // What was saved at ADD does not hold the result that the runtime kept.
  const text = saved.text === call.stdin ? call.stdin : addResult(saved, prevResult)
  if (saved.type !== 'bridge') {
    runDelegate(call, { type: saved.type, command: 'CHECK', stdin: text })
    return
  }
  if (!prevResult) throw new CniError(errorCodes.invalidConfig, 'Required prevResult missing')
  const result = parseResult(prevResult, call.version, 'prevResult')
  const target = { ...saved, text }
  checkAddresses(call, target)
  checkAttachment({ call, target, result }, record)
}

function addResult({ conf }: Target, prevResult: object | undefined): string {
  return JSON.stringify({ ...conf, prevResult })
}

function checkAttachment(subject: Subject, record: AttachmentRecord | undefined): void {
  const { call, target } = subject
  const { deps } = call
  using netns = openContainer(call)
  using host = new Connection(deps.openNetlink('route'))
  using inside = new Connection(deps.inNetns(netns, () => deps.openNetlink('route')))
  const sides = { host, inside }
  const mode = modeOf(call.role, target)
  const checkLink = mode === 'ptp' ? checkPtp : mode === 'macvlan' ? checkMacvlan : checkBridged
  const link = checkLink(sides, subject)
  checkContents(inside, link, subject)
  checkMasquerade(subject)
  checkFeatures(call, host, record)
}

function checkMasquerade(subject: Subject): void {
  if (subject.target.conf.ipMasq !== true) return
  const addresses = ownIps(subject).map(({ address }) => address)
  refuseFault(masqueradeFault(keyOf(subject.call), addresses, subject.call.deps))
}

/** What the runtime asked for has to be there, and what the record tells of. */
function checkFeatures(call: Call, host: Connection, record: AttachmentRecord = keyOf(call)): void {
  const { ports, shaping } = record
  const wanted = wantsFeatures(call)
  if (call.role !== 'heddle' || !(wanted || ports || shaping)) return
  const tools = call.deps.load.features()
  const lacksPorts = wanted && !ports && tools.readPortMappings(call.conf).length > 0
  if (lacksPorts) throw new CheckFailed('there is no record of the published ports')
  const lacksLimits = wanted && !shaping && tools.readBandwidth(call.conf) !== undefined
  if (lacksLimits) throw new CheckFailed('there is no record of the bandwidth limits')
  refuseFault(ports && tools.publishFault(call, record))
  refuseFault(shaping && tools.shapeFault(call, host, record))
}

function refuseFault(fault: string | undefined): void {
  if (fault !== undefined) throw new CheckFailed(fault)
}
