import { statSync } from 'node:fs'
import { join } from 'node:path'
import {
  type AttachmentRecord,
  attachmentFile,
  attachmentsFolder,
} from '../../conf/attachment-record.ts'
import { removeForwardAccept } from '../../firewall/forward-accept.ts'
import { pluginTable } from '../../firewall/plugin-parts.ts'
import { syncPluginTable } from '../../firewall/plugin-table.ts'
import { removeTable } from '../../firewall/sync.ts'
import { type Prefix, parsePrefix, prefixContains, samePrefix } from '../../ip/prefix.ts'
import { listAddresses } from '../../netlink/address.ts'
import type { Connection } from '../../netlink/connection.ts'
import { deleteLink, type Link, listLinks } from '../../netlink/link.ts'
import { bridgesOf, pluginStateOf, readAttachments } from '../firewall/attachments.ts'
import { findLink } from '../kernel/devices.ts'
import { removeFile, removeIfEmpty } from './files.ts'
import type { Report } from './report.ts'

/** The plugin's bridge where a configuration names none, and docker's, which never is the plugin's. */
const USUAL_BRIDGE = 'cni0'
const DOCKERS_BRIDGE = 'docker0'
/** Where flannel's plugin, and ours for it, keeps what it was asked for, by the container's id. */
const DELEGATED = '/var/lib/cni/flannel'

export interface AttachmentInput {
  readonly route: Connection
  readonly netfilter: Connection
  readonly networks: readonly Prefix[]
  /** The bridges' addresses: the first of each of this host's subnets. */
  readonly gateways: readonly Prefix[]
  readonly report: Report
}

/** The records of attachments in these networks. */
export interface FoundAttachments {
  readonly running: readonly AttachmentRecord[]
  readonly gone: readonly AttachmentRecord[]
}

/** Reads them, and looks which of the containers are there. */
export function findAttachments(route: Connection, networks: readonly Prefix[]): FoundAttachments {
  const ours = readAttachments().filter((record) => isIn(record, networks))
  const isThere = new Set(ours.filter((record) => isRunning(route, record)))
  return {
    running: ours.filter((record) => isThere.has(record)),
    gone: ours.filter((record) => !isThere.has(record)),
  }
}

/** Whose they are, as `<container id> <ifname>`. */
export function ownersOf(records: readonly AttachmentRecord[]): ReadonlySet<string> {
  return new Set(records.map(({ containerId, ifname }) => `${containerId} ${ifname}`))
}

/**
 * Removes what the plugin made in these networks and nobody uses: the records and firewall entries of
 * containers that went without DEL, and bridges without ports. What running containers stand on is
 * theirs until their DEL: the bridge, the link, their firewall entries.
 */
export function removeAttachments(input: AttachmentInput & FoundAttachments): void {
  const { route, netfilter, report, running, gone } = input
  const ours = [...running, ...gone]
  for (const record of gone) forget(route, record, report)
  removeIfEmpty(DELEGATED)
  syncTable(netfilter, report)
  for (const bridge of idleBridges(input, bridgesOf(ours))) {
    route.execute(deleteLink({ index: bridge.index }))
    report.removed(`bridge ${bridge.name}`)
  }
  // A bridge that went by other hands left its rules.
  for (const name of [...bridgesOf(ours), USUAL_BRIDGE]) {
    const isGone = findLink(route, name) === undefined
    if (isGone && removeForwardAccept(netfilter, name)) {
      report.removed(`accept rules of bridge ${name} in iptables FORWARD`)
    }
  }
  for (const { network, containerId, ifname, link } of running) {
    const on = link?.bridge ? ` with bridge ${link.bridge}` : ''
    const why = 'it is running: detach it, then run this again'
    report.stays(`container ${containerId} (${ifname}) of network ${network}${on}`, why)
  }
}

function isIn({ link, ports }: AttachmentRecord, networks: readonly Prefix[]): boolean {
  return [...(link?.addresses ?? []), ...(ports?.addresses ?? [])].some((text) => {
    const prefix = parsePrefix(text) ?? parsePrefix(`${text}/${text.includes(':') ? 128 : 32}`)
    return prefix !== undefined && networks.some((one) => prefixContains(one, prefix.address))
  })
}

/**
 * Whether the container is there, perhaps in the middle of its ADD. Its link goes with its namespace,
 * wherever that is named.
 */
function isRunning(route: Connection, { link, ports }: AttachmentRecord): boolean {
  const hostVeth = link?.hostVeth || ports?.hostVeth
  const found = hostVeth ? findLink(route, hostVeth) : undefined
  const isLinked = found !== undefined && (!link?.hostMac || found.mac === link.hostMac)
  return isLinked || (link !== undefined && isSameNetns(link.netns))
}

function isSameNetns({
  path,
  device,
  inode,
}: {
  readonly path: string
  readonly device: number
  readonly inode: number
}): boolean {
  const found = statSync(path, { throwIfNoEntry: false })
  return found?.dev === device && found.ino === inode
}

function forget(route: Connection, record: AttachmentRecord, report: Report): void {
  const { network, containerId, ifname, shaping } = record
  const ifb = shaping?.ifb === undefined ? undefined : findLink(route, shaping.ifb)
  if (ifb?.kind === 'ifb') route.execute(deleteLink({ index: ifb.index }))
  removeFile(join(DELEGATED, containerId))
  const file = attachmentFile(network, containerId, ifname)
  removeFile(join(attachmentsFolder, file))
  report.removed(`the record of container ${containerId} (${ifname}), which is gone`)
}

/** The table holds what the records of all networks want; without any it goes. */
function syncTable(netfilter: Connection, report: Report): void {
  const left = readAttachments()
  if (left.length > 0) {
    syncPluginTable(netfilter, () => pluginStateOf(readAttachments()))
    return
  }
  if (removeTable(netfilter, pluginTable)) {
    report.removed(`nftables table ${pluginTable.family} ${pluginTable.name}`)
  }
}

/** Bridges without ports that are the plugin's: they have a gateway's address of ours. */
function idleBridges(
  { route, gateways, networks }: AttachmentInput,
  recorded: readonly string[],
): Link[] {
  const links = route.dump(listLinks())
  return links.filter((link) => {
    if (link.kind !== 'bridge' || links.some(({ master }) => master === link.index)) return false
    const addresses = route.dump(listAddresses({ index: link.index })).map(({ prefix }) => prefix)
    if ([USUAL_BRIDGE, ...recorded].includes(link.name)) {
      // One of another network's containers may have the name.
      return addresses.some(({ address }) => networks.some((one) => prefixContains(one, address)))
    }
    return (
      link.name !== DOCKERS_BRIDGE &&
      addresses.some((address) => gateways.some((gateway) => samePrefix(address, gateway)))
    )
  })
}
