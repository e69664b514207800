/** A network namespace of the model kernel. */
import type { Mac } from '../../ip/mac.ts'
import { addressTable, ifaddrmsg } from '../../netlink/codec/address.ts'
import type { LinkInfo } from '../../netlink/codec/kind.ts'
import { encodeBody } from '../../netlink/codec/struct.ts'

/** Something that is kept as it was sent. `index` is the link that it goes with. */
export interface Kept {
  readonly key: string
  readonly index: number
  readonly body: Uint8Array
}

export interface ModelNetns {
  readonly name: string
  readonly fd: number
  readonly others: ModelNetns[]
  readonly links: Map<number, ModelLink>
  addresses: Kept[]
  routes: Kept[]
  /** Queueing disciplines and filters. */
  traffic: Kept[]
  nextIndex: number
}

export interface ModelLink {
  readonly netns: ModelNetns
  readonly index: number
  name: string
  mac: Mac | string
  mtu: number
  up: boolean
  promiscuous: boolean
  master?: number | undefined
  /** A veth's other end, or the link below a macvlan. */
  peer?: ModelLink
  alias?: string | undefined
  group?: number | undefined
  info: LinkInfo
}

/** Forgets what went with a link. */
export function forgetLink(netns: ModelNetns, index: number): void {
  const others = ({ index: other }: Kept) => other !== index
  netns.links.delete(index)
  netns.addresses = netns.addresses.filter(others)
  netns.routes = netns.routes.filter(others)
  netns.traffic = netns.traffic.filter(others)
}

const ownAddress = { family: 4, value: 0x7f000001n } as const

/** The loopback has its address while it is up. */
export function setLoopbackAddress(netns: ModelNetns, up: boolean): void {
  netns.addresses = netns.addresses.filter(({ index }) => index !== 1)
  if (!up) return
  const header = { family: 2, prefixLength: 8, index: 1 }
  const attrs = { address: ownAddress, local: ownAddress }
  const body = encodeBody(ifaddrmsg, header, addressTable, attrs)
  netns.addresses.push({ key: 'own', index: 1, body })
}
