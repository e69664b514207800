/** Who has a port of the host: the tags on the elements of the port maps. */
import type { Owner } from './masquerade-pool.ts'
import { commentText, nameHash } from './names.ts'
import type { Protocol } from './port-mapping.ts'

/** Who a port belongs to. The last three are empty when the tag does not tell: it was cut. */
export interface Holder {
  readonly tag: string
  readonly network: string
  readonly containerId: string
  readonly ifname: string
}

/** A port of the host, on one address in canonical text or on all. */
interface TakenPort {
  readonly protocol: Protocol
  readonly port: number
  readonly hostIp?: string | undefined
}

/** The host's port is somebody else's. Nothing has changed. */
export class PortTaken extends Error {
  override readonly name = 'PortTaken'
  readonly protocol: Protocol
  readonly port: number
  /** The address on which both want it; absent when both want it on all. */
  readonly hostIp: string | undefined
  readonly holder: Holder

  constructor({ protocol, port, hostIp }: TakenPort, holder: Holder) {
    const where = hostIp === undefined ? '' : ` on ${hostIp}`
    super(`host port ${port}/${protocol}${where} is taken by ${describe(holder)}`)
    this.protocol = protocol
    this.port = port
    this.hostIp = hostIp
    this.holder = holder
  }
}

function describe({ tag, network, containerId, ifname }: Holder): string {
  if (ifname !== '') return `container ${containerId} (interface ${ifname} of network ${network})`
  return tag === '' ? 'an entry without an owner' : `"${tag}"`
}

/** Longer names of networks are cut, so that a tag always begins with a whole one. */
const NETWORK_LENGTH = 40

/** How the tags of all of a network's elements begin, and no others. */
export function networkTag(network: string): string {
  if (network.length <= NETWORK_LENGTH && /^[\w.:/-]+$/.test(network)) return `${network} `
  // No network is named so: "@" is no part of a name.
  return `${network.replaceAll(/[^\w.:/-]/g, '_').slice(0, NETWORK_LENGTH - 17)}@${nameHash(network)} `
}

/** The comment of an owner's elements. */
export function portTag(network: string, { containerId, ifname }: Owner): string {
  return commentText(`${networkTag(network)}${containerId} ${ifname}`)
}

/** Kernel: the longest name of an interface. A tag that was cut ends in a hash, which is longer. */
const IFNAME_LENGTH = 15

/** Reads the tag of an element. */
export function holderOf(tag: string): Holder {
  const [network = '', containerId = '', ifname = ''] = wholeTag(tag) ?? []
  return network === '' || network.includes('@')
    ? { tag, network: '', containerId: '', ifname: '' }
    : { tag, network, containerId, ifname }
}

/** Whether both are interfaces of one container. */
export function isSameContainer(tag = '', other = ''): boolean {
  const containerId = wholeTag(tag)?.[1]
  return containerId !== undefined && containerId === wholeTag(other)?.[1]
}

function wholeTag(tag: string): string[] | undefined {
  const words = tag.split(' ')
  const ifname = words[2] ?? ''
  const isWhole = words.length === 3 && ifname !== '' && ifname.length <= IFNAME_LENGTH
  return isWhole ? words : undefined
}
