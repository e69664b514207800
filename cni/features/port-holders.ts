import { findNames, readdirSync } from '#fs'
import {
  type AttachmentKey,
  type AttachmentRecord,
  attachmentsFolder,
  RecordVersionError,
} from '../../conf/attachment-record.ts'
import type { Holder } from '../../firewall/port-owner.ts'
import { Connection } from '../../netlink/connection.ts'
import type { CniDeps } from '../call.ts'
import { findLink } from '../link.ts'
import { findHostVeth, possibleHostVeths } from '../mode/veth.ts'
import { markEnding, readRecord } from '../records/record.ts'
import { keyOfFile } from '../records/records.ts'

/**
 * Whether the container that has a port is still there, as far as the host can tell: one that went
 * without a DEL took its link along. Called when a port is taken, so not often.
 */
export function isAlive(holder: Holder, deps: CniDeps): boolean {
  if (holder.ifname === '') return true
  const record = readKnown(holder)
  if (record === 'newer') return true
  using host = new Connection(deps.openNetlink('route'))
  const lives = record
    ? isLinkThere(host, record)
    : findHostVeth(host, possibleHostVeths(holder)) !== undefined
  if (lives) return true
  // Whoever rebuilds the firewall by records must not give it back.
  if (record) markEnding(record)
  const { network, containerId, ifname } = holder
  deps.log.warn('took over a host port of a container that is gone', {
    network,
    container: containerId,
    interface: ifname,
  })
  return false
}

function isLinkThere(host: Connection, { ending, link, ports }: AttachmentRecord): boolean {
  // Another DEL is about to let go of it.
  if (ending) return false
  const name = link?.hostVeth ?? ports?.hostVeth ?? ''
  if (name === '') return true
  return link ? findHostVeth(host, [link]) !== undefined : findLink(host, name) !== undefined
}

/** Another attachment's record, of which that it is a newer heddle's may be all that can be known. */
function readKnown(key: AttachmentKey): AttachmentRecord | 'newer' | undefined {
  try {
    return readRecord(key)
  } catch (error) {
    if (error instanceof RecordVersionError) return 'newer'
    throw error
  }
}

/** The other attachments of the same container that have a port of the host's too. */
export function siblingsOf({ ports, ...key }: AttachmentRecord): AttachmentRecord[] {
  const places = new Set(ports?.mappings.map(({ protocol, hostPort }) => `${protocol} ${hostPort}`))
  const siblings: AttachmentRecord[] = []
  for (const network of readdirSync(attachmentsFolder)) {
    for (const file of findNames(`${attachmentsFolder}/${network}`, `${key.containerId}-`)) {
      const other = keyOfFile(network, file)
      if (!other || other.containerId !== key.containerId || isSame(other, key)) continue
      const record = readKnown(other)
      if (record === 'newer') continue
      const shared = record?.ports?.mappings.some(({ protocol, hostPort }) =>
        places.has(`${protocol} ${hostPort}`),
      )
      if (record && shared && !record.ending) siblings.push(record)
    }
  }
  return siblings
}

function isSame(a: AttachmentKey, b: AttachmentKey): boolean {
  return a.network === b.network && a.ifname === b.ifname
}
