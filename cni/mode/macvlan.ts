import { ConfigError, UnsupportedFieldError } from '../../conf/errors.ts'
import type { Mac } from '../../ip/mac.ts'
import { formatPrefix } from '../../ip/prefix.ts'
import { Connection } from '../../netlink/connection.ts'
import { isErrno, NetlinkError } from '../../netlink/errors.ts'
import { addLink, type Link, setLink } from '../../netlink/link.ts'
import { previousMac, readPrevious } from '../chain/previous.ts'
import type { Detachment } from '../del.ts'
import { InterfaceExists } from '../errors.ts'
import { findLink } from '../link.ts'
import { openRemainder } from '../netns.ts'
import { CniError, errorCodes } from '../protocol/error.ts'
import { macvlanMac } from '../stable-names.ts'
import { wantsFeatures } from '../target/wanted-features.ts'
import type { Undo } from '../undo.ts'
import { readHostName } from './bridge.ts'
import {
  announce,
  configureInterface,
  prepareInterface,
  waitForDuplicateDetection,
} from './container.ts'
import { type MacvlanConf, readMacvlanConf } from './macvlan-conf.ts'
import { findParent, parentOf, requireUp } from './macvlan-parent.ts'
import type { Attached, Mode, Site, Work } from './mode.ts'
import { buildResult } from './plan.ts'
import { removeIfThere, waitForPort } from './veth.ts'

interface MacvlanSite {
  readonly parent: Link
  readonly mac: Mac
}

/** An interface on one of the host's networks, with a MAC address of its own there. */
export const macvlanMode: Mode<MacvlanConf, MacvlanSite> = {
  read: readMacvlanConf,
  inspect(site) {
    const { call, conf, host } = site
    if (wantsFeatures(call)) {
      const advice = 'the packets of mode macvlan do not pass through the host'
      throw new UnsupportedFieldError('runtimeConfig', call.conf.runtimeConfig, advice)
    }
    const parent = findParent(host, conf.master)
    requireUp(parent)
    requireMtu(conf.wantedMtu, parent)
    return { parent, mac: macOf(site, parent) }
  },
  plan: ({ netns }, { parent, mac }, { addresses }) => ({
    mode: 'macvlan',
    netns: { path: netns.path, device: netns.device, inode: netns.inode },
    bridge: '',
    hostVeth: '',
    hostMac: '',
    mac,
    addresses: addresses.map(formatPrefix),
    master: parent.name,
  }),
  attach,
}

function requireMtu(mtu: number, { mtu: most }: Link): void {
  if (mtu >= 0 && mtu <= most) return
  throw new ConfigError('mtu', `invalid MTU ${mtu}, must be [0, master MTU(${most})]`)
}

/** Two hosts on one network must not derive the same: their parents' addresses tell them apart. */
function macOf({ conf, key }: Site<MacvlanConf>, parent: Link): Mac {
  if (conf.macvlanMode === 'passthru' && parent.mac) return conf.mac ?? parent.mac
  return conf.mac ?? macvlanMac(key, hostIdentity(parent))
}

/** Hosts on one network have different addresses there; names tell apart hosts on one parent. */
function hostIdentity({ mac = '' }: { readonly mac?: string }): string {
  return `${readHostName()} ${mac}`
}

function attach(
  site: Site<MacvlanConf>,
  { parent, mac }: MacvlanSite,
  { endpoint, undo }: Work,
): Attached {
  const { call, key, conf, netns, inside } = site
  const { deps, invocation } = call
  createMacvlan(site, { parent, mac }, undo)
  const link = findLink(inside, key.ifname)
  if (!link) throw new TypeError(`Cannot find the macvlan ${key.ifname}`)
  const { index } = link
  // One that has its parent for itself is born with the parent's address.
  if (link.mac !== mac) inside.execute(setLink({ index, mac }))
  const hasIPv6 = endpoint.addresses.some(({ address }) => address.family === 6)
  if (endpoint.addresses.length > 0) {
    deps.inNetns(netns, () => prepareInterface(deps.sysctl, invocation.ifname, conf, hasIPv6))
  }
  configureInterface(inside, index, conf, endpoint)
  // What is sent before is lost. A parent without carrier may get one later.
  if (parent.running) waitForPort(inside, { hostIndex: index }, [], deps)
  if (endpoint.addresses.length > 0) announce(inside, index, mac)
  if (conf.detectDuplicates) waitForDuplicateDetection(inside, index, deps)
  const container = { name: key.ifname, mac, sandbox: invocation.netns }
  const result = buildResult(endpoint, { host: [], container, mtu: link.mtu })
  return { result, hostLink: parent.name, hostVeth: '' }
}

/** It is born in the container's namespace under its final name. */
function createMacvlan(
  { host, inside, key, conf, netns }: Site<MacvlanConf>,
  { parent, mac }: MacvlanSite,
  undo: Undo,
): void {
  const { macvlanMode: mode, wantedMtu, bcQueueLength } = conf
  const mtu = wantedMtu === 0 ? undefined : wantedMtu
  const own = { link: parent.index, mode, bcQueueLength }
  // Before the kernel is asked: its answer may get lost.
  let isOurs = true
  undo.defer(() => {
    if (isOurs) removeInside(inside, key.ifname)
  })
  try {
    host.execute(
      addLink({ kind: 'macvlan', name: key.ifname, mac, mtu, netnsFd: netns.fd, ...own }),
    )
  } catch (error) {
    isOurs = !(error instanceof NetlinkError && error.source === 'kernel')
    if (isErrno(error, 'EEXIST')) throw new InterfaceExists(key.ifname)
    if (!isErrno(error, 'EOPNOTSUPP')) throw error
    const details = 'load the kernel module "macvlan": modprobe macvlan'
    const msg = `mode macvlan: this kernel has no macvlan: ${error.message}`
    throw new CniError(errorCodes.kernel, msg, { details, cause: error })
  }
}

function removeInside(inside: Connection, ifname: string): void {
  const link = findLink(inside, ifname)
  if (link?.kind === 'macvlan') removeIfThere(inside, link)
}

/**
 * Removes what ADD made, if the namespace is still there; otherwise it went along. Without a record
 * the MAC address tells whether it was us: another network may have brought in this name.
 */
export function removeMacvlan(detachment: Detachment, host: Connection): void {
  const { call, key, record } = detachment
  using netns = openRemainder(call, record?.link)
  if (!netns) return
  using inside = new Connection(call.deps.inNetns(netns, () => call.deps.openNetlink('route')))
  const link = findLink(inside, key.ifname)
  if (link?.kind !== 'macvlan') return
  if (record || possibleMacs(detachment, host).includes(link.mac)) removeIfThere(inside, link)
}

function possibleMacs({ call, key, target }: Detachment, host: Connection): unknown[] {
  const { master = '' } = target.conf
  const parent = parentOf(host, master || undefined)
  const derived = parent && macvlanMac(key, hostIdentity(parent))
  return [previousMac(call, readPrevious(call)), derived].filter((mac) => mac !== undefined)
}
