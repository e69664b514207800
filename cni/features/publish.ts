import type { AttachmentRecord, PublishedPorts } from '../../conf/attachment-record.ts'
import { missingPublished, publishPorts, unpublishPorts } from '../../firewall/published.ts'
import type { Published } from '../../firewall/published-parts.ts'
import { parseAddress } from '../../ip/address.ts'
import { parsePrefix } from '../../ip/prefix.ts'
import { Connection } from '../../netlink/connection.ts'
import { type Call, type CniDeps, keyOf } from '../call.ts'
import { findRecord, markEnding } from '../records/record.ts'
import { ensureSysctl } from '../sysctl.ts'
import type { Undo } from '../undo.ts'
import { isAlive, siblingsOf } from './port-holders.ts'
import { ownLoopback } from './port-mappings.ts'

/**
 * Publishes ports; their record is there already. `hostLink` is the host's interface towards the
 * container, if it is known. A port that leads to the same container by another of its networks
 * goes on doing so. Taken back by `undo`.
 * @throws PortTaken naming the owner, who is alive.
 */
export function publish(
  call: Call,
  hostLink: string | undefined,
  ports: PublishedPorts,
  undo: Undo,
): void {
  const { deps } = call
  if (ports.mappings.length === 0) return
  if (ports.addresses.some((address) => address.includes(':'))) {
    deps.log.info('published ports are out of reach of [::1]: use 127.0.0.1 or another address')
  }
  // Before the kernel is asked: its answer may get lost.
  undo.defer(() => takeBack(call))
  using firewall = new Connection(deps.openNetlink('netfilter'))
  publishPorts(firewall, publishedOf({ ...keyOf(call), ports }), {
    isAlive: (holder) => isAlive(holder, deps),
  })
  // Last: the rules keep containers from the host's loopback, to which this opens the way.
  if (hostLink !== undefined && answersLocalhost(ports)) ensureLocalhostRouted(hostLink, deps)
}

/** Whether a client on this host may come from 127.0.0.1 and expect an answer there. */
function answersLocalhost({ mappings, near }: PublishedPorts): boolean {
  const isNear = near.includes(ownLoopback) || near.includes('0.0.0.0/0')
  return (
    isNear &&
    mappings.some(({ hostIp = '0.0.0.0' }) => hostIp === '0.0.0.0' || hostIp.startsWith('127.'))
  )
}

/** Without it the kernel takes 127.0.0.0/8 on any other link than `lo` for a mistake. */
function ensureLocalhostRouted(hostLink: string, { sysctl }: CniDeps): void {
  ensureSysctl(sysctl, `ipv4/conf/${hostLink}/route_localnet`, '1')
}

function takeBack(call: Call): void {
  const record = findRecord(keyOf(call))
  try {
    // Or the daemon would put back what is taken back here.
    if (record) markEnding(record)
  } finally {
    unpublish(call, record)
  }
}

/**
 * Takes published ports back: those of the record, else all that carry the attachment's tag. That
 * there are none is success. A port that the container has by another network too leads there then.
 */
export function unpublish(call: Call, record: AttachmentRecord | undefined): void {
  const { deps } = call
  const { network, ...owner } = keyOf(call)
  using firewall = new Connection(deps.openNetlink('netfilter'))
  if (!record?.ports) {
    unpublishPorts(firewall, { network, owner })
    return
  }
  const { mappings, addresses } = publishedOf(record)
  unpublishPorts(firewall, { network, owner, mappings, addresses })
  if (mappings.length === 0) return
  for (const sibling of siblingsOf(record)) {
    try {
      publishPorts(firewall, publishedOf(sibling))
      // Its own DEL may have passed meanwhile.
      const now = findRecord(sibling)
      if (!now || now.ending) unpublishPorts(firewall, { network: sibling.network, owner: sibling })
    } catch (error) {
      // It is another attachment's matter, and no reason to keep this one.
      deps.log.warn('could not lead a published port to the other network of its container', {
        network: sibling.network,
        error: String(error),
      })
    }
  }
}

/** Says what the published ports lack, for CHECK. */
export function publishFault({ deps }: Call, record: AttachmentRecord): string | undefined {
  const { ports } = record
  if (!ports || ports.mappings.length === 0) return undefined
  using firewall = new Connection(deps.openNetlink('netfilter'))
  return missingPublished(firewall, publishedOf(record))
}

const noPorts: PublishedPorts = { mappings: [], addresses: [], near: [] }

function publishedOf(record: AttachmentRecord): Published {
  const { network, containerId, ifname, ports = noPorts } = record
  const { mappings, addresses, near } = ports
  return {
    network,
    owner: { containerId, ifname },
    mappings,
    addresses: addresses.flatMap((text) => parseAddress(text) ?? []),
    near: near.flatMap((text) => parsePrefix(text) ?? []),
  }
}
