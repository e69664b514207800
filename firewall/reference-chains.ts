/** The names that the reference plugins' iptables backends give the chains of one attachment. */

/** One attachment, and which of the plugins may have written something for it. */
export interface ReferenceAttachment {
  readonly network: string
  readonly containerId: string
  readonly ifname: string
  /** `ipMasq` of bridge or ptp. */
  readonly masquerade: boolean
  /** portmap. */
  readonly ports: boolean
}

export interface ReferenceDeps {
  /** SHA-512 of the text in UTF-8, as hex digits: names of chains are made of it. */
  readonly sha512Hex: (text: string) => string
}

/** A chain of the attachment's own, and the chain from which it is entered. */
interface ReferenceChain {
  readonly chain: string
  readonly from: string
}

/** The longest name of a chain in iptables, as the plugins have it. */
const CHAIN_LENGTH = 28

/** In table nat of either family. Two interfaces of a container in one network share them. */
export function referenceChains(
  { network, containerId, masquerade, ports }: Omit<ReferenceAttachment, 'ifname'>,
  { sha512Hex }: ReferenceDeps,
): ReferenceChain[] {
  if (!masquerade && !ports) return []
  const hash = sha512Hex(`${network}${containerId}`)
  const name = (prefix: string) => `${prefix}${hash}`.slice(0, CHAIN_LENGTH)
  return [
    ...(masquerade ? [{ chain: name('CNI-'), from: 'POSTROUTING' }] : []),
    ...(ports ? [{ chain: name('CNI-DN-'), from: 'CNI-HOSTPORT-DNAT' }] : []),
  ]
}
