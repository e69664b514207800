import { type Address, formatAddress, isLinkLocal } from '../../ip/address.ts'
import { type ByFamily, families } from '../../ip/by-family.ts'
import { type Prefix, prefixCovers } from '../../ip/prefix.ts'
import { deleteAddress, listAddresses, replaceAddress } from '../../netlink/address.ts'
import type { Request } from '../../netlink/codec/message.ts'
import type { Answer, Connection } from '../../netlink/connection.ts'
import { isErrno, NetlinkError } from '../../netlink/errors.ts'
import type { KernelEvent } from '../../netlink/events.ts'
import { listLinks } from '../../netlink/link.ts'
import {
  deleteFdb,
  deleteNeighbour,
  listFdb,
  listNeighbours,
  replaceFdb,
  replaceNeighbour,
} from '../../netlink/neighbour.ts'
import {
  addRoute,
  deleteRoute,
  getRoute,
  listRoutes,
  prependRoute,
  type Route,
  replaceRoute,
} from '../../netlink/route.ts'
import type { FindPath, Path } from '../backend/backend.ts'
import {
  type Entry,
  ROUTE_PROTOCOL,
  type RouteEntry,
  renderEntry,
  routeEntry,
} from '../backend/kernel-state.ts'
import type { KnownLink } from './kernel-event.ts'
import type { Found, Operation } from './reconcile.ts'

/** An operation that the kernel refused. */
export interface Failure {
  readonly operation: Operation
  readonly error: NetlinkError
}

/** Where to look for what is ours. */
export interface ReadScope {
  /** Those of our own. */
  readonly devices: readonly string[]
  /** The cluster's networks. */
  readonly networks: ByFamily<Prefix>
  /** Those of earlier runs, where only what is over our own devices or over these can be ours. */
  readonly former: {
    readonly networks: ByFamily<readonly Prefix[]>
    readonly devices: ReadonlySet<string>
  }
}

const TABLE_MAIN = 254
const RTPROT_KERNEL = 2
const ENODEV = 19

/** What the kernel says when no packet to an address would leave. */
const NO_PATH = ['ENETUNREACH', 'EHOSTUNREACH', 'EACCES', 'EINVAL', 'ENETDOWN'] as const
/** What the kernel says when there is nothing to delete, or its device has gone with all it held. */
const ALREADY_GONE = ['ENOENT', 'ESRCH', 'ENODEV', 'EADDRNOTAVAIL'] as const

/** The kernel's tables in terms of entries: reads them, writes them, asks for paths. */
export class Kernel {
  readonly #connection: Connection
  #links = new Map<number, KnownLink>()
  #indexes = new Map<string, number>()

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Learns anew which device has which index; needed after events were lost. */
  refreshLinks(): void {
    const links = this.#connection.dump(listLinks())
    this.#links = new Map(links.map(({ index, name, up }) => [index, { name, up }]))
    this.#indexes = new Map(links.map(({ name, index }) => [name, index]))
  }

  /** Takes from an event what it tells of links. */
  note({ gone, link: { index, name, up } }: Extract<KernelEvent, { kind: 'link' }>): void {
    const before = this.#links.get(index)?.name
    if (before !== undefined && this.#indexes.get(before) === index) this.#indexes.delete(before)
    if (gone) {
      this.#links.delete(index)
    } else {
      this.#links.set(index, { name, up })
      this.#indexes.set(name, index)
    }
  }

  /** The device of this index, as of the last refresh or event. */
  known(index: number): KnownLink | undefined {
    return this.#links.get(index)
  }

  indexOf(name: string): number | undefined {
    return this.#indexes.get(name)
  }

  /**
   * Everything of these kinds that may have to do with us: all entries of our own devices, and the
   * main table's routes into the cluster's networks, whoever made them. Each table is read when its
   * turn comes.
   */
  *read(kinds: ReadonlySet<Entry['kind']>, scope: ReadScope): Generator<Found> {
    const { devices, networks, former } = scope
    for (const device of devices) {
      for (const entry of this.#readDevice(device, kinds)) yield { entry, ours: true }
    }
    if (!kinds.has('route')) return
    for (const family of families) {
      const [now, before] = [networks[family], former.networks[family] ?? []]
      if (!now && before.length === 0) continue
      for (const route of this.#connection.dump(listRoutes({ family, table: TABLE_MAIN }))) {
        const isIn = (network: Prefix): boolean => prefixCovers(network, route.destination)
        const found = this.#foundRoute(route, devices)
        if (now && isIn(now)) yield found
        else if (before.some(isIn) && isOver(found.entry, scope)) yield found
      }
    }
  }

  /** Carries the operations out in order, all of them; what failed and mattered comes back. */
  apply(operations: readonly Operation[]): Failure[] {
    const known = operations.filter(({ entry }) => this.#indexes.has(entry.device))
    const homeless = operations.filter(({ entry }) => !this.#indexes.has(entry.device))
    const errors = this.#connection.batch(this.#requests(known))
    return [
      ...known.flatMap((operation, at) => failure(operation, errors[at])),
      ...homeless.flatMap((operation) => failure(operation, noDevice(operation.entry))),
    ]
  }

  /** Answers for these addresses, asked for in few system calls, and for others one by one. */
  pathFinder(addresses: readonly Address[]): FindPath {
    const answers = this.#connection.exchange(addresses.map(getRoute))
    const paths = new Map(
      addresses.map((address, at) => [formatAddress(address), this.#path(answers[at])]),
    )
    return (address) => {
      const key = formatAddress(address)
      if (!paths.has(key)) {
        paths.set(key, this.#path(this.#connection.exchange([getRoute(address)])[0]))
      }
      return paths.get(key)
    }
  }

  /** How a packet would leave; undefined if it would not. */
  #path({ value, error }: Answer<Route> = {}): Path | 'no host' | undefined {
    if (error && !isErrno(error, ...NO_PATH)) throw error
    if (!value) return undefined
    const { type = 'unicast', oif, gateway } = value
    if (type === 'local' || type === 'broadcast' || type === 'multicast' || type === 'anycast') {
      return 'no host'
    }
    // Unreachable and the like.
    if (type !== 'unicast') return undefined
    const device = oif === undefined ? undefined : this.#links.get(oif)?.name
    return device === undefined ? undefined : { device, onLink: gateway === undefined }
  }

  *#readDevice(device: string, kinds: ReadonlySet<Entry['kind']>): Generator<Entry> {
    const index = this.#indexes.get(device)
    if (index === undefined) return
    if (kinds.has('address')) yield* this.#readAddresses(device, index)
    if (kinds.has('neighbour')) yield* this.#readNeighbours(device, index)
    if (kinds.has('fdb')) yield* this.#readFdb(device, index)
  }

  *#readAddresses(device: string, index: number): Generator<Entry> {
    for (const { prefix } of this.#connection.dump(listAddresses({ index }))) {
      const isKernels = prefix.address.family === 6 && isLinkLocal(prefix.address)
      if (!isKernels) yield { kind: 'address', device, prefix }
    }
  }

  *#readNeighbours(device: string, index: number): Generator<Entry> {
    for (const family of families) {
      for (const one of this.#connection.dump(listNeighbours({ family, index }))) {
        const { address, mac, permanent } = one
        if (permanent && mac) yield { kind: 'neighbour', device, address, mac }
      }
    }
  }

  *#readFdb(device: string, index: number): Generator<Entry> {
    for (const { mac, destination, permanent } of this.#connection.dump(listFdb({ index }))) {
      if (permanent && destination) yield { kind: 'fdb', device, mac, destination }
    }
  }

  #foundRoute(route: Route, devices: readonly string[]): Found {
    const { oif, protocol = 0 } = route
    const device = (oif === undefined ? undefined : this.#links.get(oif)?.name) ?? 'no one device'
    const isOnOurs = devices.includes(device) && protocol !== RTPROT_KERNEL
    const isPlain = route.type === 'unicast' && route.hops === undefined && oif !== undefined
    const entry = routeEntry(route, device)
    return { entry, ours: isPlain && (protocol === ROUTE_PROTOCOL || isOnOurs) }
  }

  /** One by one, so that there is never more than a datagram's worth of them. */
  *#requests(operations: readonly Operation[]): Generator<Request> {
    for (const operation of operations) yield this.#request(operation)
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
        const route = routeOf(entry, index)
        if (isDelete) return deleteRoute(route)
        if (verb === 'prepend') return prependRoute(route)
        return verb === 'add' ? addRoute(route) : replaceRoute(route)
      }
    }
  }
}

/** Another daemon of this host may have a network that we had before. */
function isOver({ device }: Entry, { devices, former }: ReadScope): boolean {
  return devices.includes(device) || former.devices.has(device)
}

function routeOf(entry: RouteEntry, oif: number): Route {
  const { destination, gateway, onlink, metric, protocol } = entry
  return {
    destination,
    ...(gateway && { gateway }),
    oif,
    ...(onlink && { onlink: true as const }),
    ...(metric > 0 && { priority: metric }),
    protocol,
  }
}

function failure(operation: Operation, error: NetlinkError | undefined): Failure[] {
  const isGone = operation.verb === 'delete' && isErrno(error, ...ALREADY_GONE)
  return error && !isGone ? [{ operation, error }] : []
}

function noDevice(entry: Entry): NetlinkError {
  return new NetlinkError({ op: `write ${renderEntry(entry)}`, errno: ENODEV, source: 'kernel' })
}
