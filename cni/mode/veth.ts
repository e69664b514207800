import type { Address } from '../../ip/address.ts'
import type { Mac } from '../../ip/mac.ts'
import type { Answer, Connection } from '../../netlink/connection.ts'
import { isErrno, type NetlinkError } from '../../netlink/errors.ts'
import { addLink, deleteLink, getLink, type Link, setBridgePort } from '../../netlink/link.ts'
import { forgetNeighbour } from '../../netlink/neighbour.ts'
import type { Netns } from '../../sys/netns.ts'
import type { CniDeps } from '../call.ts'
import { ConflictError, InterfaceExists } from '../errors.ts'
import { findLink } from '../link.ts'
import { CniError, errorCodes } from '../protocol/error.ts'
import { type AttachmentKey, hostVethMac, hostVethName } from '../stable-names.ts'
import type { Undo } from '../undo.ts'

/** Names tried for the host end when others have taken the first. */
const nameAttempts = 4

/** `operstate` UP of RFC 2863, as the kernel counts (uapi/linux/if.h). */
const IF_OPER_UP = 6

/** Pauses after looks at a port that is not up yet: 3.5 s in all, as upstream. 0 ends the waiting. */
const portPausesMs = [0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 250, 500, 1000, 1500, 0]

/** A veth pair to be made: one end on the host, the other born inside the container. */
export interface VethPlan {
  readonly key: AttachmentKey
  readonly mac: Mac
  readonly hostMac: Mac
  /** Bytes; undefined leaves the kernel's default. */
  readonly mtu: number | undefined
  readonly netns: Netns
  /** The bridge's index, and how it treats the host's end; without it that is no port. */
  readonly port?: { readonly bridge: number; readonly hairpin: boolean; readonly isolated: boolean }
}

/** A pair that was made. `index` is the container end's, in its own namespace. */
export interface Veth {
  readonly hostName: string
  readonly hostIndex: number
  readonly index: number
}

/**
 * Makes the pair, host end up and in its bridge, in one exchange with the kernel. Both ends get
 * their MAC addresses at birth, which is what keeps udev from changing them.
 * @throws InterfaceExists, NetlinkError; ConflictError when all names are taken.
 */
export function createVeth(host: Connection, plan: VethPlan, undo: Undo): Veth {
  const { key } = plan
  for (let attempt = 0; attempt < nameAttempts; attempt++) {
    const name = hostVethName(key, attempt)
    const veth = tryName(host, plan, name, undo)
    if (veth) return veth
    // The kernel says "already exists" of either end.
    if (!findLink(host, name)) throw new InterfaceExists(key.ifname)
  }
  const name = hostVethName(key, 0)
  throw new ConflictError(name, `host veth name provided (${name}) already exists`, 'delete it')
}

/** Undefined when a name is taken. */
function tryName(
  host: Connection,
  { key, mac, hostMac, mtu, netns, port }: VethPlan,
  name: string,
  undo: Undo,
): Veth | undefined {
  const peer = { name: key.ifname, mac, mtu, netnsFd: netns.fd }
  const hostEnd = { name, mac: hostMac, mtu, master: port?.bridge, up: true }
  // Before the kernel is asked: its answer may get lost.
  let isOurs = true
  undo.defer(() => {
    if (isOurs) removeHostVeth(host, { hostVeth: name, hostMac })
  })
  const [made, link, configured] = host.exchange([
    addLink({ kind: 'veth', ...hostEnd, peer }),
    getLink({ name }),
    ...(port ? [setBridgePort({ name, hairpin: port.hairpin, isolated: port.isolated })] : []),
  ])
  isOurs = made.error === undefined
  if (isErrno(made.error, 'EEXIST')) return undefined
  if (made.error) throw made.error
  const failure = link.error ?? configured?.error
  if (failure) throw failure
  if (link.value?.linkIndex === undefined) throw new TypeError(`Cannot find the peer of ${name}`)
  return { hostName: name, hostIndex: link.value.index, index: link.value.linkIndex }
}

/**
 * Waits until frames pass the host's end, which the bridge forwards for then, and makes the host
 * forget whom these addresses belonged to before, which it would otherwise go on sending to for
 * seconds.
 * @throws CniError when it does not come up.
 */
export function waitForPort(
  host: Connection,
  { hostIndex }: Pick<Veth, 'hostIndex'>,
  stale: readonly { readonly index: number; readonly address: Address }[],
  deps: CniDeps,
): void {
  for (const pauseMs of portPausesMs) {
    // Asking also makes the kernel act on the new carrier at once, not when it gets to it.
    const [port, ...forgotten] = host.exchange([
      getLink({ index: hostIndex }),
      ...stale.map(forgetNeighbour),
    ])
    const failure = firstError([port, ...forgotten])
    if (failure) throw failure
    if (port.value?.operstate === IF_OPER_UP) return
    if (pauseMs === 0) throw portDown(port.value?.operstate)
    deps.sleep(pauseMs)
  }
}

function firstError(answers: readonly Answer<unknown>[]): NetlinkError | undefined {
  for (const { error } of answers) if (error) return error
  return undefined
}

function portDown(operstate = 0): CniError {
  const state = operStates[operstate] ?? String(operstate)
  return new CniError(errorCodes.kernel, `bridge port in error state: ${state}`)
}

const operStates = [
  'unknown',
  'not-present',
  'down',
  'lower-layer-down',
  'testing',
  'dormant',
  'up',
]

function removeHostVeth(host: Connection, made: HostVeth): void {
  const link = findHostVeth(host, [made])
  if (link) removeIfThere(host, link)
}

/** Removes a link. That the namespace, or another DEL, took it along meanwhile is success. */
export function removeIfThere(connection: Connection, { index }: Pick<Link, 'index'>): void {
  try {
    connection.execute(deleteLink({ index }))
  } catch (error) {
    if (!isErrno(error, 'ENODEV')) throw error
  }
}

/** What tells a host end from links of others: its name and the MAC address that ADD gave it. */
export interface HostVeth {
  readonly hostVeth: string
  readonly hostMac: string
}

/** The host ends that ADD may have made for an attachment of which there is no record. */
export function possibleHostVeths(key: AttachmentKey): HostVeth[] {
  const hostMac = hostVethMac(key)
  return Array.from({ length: nameAttempts }, (_, attempt) => ({
    hostVeth: hostVethName(key, attempt),
    hostMac,
  }))
}

/** The first of these links that is there. */
export function findHostVeth(host: Connection, candidates: readonly HostVeth[]): Link | undefined {
  for (const { hostVeth, hostMac } of candidates) {
    const link = findLink(host, hostVeth)
    if (link?.kind === 'veth' && link.mac === hostMac) return link
  }
  return undefined
}
