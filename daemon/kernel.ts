import { type Address, isLinkLocal } from '../ip/address.ts'
import { type ByFamily, families, familiesOf } from '../ip/by-family.ts'
import { type Prefix, prefixCovers } from '../ip/prefix.ts'
import { deleteAddress, listAddresses, replaceAddress } from '../netlink/address.ts'
import type { Request } from '../netlink/codec/message.ts'
import type { Connection } from '../netlink/connection.ts'
import { isErrno, NetlinkError } from '../netlink/errors.ts'
import { listLinks } from '../netlink/link.ts'
import {
  deleteFdb,
  deleteNeighbour,
  listFdb,
  listNeighbours,
  replaceFdb,
  replaceNeighbour,
} from '../netlink/neighbour.ts'
import {
  addRoute,
  deleteRoute,
  getRoute,
  listRoutes,
  type Route,
  replaceRoute,
} from '../netlink/route.ts'
import type { Path } from './backend/backend.ts'
import {
  defaultMetric,
  type Entry,
  ROUTE_PROTOCOL,
  type RouteEntry,
  renderEntry,
} from './backend/kernel-state.ts'
import type { Found, Operation } from './reconcile.ts'

/** An operation that the kernel refused. */
export interface Failure {
  readonly operation: Operation
  readonly error: NetlinkError
}

const TABLE_MAIN = 254
const RTPROT_KERNEL = 2
const ENODEV = 19

/** What the kernel says when there is nothing to delete, or its device has gone with all it held. */
const ALREADY_GONE = ['ENOENT', 'ESRCH', 'ENODEV', 'EADDRNOTAVAIL'] as const

/** The kernel's tables in terms of entries: reads them, writes them, asks for paths. */
export class Kernel {
  readonly #connection: Connection
  #indexes = new Map<string, number>()
  #names = new Map<number, string>()

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Learns anew which device has which index; needed after devices came or went. */
  refreshLinks(): void {
    const links = this.#connection.dump(listLinks())
    this.#indexes = new Map(links.map(({ name, index }) => [name, index]))
    this.#names = new Map(links.map(({ name, index }) => [index, name]))
  }

  /** The device of this index, as of the last refresh. */
  nameOf(index: number): string | undefined {
    return this.#names.get(index)
  }

  /**
   * Everything that may have to do with us: all entries of our own devices, and the main table's
   * routes into the cluster's networks, whoever made them.
   */
  read(devices: readonly string[], networks: ByFamily<readonly Prefix[]>): Found[] {
    const ofDevices = devices.flatMap((device) => this.#readDevice(device))
    const routes = familiesOf(networks).flatMap((family) => {
      const inside = networks[family] ?? []
      return this.#connection
        .dump(listRoutes({ family, table: TABLE_MAIN }))
        .filter(({ destination }) => inside.some((network) => prefixCovers(network, destination)))
        .flatMap((route) => this.#foundRoute(route, devices))
    })
    return [...ofDevices, ...routes]
  }

  /** Carries the operations out in order, all of them; what failed and mattered comes back. */
  apply(operations: readonly Operation[]): Failure[] {
    const known = operations.filter(({ entry }) => this.#indexes.has(entry.device))
    const homeless = operations.filter(({ entry }) => !this.#indexes.has(entry.device))
    const errors = this.#connection.batch(known.map((operation) => this.#request(operation)))
    return [
      ...known.flatMap((operation, at) => failure(operation, errors[at])),
      ...homeless.flatMap((operation) => failure(operation, noDevice(operation.entry))),
    ]
  }

  /** How a packet to this address would leave; undefined if it would not. */
  findPath(address: Address): Path | undefined {
    try {
      const { type, oif, gateway } = this.#connection.get(getRoute(address))
      const device = oif === undefined ? undefined : this.#names.get(oif)
      if (device === undefined || (type ?? 'unicast') !== 'unicast') return undefined
      return { device, onLink: gateway === undefined }
    } catch (error) {
      if (isErrno(error, 'ENETUNREACH', 'EHOSTUNREACH', 'EACCES', 'EINVAL')) return undefined
      throw error
    }
  }

  #readDevice(device: string): Found[] {
    const index = this.#indexes.get(device)
    if (index === undefined) return []
    const entries: Entry[] = []
    for (const { prefix } of this.#connection.dump(listAddresses({ index }))) {
      const isKernels = prefix.address.family === 6 && isLinkLocal(prefix.address)
      if (!isKernels) entries.push({ kind: 'address', device, prefix })
    }
    for (const family of families) {
      for (const { address, mac, permanent } of this.#connection.dump(
        listNeighbours({ family, index }),
      )) {
        if (permanent && mac) entries.push({ kind: 'neighbour', device, address, mac })
      }
    }
    for (const { mac, destination, permanent } of this.#connection.dump(listFdb({ index }))) {
      if (permanent && destination) entries.push({ kind: 'fdb', device, mac, destination })
    }
    return entries.map((entry) => ({ entry, ours: true }))
  }

  #foundRoute(route: Route, devices: readonly string[]): Found[] {
    const { destination, gateway, oif, protocol = 0, priority } = route
    const device = (oif === undefined ? undefined : this.#names.get(oif)) ?? 'no one device'
    const isOnOurs = devices.includes(device) && protocol !== RTPROT_KERNEL
    const isPlain = route.type === 'unicast' && route.hops === undefined && oif !== undefined
    const entry: RouteEntry = {
      kind: 'route',
      destination,
      ...(gateway && { gateway }),
      device,
      onlink: route.onlink === true,
      metric: priority ?? defaultMetric[destination.address.family],
      protocol,
    }
    return [{ entry, ours: isPlain && (protocol === ROUTE_PROTOCOL || isOnOurs) }]
  }

  #request({ verb, entry }: Operation): Request {
    const index = this.#indexes.get(entry.device) ?? 0
    const isDelete = verb === 'delete'
    switch (entry.kind) {
      case 'address': {
        const spec = { index, prefix: entry.prefix, noDad: true as const }
        return isDelete ? deleteAddress(spec) : replaceAddress(spec)
      }
      case 'neighbour': {
        const { address, mac } = entry
        return isDelete
          ? deleteNeighbour({ index, address })
          : replaceNeighbour({ index, address, mac })
      }
      case 'fdb': {
        const { mac, destination } = entry
        return isDelete
          ? deleteFdb({ index, mac, destination })
          : replaceFdb({ index, mac, destination })
      }
      case 'route': {
        const { destination, gateway, onlink, metric, protocol } = entry
        const route: Route = {
          destination,
          ...(gateway && { gateway }),
          oif: index,
          ...(onlink && { onlink: true as const }),
          ...(metric > 0 && { priority: metric }),
          protocol,
        }
        if (isDelete) return deleteRoute(route)
        return verb === 'add' ? addRoute(route) : replaceRoute(route)
      }
    }
  }
}

function failure(operation: Operation, error: NetlinkError | undefined): Failure[] {
  const isGone = operation.verb === 'delete' && isErrno(error, ...ALREADY_GONE)
  return error && !isGone ? [{ operation, error }] : []
}

function noDevice(entry: Entry): NetlinkError {
  return new NetlinkError({ op: `write ${renderEntry(entry)}`, errno: ENODEV, source: 'kernel' })
}
