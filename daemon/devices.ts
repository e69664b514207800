import { sameAddress } from '../ip/address.ts'
import type { Mac } from '../ip/mac.ts'
import type { Request } from '../netlink/codec/message.ts'
import type { Connection } from '../netlink/connection.ts'
import { isErrno } from '../netlink/errors.ts'
import { addLink, deleteLink, getLink, type Link, setLink } from '../netlink/link.ts'
import type { VxlanDevice } from './backend/kernel-state.ts'

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
  const { mac, mtu } = wanted
  if (!found) return { kind: 'create', requests: [create(wanted, uplink)] }
  refuseOther(found)
  if (!isAlike(wanted, found, uplink)) {
    const requests = [deleteLink({ index: found.index }), create(wanted, uplink)]
    return { kind: 'create', requests }
  }
  const change = {
    ...(found.mac !== mac && { mac }),
    ...(found.mtu !== mtu && { mtu }),
    ...(!found.up && { up: true }),
  }
  return Object.keys(change).length === 0
    ? { kind: 'fine' }
    : { kind: 'change', requests: [setLink({ index: found.index, ...change })] }
}

/** Whether all that is fixed at creation is as wanted; flannel makes the same ones. */
function isAlike(wanted: VxlanDevice, { vxlan }: Link, uplink: number): boolean {
  return (
    vxlan?.id === wanted.vni &&
    vxlan.link === uplink &&
    vxlan.local !== undefined &&
    sameAddress(vxlan.local, wanted.local) &&
    vxlan.port === wanted.port &&
    (vxlan.gbp ?? false) === wanted.gbp &&
    (vxlan.learning ?? true) === wanted.learning &&
    vxlan.group === undefined
  )
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

/**
 * Makes the devices as wanted and says which of them are new, and so empty.
 * @throws DeviceConflictError, NetlinkError
 */
export function ensureDevices(
  connection: Connection,
  devices: readonly VxlanDevice[],
): { readonly created: string[]; readonly changed: string[] } {
  const created: string[] = []
  const changed: string[] = []
  for (const device of devices) {
    const uplink = connection.get(getLink({ name: device.uplink })).index
    const plan = planDevice(device, findLink(connection, device.name), uplink)
    if (plan.kind === 'fine') continue
    for (const request of plan.requests) connection.execute(request)
    ;(plan.kind === 'create' ? created : changed).push(device.name)
  }
  return { created, changed }
}

/** Deletes devices of ours that are no longer wanted, known by name and MAC. Returns their names. */
export function removeFormerDevices(
  connection: Connection,
  known: ReadonlyMap<string, Mac>,
  wanted: readonly VxlanDevice[],
): string[] {
  const removed: string[] = []
  for (const [name, mac] of known) {
    if (wanted.some((device) => device.name === name)) continue
    const link = findLink(connection, name)
    if (link?.kind !== 'vxlan' || link.mac !== mac) continue
    connection.execute(deleteLink({ index: link.index }))
    removed.push(name)
  }
  return removed
}
