/** Reading what the kernel has of published ports. */
import type { Family } from '../ip/address.ts'
import { families } from '../ip/by-family.ts'
import type { Connection } from '../netlink/connection.ts'
import {
  getElement,
  listElements,
  type SetElement,
  type SetRef,
} from '../netlink/nftables/element.ts'
import { readPortKey } from '../netlink/nftables/port-map.ts'
import { getGeneration, getTable, type Table } from '../netlink/nftables/table.ts'
import { orNone } from './or-none.ts'
import { pluginTable } from './plugin-parts.ts'
import { nearRef, type Place, type PortPlace, placeName, portMapRef } from './published-parts.ts'

/** What is there, of this generation or of a later one. */
interface Sight {
  readonly generation: number
  readonly table: Table | undefined
  readonly found: ReadonlyMap<string, SetElement>
}

/**
 * More answers than this at once may not fit into the socket's buffer: the kernel makes a message
 * of some KiB for each. Whoever asks for more gets them from a listing.
 */
const ASKED_AT_ONCE = 16

/** Looks for the elements with the keys of these places; those that are there, by `placeName`. */
export function lookAt(connection: Connection, places: readonly Place[]): Sight {
  const isFew = places.length <= ASKED_AT_ONCE
  // The generation first: what is read later belongs to it, or the transaction is refused.
  const [generation, table, ...answers] = connection.exchange([
    getGeneration(),
    orNone(getTable(pluginTable)),
    ...(isFew ? places.map(({ set, element }) => orNone(getElement(set, element.key))) : []),
  ])
  const found = isFew ? new Map<string, SetElement>() : listedAt(connection, places)
  for (const [index, { error, value }] of answers.entries()) {
    const place = places[index]
    if (error) throw error
    if (value && place) found.set(placeName(place), value)
  }
  const error = generation.error ?? table.error
  if (error) throw error
  return { generation: generation.value ?? 0, table: table.value, found }
}

function listedAt(connection: Connection, places: readonly Place[]): Map<string, SetElement> {
  const sets = new Map(places.map(({ set }) => [set.set, set]))
  const found = new Map<string, SetElement>()
  for (const set of sets.values()) {
    for (const place of elementsOf(connection, set)) found.set(placeName(place), place.element)
  }
  return found
}

/** What a port map holds: that of every address, or that of single ones. */
export function portsIn(connection: Connection, family: Family, byAddress: boolean): PortPlace[] {
  return elementsOf(connection, portMapRef(family, byAddress)).flatMap((place) => {
    const hostPort = readPortKey(place.element.key)
    return hostPort ? { ...place, family, hostPort } : []
  })
}

/** All that is published, of every network: ports and neighbours. */
export function allPlaces(connection: Connection): {
  readonly generation: number
  readonly ports: readonly PortPlace[]
  readonly near: readonly Place[]
} {
  const generation = connection.get(getGeneration())
  const ports = families.flatMap((family) => [
    ...portsIn(connection, family, false),
    ...portsIn(connection, family, true),
  ])
  const near = families.flatMap((family) => elementsOf(connection, nearRef(family)))
  return { generation, ports, near }
}

function elementsOf(connection: Connection, set: SetRef): Place[] {
  const elements = connection.dump(listElements(set)).flat()
  return elements.map((element) => ({ set, element }))
}
