import type { AttachmentRecord } from '../../conf/attachment-record.ts'
import { ConfigError } from '../../conf/errors.ts'
import { removeReferenceRules } from '../../firewall/reference-rules.ts'
import { type Prefix, parsePrefix } from '../../ip/prefix.ts'
import { Connection } from '../../netlink/connection.ts'
import type { Link } from '../../netlink/link.ts'
import type { Netns } from '../../sys/netns.ts'
import { attempt } from '../attempt.ts'
import { type Call, keyOf } from '../call.ts'
import { removeLegacyRules } from '../clean-up/legacy-rules.ts'
import { CheckFailed } from '../errors.ts'
import {
  type Bandwidth,
  noPeer,
  readBandwidth,
  shape,
  shapeFault,
  unshape,
} from '../features/bandwidth.ts'
import { planPorts, readPortMappings } from '../features/port-mappings.ts'
import { publish, publishFault, unpublish } from '../features/publish.ts'
import { findLink } from '../link.ts'
import { isNetnsError, openContainer } from '../netns.ts'
import type { CniResult } from '../protocol/result.ts'
import { markEnding, readRecord, removePart, writePart } from '../records/record.ts'
import { Undo } from '../undo.ts'
import { renderBefore, resultBefore } from './chain-result.ts'
import { partsOf } from './chained-parts.ts'

type PortMappings = ReturnType<typeof readPortMappings>

/** What the configuration asks of this run, which its role decides too. */
interface Wanted {
  readonly mappings: PortMappings
  readonly bandwidth: Bandwidth | undefined
}

/** Adds to what an earlier plugin of the chain attached, and prints that one's result. */
export function addChained(call: Call): void {
  const wanted = readWanted(call)
  const result = requireBefore(call, 'must be called as chained plugin')
  refuseOwnNetns(call)
  using undo = new Undo()
  const ifb = apply(call, wanted, addressesOf(call, result), undo)
  call.print(renderChained(call, ifb))
  undo.forget()
}

function readWanted({ role, conf }: Call): Wanted {
  return {
    mappings: role === 'bandwidth' ? [] : readPortMappings(conf),
    bandwidth: role === 'portmap' ? undefined : readBandwidth(conf),
  }
}

/** @throws ConfigError with this message when the plugin is the first of its chain. */
function requireBefore(call: Call, otherwise: string): CniResult {
  const result = resultBefore(call)
  if (!result) throw new ConfigError('prevResult', otherwise)
  return result
}

/** The addresses of the container's interface, and those that name no interface. */
function addressesOf({ invocation }: Call, { interfaces = [], ips = [] }: CniResult): Prefix[] {
  const own = ips.filter(({ interface: index }) => {
    const of = index === undefined ? undefined : interfaces[index]
    return !of || (of.name === invocation.ifname && of.sandbox !== undefined)
  })
  return own.flatMap(({ address }) => parsePrefix(address) ?? [])
}

/** Returns the ifb, if one was made. */
function apply(
  call: Call,
  { mappings, bandwidth }: Wanted,
  addresses: readonly Prefix[],
  undo: Undo,
): Link | undefined {
  const isIdle = mappings.length === 0 && !bandwidth
  if (isIdle && call.role !== 'heddle') return undefined
  using host = new Connection(call.deps.openNetlink('route'))
  const veth = isIdle ? undefined : findHostEnd(call, host, bandwidth !== undefined)
  if (mappings.length > 0 || call.role === 'heddle') {
    // Without a mapping too: by its record a later DEL of `heddle` knows that it was only chained.
    const plan = planPorts(call.conf, addresses, mappings)
    const ports = veth ? { ...plan, hostVeth: veth.name } : plan
    const mark = call.role === 'heddle' ? ({ chained: true } as const) : {}
    undo.defer(writePart(keyOf(call), { ports, ...mark }))
    if (mappings.length > 0) publish(call, veth && towards(host, veth), ports, undo)
  }
  if (!bandwidth) return undefined
  if (!veth) throw noPeer()
  return shape(call, host, { hostVeth: veth.name, bandwidth }, undo)
}

/** @throws CniError when CNI_NETNS is the plugin's own. That it leads nowhere is no matter here. */
function refuseOwnNetns(call: Call): void {
  openIfThere(call)?.[Symbol.dispose]()
}

function openIfThere(call: Call): Netns | undefined {
  try {
    return openContainer(call)
  } catch (error) {
    if (isNetnsError(error)) return undefined
    throw error
  }
}

/**
 * The host's end of the container's veth; undefined if its interface is of another kind, or if its
 * namespace cannot be opened and need not be.
 */
function findHostEnd(call: Call, host: Connection, isNeeded: boolean): Link | undefined {
  const { deps, invocation } = call
  using netns = isNeeded ? openContainer(call) : openIfThere(call)
  if (!netns) return undefined
  using inside = new Connection(deps.inNetns(netns, () => deps.openNetlink('route')))
  const link = findLink(inside, invocation.ifname)
  if (link?.kind !== 'veth' || link.linkIndex === undefined) return undefined
  const peer = findLink(host, { index: link.linkIndex })
  // An index says nothing by itself: the other end may be in some third namespace.
  return peer?.kind === 'veth' && peer.linkIndex === link.index ? peer : undefined
}

/** The name of the host's interface that has the container's neighbours: the bridge, if any. */
function towards(host: Connection, { master, name }: Link): string {
  if (master === undefined) return name
  return findLink(host, { index: master })?.name ?? name
}

/** The reference plugin shows the ifb among the interfaces, and `heddle` only the container's own. */
function renderChained(call: Call, ifb: Link | undefined): string {
  const list: unknown = call.conf.prevResult?.['interfaces']
  const isShown = ifb && call.role === 'bandwidth' && Array.isArray(list)
  return renderBefore(
    call,
    isShown ? { interfaces: [...list, { name: ifb.name, mac: ifb.mac }] } : {},
  )
}

/**
 * Takes back what this role added, by the record, else by the owner's tag and derived names. What
 * the configuration says does not matter any more.
 * @throws AggregateError of the steps that failed, after all have been tried.
 */
export function deleteChained(call: Call): void {
  const key = keyOf(call)
  const failures: unknown[] = []
  const record = attempt(failures, () => readRecord(key))
  const parts = partsOf(call)
  if (parts.includes('ports')) attempt(failures, () => deletePorts(call, record))
  if (parts.includes('shaping')) {
    attempt(failures, () => {
      using host = new Connection(call.deps.openNetlink('route'))
      unshape(call, host, record)
    })
  }
  if (failures.length > 0) throw new AggregateError(failures, 'cannot detach the container')
  if (record && parts.some((part) => record[part])) removePart(key, parts, record)
}

function deletePorts(call: Call, record: AttachmentRecord | undefined): void {
  if (record?.ports) {
    markEnding(record)
    unpublish(call, record)
    return
  }
  unpublish(call, record)
  // It may have been the reference plugin's ADD.
  const what = { ...keyOf(call), masquerade: false, ports: true }
  using firewall = new Connection(call.deps.openNetlink('netfilter'))
  removeReferenceRules(firewall, what, call.deps)
  removeLegacyRules(call, what)
}

/**
 * Makes sure that what this role added is there.
 * @throws CheckFailed naming what is not.
 */
export function checkChained(call: Call): void {
  const { mappings, bandwidth } = readWanted(call)
  const isShaping = call.role === 'bandwidth'
  requireBefore(
    call,
    isShaping ? 'must be called as a chained plugin' : 'Required prevResult missing',
  )
  refuseOwnNetns(call)
  const key = keyOf(call)
  const record = readRecord(key)
  if (mappings.length > 0 && !record?.ports) throw new CheckFailed('its ports are not published')
  const fault = record && publishFault(call, record)
  if (fault !== undefined) throw new CheckFailed(fault)
  if (!bandwidth) return
  using host = new Connection(call.deps.openNetlink('route'))
  const shapingFault = shapeFault(call, host, record ?? key)
  if (shapingFault !== undefined) throw new CheckFailed(shapingFault)
}

/** Whether an ADD would work, as far as the configuration tells. */
export function chainedStatus(call: Call): void {
  readWanted(call)
}
