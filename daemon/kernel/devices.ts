import { isLinkLocal, sameAddress } from '../../ip/address.ts'
import type { Mac } from '../../ip/mac.ts'
import { type Prefix, prefixCovers } from '../../ip/prefix.ts'
import { listAddresses } from '../../netlink/address.ts'
import type { Request } from '../../netlink/codec/message.ts'
import type { Connection } from '../../netlink/connection.ts'
import { isErrno, NetlinkError } from '../../netlink/errors.ts'
import { addLink, deleteLink, getLink, type Link, listLinks, setLink } from '../../netlink/link.ts'
import type { VxlanDevice } from '../backend/kernel-state.ts'
import { AlreadyRunningError } from '../host/locks.ts'

/** An interface that is not ours has the name our device must have. */
export class DeviceConflictError extends Error {
  override readonly name = 'DeviceConflictError'
}

/**
 * What has to be done about a device: nothing, changes that traffic survives, or a new one, with
 * which all its entries go. Throws `DeviceConflictError`.
 */
export type DevicePlan =
  | { readonly kind: 'fine' }
  | { readonly kind: 'change'; readonly requests: readonly Request[] }
  | { readonly kind: 'create'; readonly requests: readonly Request[] }

/** Compares a device with what the kernel has. `uplink` is the index of the device it runs over. */
export function planDevice(
  wanted: VxlanDevice,
  found: Link | undefined,
  uplink: number,
): DevicePlan {
  if (!found) return { kind: 'create', requests: [create(wanted, uplink)] }
  refuseOther(found)
  if (!isAlike(wanted, found)) {
    const requests = [deleteLink({ index: found.index }), create(wanted, uplink)]
    return { kind: 'create', requests }
  }
  const { index } = found
  const requests = changes(wanted, found, uplink).map((change) => setLink({ index, ...change }))
  return requests.length === 0 ? { kind: 'fine' } : { kind: 'change', requests }
}

/** Whether all that is fixed at creation is as wanted; flannel makes the same ones. */
function isAlike(wanted: VxlanDevice, { vxlan }: Link): boolean {
  return (
    vxlan?.id === wanted.vni &&
    vxlan.local?.family === wanted.local.family &&
    vxlan.port === wanted.port &&
    (vxlan.gbp ?? false) === wanted.gbp &&
    vxlan.group === undefined
  )
}

/** The tunnel's own settings first: the new link below may bear an MTU that the old one did not. */
function changes(wanted: VxlanDevice, found: Link, uplink: number) {
  const { name, mac, mtu, vni, local, learning } = wanted
  const { vxlan } = found
  const isTunnelFine =
    vxlan?.link === uplink &&
    vxlan.local !== undefined &&
    sameAddress(vxlan.local, local) &&
    (vxlan.learning ?? true) === learning
  const rest = {
    ...(found.name !== name && { name }),
    ...(found.mac !== mac && { mac }),
    ...(found.mtu !== mtu && { mtu }),
    // A port of a bridge does not route what it gets.
    ...(found.master !== undefined && { master: 0 }),
    ...(!found.up && { up: true }),
  }
  return [
    ...(isTunnelFine ? [] : [{ vxlan: { id: vni, link: uplink, local, learning } }]),
    ...(Object.keys(rest).length === 0 ? [] : [rest]),
  ]
}

function create(wanted: VxlanDevice, uplink: number): Request {
  const { name, mac, mtu, vni, local, port, learning, gbp } = wanted
  const fixed = { id: vni, link: uplink, local, port, learning, gbp }
  return addLink({ kind: 'vxlan', name, mac, mtu, ...fixed, up: true })
}

/** The link of this name; undefined if there is none. */
export function findLink(connection: Connection, name: string): Link | undefined {
  try {
    return connection.get(getLink({ name }))
  } catch (error) {
    if (isErrno(error, 'ENODEV')) return undefined
    throw error
  }
}

/**
 * The MAC that a device of this name has now, be it ours or flannel's. Throws
 * `DeviceConflictError` when it is neither.
 */
export function presentMac(connection: Connection, name: string): Mac | undefined {
  const link = findLink(connection, name)
  if (link) refuseOther(link)
  return link?.mac
}

function refuseOther({ name, kind = 'something else' }: Link): void {
  if (kind === 'vxlan') return
  throw new DeviceConflictError(
    `interface ${name} exists and is no vxlan device but ${kind}: rename it, or give Backend another VNI`,
  )
}

/** What came of making devices as wanted: their names, and what the kernel refused. */
export interface EnsuredDevices {
  /** New, and so empty. */
  readonly created: readonly string[]
  readonly changed: readonly string[]
  /** As they were wanted. */
  readonly fine: readonly string[]
  readonly errors: readonly DeviceError[]
  /** Somebody else's interfaces have these names: nothing of ours belongs there. */
  readonly taken: ReadonlySet<string>
}

/** Why a device is not as wanted. */
export type DeviceError = NetlinkError | DeviceConflictError

/** Makes the devices as wanted; one that cannot be made does not keep the others from it. */
export function ensureDevices(
  connection: Connection,
  devices: readonly VxlanDevice[],
): EnsuredDevices {
  const created: string[] = []
  const changed: string[] = []
  const fine: string[] = []
  const lists = { create: created, change: changed, fine }
  const errors: DeviceError[] = []
  const taken = new Set<string>()
  for (const device of devices) {
    try {
      const uplink = connection.get(getLink({ name: device.uplink })).index
      const found = findLink(connection, device.name) ?? renamed(connection, device)
      const plan = planDevice(device, found, uplink)
      const requests = plan.kind === 'fine' ? [] : plan.requests
      for (const request of requests) connection.execute(request)
      lists[plan.kind].push(device.name)
    } catch (error) {
      if (error instanceof DeviceConflictError) taken.add(device.name)
      else if (!(error instanceof NetlinkError)) throw error
      errors.push(error)
    }
  }
  return { created, changed, fine, errors, taken }
}

/** Our device under a name that somebody else gave it: another with its VNI cannot be made. */
function renamed(connection: Connection, { mac, vni, port }: VxlanDevice): Link | undefined {
  return connection
    .dump(listLinks({ kind: 'vxlan' }))
    .find((link) => link.vxlan?.id === vni && link.vxlan.port === port && link.mac === mac)
}

/** What devices of earlier runs are told by. */
export interface FormerDevices {
  /** The MAC of each by its name. Who takes a device over keeps both. */
  readonly known: ReadonlyMap<string, Mac>
  /** Devices of this run. */
  readonly wanted: readonly VxlanDevice[]
  /** The cluster's networks now and before: what has an address elsewhere is somebody else's. */
  readonly networks: readonly Prefix[]
  /** Takes the device for us. Throws AlreadyRunningError when another daemon has it. */
  readonly claim: (name: string) => Disposable
}

/** Deletes devices of ours that are no longer wanted, and nobody else has now. Returns their names. */
export function removeFormerDevices(connection: Connection, former: FormerDevices): string[] {
  const { known, wanted, networks, claim } = former
  const removed: string[] = []
  for (const [name, mac] of known) {
    if (wanted.some((device) => device.name === name)) continue
    const link = findLink(connection, name)
    if (link?.kind !== 'vxlan' || link.mac !== mac) continue
    if (hasAddressBeyond(connection, link, networks)) continue
    try {
      using stack = new DisposableStack()
      stack.use(claim(name))
      connection.execute(deleteLink({ index: link.index }))
      removed.push(name)
    } catch (error) {
      if (!(error instanceof AlreadyRunningError)) throw error
    }
  }
  return removed
}

function hasAddressBeyond(
  connection: Connection,
  { index }: Link,
  networks: readonly Prefix[],
): boolean {
  return connection.dump(listAddresses({ index })).some(({ prefix }) => {
    const { address } = prefix
    if (address.family === 6 && isLinkLocal(address)) return false
    return !networks.some((network) => prefixCovers(network, prefix))
  })
}
