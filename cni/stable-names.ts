import type { AttachmentKey } from '../conf/attachment-record.ts'
import { stableHash } from '../ip/hash.ts'
import { localMac, type Mac } from '../ip/mac.ts'

export type { AttachmentKey }

/**
 * The host end's name: `veth` and eight hex digits, as the reference plugin's, but made from the
 * attachment, so that DEL finds the link even when nothing was written down. `attempt` counts the
 * names taken by others.
 */
export function hostVethName(key: AttachmentKey, attempt: number): string {
  const digits = hashOf('veth', key, String(attempt)) & 0xffffffffn
  return `veth${digits.toString(16).padStart(8, '0')}`
}

/** The host end's MAC address. It is also the mark by which DEL knows the link as its own. */
export function hostVethMac(key: AttachmentKey): Mac {
  return macOf(hashOf('host', key))
}

export function containerMac(key: AttachmentKey): Mac {
  return macOf(hashOf('container', key))
}

/** A macvlan's: it is on a network that other hosts are on too, so the host counts. */
export function macvlanMac(key: AttachmentKey, host: string): Mac {
  return macOf(hashOf('macvlan', key, host))
}

/**
 * A new bridge's MAC address. Given at creation it stays, where a bridge left alone takes over
 * its lowest port's and drops flows with every change. The gateways tell hosts of one name apart.
 */
export function bridgeMac(host: string, bridge: string, gateways: readonly string[]): Mac {
  return macOf(stableHash(['bridge', host, bridge, ...gateways].join('\n')))
}

/** No name or id holds a line break, so different attachments give different texts. */
function hashOf(purpose: string, key: AttachmentKey, ...more: readonly string[]): bigint {
  return stableHash([purpose, key.network, key.containerId, key.ifname, ...more].join('\n'))
}

/** A MAC that is set explicitly is also one that udev and systemd leave alone. */
function macOf(hash: bigint): Mac {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, hash)
  return localMac(bytes.subarray(2))
}
