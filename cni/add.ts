import type { AttachmentRecord } from '../conf/attachment-record.ts'
import type { Mac } from '../ip/mac.ts'
import { formatPrefix } from '../ip/prefix.ts'
import { Connection } from '../netlink/connection.ts'
import type { Netns } from '../sys/netns.ts'
import { type Bridge, inspectBridge, readyBridge, refuseConflicts } from './bridge.ts'
import { type BridgeConf, readArgs, readBridgeConf } from './bridge-conf.ts'
import { type Call, keyOf } from './call.ts'
import {
  announce,
  configureInterface,
  prepareInterface,
  waitForDuplicateDetection,
} from './container.ts'
import { InterfaceExists } from './errors.ts'
import { addDelegate, allocateAddresses } from './ipam.ts'
import { findLink } from './link.ts'
import { masquerade } from './masquerade.ts'
import { isNetnsError, openContainer } from './netns.ts'
import {
  buildResult,
  type Endpoint,
  exemptNetworks,
  foreseenGateways,
  planEndpoint,
} from './plan.ts'
import { CniError, errorCodes } from './protocol/error.ts'
import { type CniResult, renderResult, requirePrintable } from './protocol/result.ts'
import { readRecord, writeRecord } from './record.ts'
import { saveTarget, targetOfAdd } from './resolve.ts'
import { type AttachmentKey, containerMac, hostVethMac, hostVethName } from './stable-names.ts'
import { trySysctl } from './sysctl.ts'
import type { Target } from './target.ts'
import { Undo } from './undo.ts'
import { createVeth, type Veth, waitForPort } from './veth.ts'

/** Attaches a container and prints the result. A failure, also of that, leaves nothing behind. */
export function add(call: Call): void {
  const target = targetOfAdd(call)
  if (target.type === 'bridge') attach(call, target)
  else attachElsewhere(call, target)
}

function attachElsewhere(call: Call, target: Target): void {
  using undo = new Undo()
  saveTarget(call, target, undo)
  call.print(addDelegate(call, target.type, target.text, undo))
  undo.forget()
}

/** What one ADD works with; all of it is opened before anything is changed. */
interface Site {
  readonly call: Call
  readonly key: AttachmentKey
  readonly target: Target
  readonly conf: BridgeConf
  /** The container's end's, and the host's end's. */
  readonly mac: Mac
  readonly hostMac: Mac
  readonly netns: Netns
  readonly host: Connection
  readonly inside: Connection
}

/** Checks everything that can be checked, and only then begins. */
function attach(call: Call, target: Target): void {
  const { deps, invocation } = call
  const conf = readBridgeConf(target, readArgs(invocation), call.version)
  using netns = openNewContainer(call)
  using host = new Connection(deps.openNetlink('route'))
  using inside = new Connection(deps.inNetns(netns, () => deps.openNetlink('route')))
  if (findLink(inside, invocation.ifname)) throw new InterfaceExists(invocation.ifname)
  const found = inspectBridge(host, conf)
  if (found) refuseConflicts(conf, foreseenGateways(conf), found.present)
  using undo = new Undo()
  const key = keyOf(call)
  const macs = { mac: conf.mac ?? containerMac(key), hostMac: hostVethMac(key) }
  const result = apply({ call, key, target, conf, ...macs, netns, host, inside }, found, undo)
  call.print(renderResult(result, call.version))
  undo.forget()
}

/** A namespace that is gone needs no DEL (code 3), unless an earlier ADD of ours had it. */
function openNewContainer(call: Call): Netns {
  try {
    return openContainer(call)
  } catch (error) {
    if (!isNetnsError(error) || !error.gone || readRecord(keyOf(call))) throw error
    throw new CniError(errorCodes.unknownContainer, error.message, { cause: error })
  }
}

/**
 * Every step leaves in `undo` how to take it back. The bridge stays: other attachments share it.
 * The record is there before the kernel is touched. Addresses need none: they know their owner.
 */
function apply(site: Site, found: Bridge | undefined, undo: Undo): CniResult {
  const { call, key, target, conf, mac, hostMac, netns, host } = site
  saveTarget(call, target, undo)
  const endpoint = planEndpoint(conf, allocateAddresses(call, target, conf.ipam, undo))
  requirePrintable(call.version, endpoint.ips.length > 0)
  const record = recordOf(site, endpoint)
  undo.defer(writeRecord(record))
  const bridge = readyBridge({ host, conf, sysctl: call.deps.sysctl }, found, endpoint, undo)
  const plan = { key, mac, hostMac, netns, bridge: bridge.index, conf }
  const veth = createVeth(host, plan, undo)
  if (veth.hostName !== record.hostVeth) writeRecord({ ...record, hostVeth: veth.hostName })
  prepare(site, veth, endpoint)
  configureInterface(site.inside, veth.index, conf, endpoint)
  masquerade(record, call.deps, undo)
  if (conf.containerUp) goLive(site, veth, bridge, endpoint)
  return buildResult(endpoint, {
    bridge: { name: conf.bridge, ...(bridge.mac && { mac: bridge.mac }) },
    host: { name: veth.hostName, mac: hostMac },
    container: { name: key.ifname, mac, sandbox: call.invocation.netns },
    ...(conf.mtu !== undefined && { mtu: conf.mtu }),
  })
}

function prepare({ call, conf, netns }: Site, veth: Veth, { addresses }: Endpoint): void {
  const { deps, invocation } = call
  const hasIPv6 = addresses.some(({ address }) => address.family === 6)
  trySysctl(deps.sysctl, `ipv6/conf/${veth.hostName}/accept_ra`, '0')
  // Without addresses of ours the settings are left to whoever brings some.
  if (addresses.length === 0) return
  deps.inNetns(netns, () => prepareInterface(deps.sysctl, invocation.ifname, conf, hasIPv6))
}

/** Waits until frames pass, and tells the link who has the addresses now. */
function goLive(
  { call, conf, mac, host, inside }: Site,
  veth: Veth,
  bridge: { readonly index: number },
  { addresses }: Endpoint,
): void {
  const neighbours = addresses.map(({ address }) => ({ index: bridge.index, address }))
  waitForPort(host, veth, neighbours, call.deps)
  if (addresses.length > 0) announce(inside, veth.index, mac)
  if (conf.detectDuplicates) waitForDuplicateDetection(inside, veth.index, call.deps)
}

/** What DEL and the daemon must know. */
function recordOf(site: Site, endpoint: Endpoint): AttachmentRecord {
  const { key, target, conf, mac, hostMac } = site
  const { path, device, inode } = site.netns
  return {
    ...key,
    netns: { path, device, inode },
    bridge: conf.bridge,
    hostVeth: hostVethName(key, 0),
    hostMac,
    mac,
    addresses: endpoint.addresses.map(formatPrefix),
    ...(conf.masquerade && {
      masquerade: { exempt: exemptNetworks(endpoint, target.clusterNetworks).map(formatPrefix) },
    }),
  }
}
