import { readFileSync } from '#fs'
import type { Family } from '../../ip/address.ts'
import { families } from '../../ip/by-family.ts'
import type { Mac } from '../../ip/mac.ts'
import {
  distinctPrefixes,
  formatPrefix,
  type Prefix,
  prefixesOverlap,
  samePrefix,
} from '../../ip/prefix.ts'
import { addAddress, deleteAddress, listAddresses } from '../../netlink/address.ts'
import type { Connection } from '../../netlink/connection.ts'
import { isErrno } from '../../netlink/errors.ts'
import { addLink, type Link, setLink } from '../../netlink/link.ts'
import { ConflictError } from '../errors.ts'
import { findLink } from '../link.ts'
import { bridgeMac } from '../stable-names.ts'
import { ensureSysctl, type Sysctl, trySysctl } from '../sysctl.ts'
import type { Undo } from '../undo.ts'
import type { BridgeConf } from './bridge-conf.ts'
import type { Site } from './mode.ts'
import type { Endpoint } from './plan.ts'

/** A bridge as found, with its addresses if they matter. */
export interface Bridge {
  readonly link: Link
  readonly present: readonly Prefix[]
}

/** The configured bridge, undefined when there is none. @throws ConflictError for another link. */
export function inspectBridge(host: Connection, conf: BridgeConf): Bridge | undefined {
  const link = findLink(host, conf.bridge)
  if (link === undefined) return undefined
  if (link.kind !== 'bridge') {
    const message = `"${conf.bridge}" already exists but is not a bridge`
    throw new ConflictError(conf.bridge, message, 'choose another name with "bridge"')
  }
  return { link, present: conf.isGateway ? addressesOf(host, link) : [] }
}

function addressesOf(host: Connection, { index }: Link): Prefix[] {
  return host.dump(listAddresses({ index })).map(({ prefix }) => prefix)
}

/**
 * Brings the bridge to what an endpoint needs: there, up, with the gateways' addresses, the host
 * forwarding. It stays so when ADD fails, since other attachments share it; only what was done to
 * addresses that were in the way is taken back when `undo` is disposed.
 */
export function readyBridge(
  site: Site<BridgeConf>,
  found: Bridge | undefined,
  { gateways }: Endpoint,
  undo: Undo,
): { readonly index: number; readonly mac?: Mac } {
  const bridge = found ?? createBridge(site, gateways)
  const { conf, host } = site
  settleConflicts(site, bridge, gateways)
  const { index, up, promiscuous } = bridge.link
  const wanted = conf.promiscuous && !promiscuous
  // First, since a bridge that is up is taken for one that has it.
  if (!up && conf.isGateway) site.call.deps.load.preparing().acceptForwarding(site, conf.bridge)
  if (!up || wanted) {
    host.execute(setLink({ index, up: true, ...(wanted && { promiscuous: true }) }))
  }
  const mac = ensureGateways(site, bridge, gateways, undo)
  return mac === undefined ? bridge.link : { index, mac }
}

/** Makes the bridge; one that another ADD makes at the same time is as good. */
function createBridge(site: Site<BridgeConf>, gateways: readonly Prefix[]): Bridge {
  const { host, conf } = site
  const { sysctl } = site.call.deps
  const name = conf.bridge
  const mac = bridgeMac(readHostName(), name, gateways.map(formatPrefix))
  try {
    host.execute(addLink({ kind: 'bridge', name, mac, mtu: conf.mtu }))
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error
  }
  // Before it is up: where this interface's routes lead is ours to say, not a router's.
  trySysctl(sysctl, `ipv6/conf/${name}/accept_ra`, '0')
  // The host asks for its containers from the bridge's link-local address, which would be of no use
  // for the second or two in which its uniqueness is probed: nobody reached a first container.
  if (!conf.detectDuplicates) trySysctl(sysctl, `ipv6/conf/${name}/accept_dad`, '0')
  const made = inspectBridge(host, conf)
  if (made) return made
  throw new ConflictError(name, `bridge "${name}" was deleted while it was being made`, 'try again')
}

/** The host's name, as its network namespace shares it with others. */
export function readHostName(): string {
  return readFileSync('/proc/sys/kernel/hostname', 'utf8').trimEnd()
}

/** An address of the bridge that keeps it from being a gateway. */
export interface Conflict {
  readonly gateway: Prefix
  readonly address: Prefix
}

/**
 * The addresses that keep a bridge from being these gateways: in IPv4 any other one, in IPv6 one
 * whose network overlaps. The gateways of one ADD do not disturb each other.
 */
export function conflictsOf(
  gateways: readonly Prefix[],
  present: readonly Prefix[],
): readonly Conflict[] {
  const conflicts: Conflict[] = []
  for (const gateway of missingOf(gateways, present)) {
    for (const address of present) {
      if (includes(gateways, address) || !isInTheWay(address, gateway)) continue
      conflicts.push({ gateway, address })
    }
  }
  return conflicts
}

function isInTheWay(address: Prefix, gateway: Prefix): boolean {
  if (address.address.family !== gateway.address.family) return false
  return address.address.family === 4 || prefixesOverlap(address, gateway)
}

function missingOf(gateways: readonly Prefix[], present: readonly Prefix[]): Prefix[] {
  const missing: Prefix[] = []
  for (const gateway of gateways) if (!includes(present, gateway)) missing.push(gateway)
  return missing
}

function includes(prefixes: readonly Prefix[], prefix: Prefix): boolean {
  for (const one of prefixes) if (samePrefix(one, prefix)) return true
  return false
}

/**
 * Makes sure that the bridge can be these gateways. Addresses that are in the way go when
 * `forceAddress` is set, or when they are left from before and nothing uses them any more.
 * @throws ConflictError in the words of the reference plugin.
 */
export function settleConflicts(
  site: Site<BridgeConf>,
  bridge: Bridge,
  gateways: readonly Prefix[],
): void {
  if (site.conf.forceAddress) return
  for (const conflict of conflictsOf(gateways, bridge.present)) {
    site.call.deps.load.preparing().requireUnused(site, bridge, conflict)
  }
}

/** Returns the bridge's MAC address if that had to change. */
function ensureGateways(
  { host, conf, call }: Site<BridgeConf>,
  { link, present }: Bridge,
  gateways: readonly Prefix[],
  undo: Undo,
): Mac | undefined {
  if (gateways.length === 0) return undefined
  ensureForwarding(call.deps.sysctl, gateways)
  const missing = missingOf(gateways, present)
  if (missing.length === 0) return undefined
  const conflicts = conflictsOf(gateways, present)
  const inTheWay = distinctPrefixes(conflicts.map(({ address }) => address))
  replaceAddresses(host, link, inTheWay, missing)
  if (inTheWay.length === 0) return undefined
  undo.defer(() => replaceAddresses(host, link, missing, inTheWay))
  if (conf.forceAddress || link.mac === undefined) return undefined
  // It tells the next change that the addresses are ours.
  const mac = bridgeMac(readHostName(), link.name, gateways.map(formatPrefix))
  host.execute(setLink({ index: link.index, mac }))
  undo.defer(() => host.execute(setLink({ index: link.index, mac: link.mac })))
  return mac
}

/** Lets the host route between its networks, in the families of these addresses. */
export function ensureForwarding(sysctl: Sysctl, gateways: readonly Prefix[]): void {
  for (const family of families) {
    if (gateways.some(({ address }) => address.family === family)) {
      ensureSysctl(sysctl, forwardingKeys[family], '1')
    }
  }
}

/** What another ADD has done meanwhile is done. */
function replaceAddresses(
  host: Connection,
  { index }: Link,
  from: readonly Prefix[],
  to: readonly Prefix[],
): void {
  const answers = host.batch([
    ...from.map((prefix) => deleteAddress({ index, prefix })),
    ...to.map((prefix) => addAddress({ index, prefix, noDad: true })),
  ])
  const failure = answers.find((error) => error && !isErrno(error, 'EEXIST', 'EADDRNOTAVAIL'))
  if (failure) throw failure
}

/** What must be 1 for the host to route between its networks. */
export const forwardingKeys: Readonly<Record<Family, string>> = {
  4: 'ipv4/ip_forward',
  6: 'ipv6/conf/all/forwarding',
}
