import type { Mac } from '../../ip/mac.ts'
import { formatPrefix, type Prefix } from '../../ip/prefix.ts'
import { masquerade } from '../features/masquerade.ts'
import { writePart } from '../records/record.ts'
import { containerMac, hostVethMac, hostVethName } from '../stable-names.ts'
import { trySysctl } from '../sysctl.ts'
import { type Bridge, inspectBridge, readyBridge, settleConflicts } from './bridge.ts'
import { type BridgeConf, readBridgeConf } from './bridge-conf.ts'
import {
  announce,
  configureInterface,
  prepareInterface,
  waitForDuplicateDetection,
} from './container.ts'
import type { Attached, Mode, Site, Work } from './mode.ts'
import { buildResult, type Endpoint, foreseenGateways } from './plan.ts'
import { createVeth, type Veth, waitForPort } from './veth.ts'

/** The bridge as it was before, and what the new interfaces are called. */
interface BridgeSite {
  readonly found: Bridge | undefined
  readonly mac: Mac
  readonly hostMac: Mac
}

/** A veth pair whose host end is a port of a bridge: what a container gets unless it is told. */
export const bridgeMode: Mode<BridgeConf, BridgeSite> = {
  read: readBridgeConf,
  inspect(site) {
    const { call, key, conf } = site
    const found = inspectBridge(site.host, conf)
    const gateways = foreseenGateways(conf)
    // A bridge that is made, found down or may have another address takes more code.
    const isReady = found?.link.up === true && areForeseen(conf, gateways)
    if (conf.isGateway && !isReady) call.deps.load.preparing()
    if (found) settleConflicts(site, found, gateways)
    return { found, mac: conf.mac ?? containerMac(key), hostMac: hostVethMac(key) }
  },
  plan: ({ key, conf, netns }, { mac, hostMac }, { addresses }) => ({
    mode: 'bridge',
    netns: { path: netns.path, device: netns.device, inode: netns.inode },
    bridge: conf.bridge,
    hostVeth: hostVethName(key, 0),
    hostMac,
    mac,
    addresses: addresses.map(formatPrefix),
  }),
  attach,
}

/** Whether these are the gateways that IPAM's answer will have. */
function areForeseen({ ipam }: BridgeConf, gateways: readonly Prefix[]): boolean {
  return ipam.kind === 'own' && ipam.plan.sets.length === gateways.length
}

/** The bridge stays when ADD fails: other attachments share it. */
function attach(
  site: Site<BridgeConf>,
  { found, mac, hostMac }: BridgeSite,
  { endpoint, record, undo }: Work,
): Attached {
  const { call, key, conf, netns, host } = site
  const bridge = readyBridge(site, found, endpoint, undo)
  const port = { bridge: bridge.index, hairpin: conf.hairpin, isolated: conf.isolated }
  const veth = createVeth(host, { key, mac, hostMac, mtu: conf.mtu, netns, port }, undo)
  const { hostName } = veth
  const { link } = record
  if (link && hostName !== link.hostVeth) writePart(key, { link: { ...link, hostVeth: hostName } })
  prepare(site, hostName, endpoint)
  configureInterface(site.inside, veth.index, conf, endpoint)
  masquerade(record, call.deps, undo)
  if (conf.containerUp) goLive(site, veth, { index: bridge.index, mac }, endpoint)
  const { mtu } = conf
  const result = buildResult(endpoint, {
    host: [
      { name: conf.bridge, ...(bridge.mac && { mac: bridge.mac }) },
      { name: hostName, mac: hostMac, ...(mtu !== undefined && { mtu }) },
    ],
    container: { name: key.ifname, mac, sandbox: call.invocation.netns },
    mtu,
  })
  return { result, hostLink: conf.bridge, hostVeth: hostName }
}

function prepare({ call, conf, netns }: Site, hostName: string, { addresses }: Endpoint): void {
  const { deps, invocation } = call
  trySysctl(deps.sysctl, `ipv6/conf/${hostName}/accept_ra`, '0')
  // Without addresses of ours the settings are left to whoever brings some.
  if (addresses.length === 0) return
  const hasIPv6 = addresses.some(({ address }) => address.family === 6)
  deps.inNetns(netns, () => prepareInterface(deps.sysctl, invocation.ifname, conf, hasIPv6))
}

/** Waits until frames pass, and tells the link who has the addresses now. */
function goLive(
  { call, conf, host, inside }: Site,
  veth: Veth,
  { index, mac }: { readonly index: number; readonly mac: Mac },
  { addresses }: Endpoint,
): void {
  const neighbours = addresses.map(({ address }) => ({ index, address }))
  waitForPort(host, veth, neighbours, call.deps)
  if (addresses.length > 0) announce(inside, veth.index, mac)
  if (conf.detectDuplicates) waitForDuplicateDetection(inside, veth.index, call.deps)
}
