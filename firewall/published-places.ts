/** Elements of published ports: what was found of them, and the operations that change them. */
import type { Request } from '../netlink/codec/message.ts'
import { addElements, deleteElements, type SetElement } from '../netlink/nftables/element.ts'
import { isSameContainer } from './port-owner.ts'
import { type Place, placeName } from './published-parts.ts'

/** The places at which there is something, with that. */
export function present<P extends Place>(
  places: readonly P[],
  found: ReadonlyMap<string, SetElement>,
): P[] {
  return places.flatMap((place) => {
    const element = found.get(placeName(place))
    return element ? { ...place, element } : []
  })
}

/** Whether what was found at a place is what belongs there. */
export function isAsWanted(place: Place, found: ReadonlyMap<string, SetElement>): boolean {
  const there = found.get(placeName(place))
  return there !== undefined && sameElement(there, place.element)
}

/** Whether two elements with one key are the same. */
export function sameElement(a: SetElement, b: SetElement): boolean {
  return a.comment === b.comment && sameData(a.data, b.data)
}

/**
 * Whether what was found leads to another interface of the same container: runtimes give every
 * network of a container the same ports, of which the first one has them.
 */
export function isSiblings(place: Place, found: ReadonlyMap<string, SetElement>): boolean {
  const { comment } = found.get(placeName(place)) ?? {}
  return comment !== place.element.comment && isSameContainer(comment, place.element.comment)
}

function sameData(a: SetElement['data'], b: SetElement['data']): boolean {
  if (!(a instanceof Uint8Array) || !(b instanceof Uint8Array)) {
    return a === b || chainOf(a) === chainOf(b)
  }
  return a.length === b.length && a.every((byte, index) => byte === b[index])
}

function chainOf(data: SetElement['data']): string | undefined {
  return data === undefined || data instanceof Uint8Array ? undefined : data.chain
}

export function insertions(places: readonly Place[]): Request[] {
  return bySet(places).flatMap(([{ set }, elements]) =>
    addElements(set, elements, { exclusive: true }),
  )
}

/** Removes each place once, however often it is listed. */
export function deletions(places: readonly Place[]): Request[] {
  const distinct = new Map(places.map((place) => [placeName(place), place]))
  return bySet([...distinct.values()]).flatMap(([{ set }, elements]) =>
    deleteElements(
      set,
      elements.map(({ key }) => ({ key })),
    ),
  )
}

function bySet(places: readonly Place[]): [Place, SetElement[]][] {
  const groups = new Map<string, [Place, SetElement[]]>()
  for (const place of places) {
    const group = groups.get(place.set.set)
    if (group) group[1].push(place.element)
    else groups.set(place.set.set, [place, [place.element]])
  }
  return [...groups.values()]
}
