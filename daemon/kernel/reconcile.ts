import { hostPrefix } from '../../ip/prefix.ts'
import { type Entry, entryId, renderEntry, sameEntry } from '../backend/kernel-state.ts'
import type { Change } from './wanted.ts'

/**
 * One step towards the wanted state. `add` fails where another's route is in the way; `prepend` puts
 * an IPv4 route before it; `replace` writes over an entry that is known to be ours.
 */
export interface Operation {
  readonly verb: 'add' | 'prepend' | 'replace' | 'delete'
  readonly entry: Entry
  /** It is there only for another one of the same plan to succeed. */
  readonly isPassing?: true
}

/** An entry that the kernel holds now. */
export interface Found {
  readonly entry: Entry
  /** Whether it is for us to change and delete. */
  readonly ours: boolean
}

/** What is to be done, in order, and what somebody else's routes have to do with it. */
export interface Repair {
  readonly operations: readonly Operation[]
  /** What theirs prevent. */
  readonly conflicts: readonly string[]
  /** Theirs that stay behind ours. */
  readonly outranked: readonly string[]
  /** By the identity of each entry that has theirs beside it: what stands for it. */
  readonly disputed: ReadonlyMap<string, Entry>
}

const RTPROT_BOOT = 3

/** The steps for entries that leases want otherwise than before. */
export function planChanges(changes: readonly Change[]): Operation[] {
  const steps = changes.flatMap(({ before, after }): Operation[] => {
    if (after) return before ? write('replace', after) : [{ verb: 'add', entry: after }]
    return before ? [{ verb: 'delete', entry: before }] : []
  })
  return inOrder(steps)
}

/** What is wanted, by identity: a `Wanted`. */
export interface WantedEntries {
  get(id: string): Entry | undefined
  entries(): Iterable<Entry>
}

/**
 * The steps that take the kernel from what was found to what is wanted. Entries of others are never
 * touched; ours that peers’ leases do not explain are deleted only if `prune`. Of what was found
 * only that is kept which is not as wanted: there may be tens of thousands.
 */
export function planRepair(
  wanted: WantedEntries,
  found: Iterable<Found>,
  { prune }: { readonly prune: boolean },
): Repair {
  const { fine, places, unexplained } = sortFound(wanted, found)
  // No lease of a peer's will ever explain an address of this host.
  const goes = unexplained.filter(({ entry }) => prune || entry.kind === 'address')
  const operations = goes.map(remove)
  const others = {
    conflicts: [] as string[],
    outranked: [] as string[],
    disputed: new Map<string, Entry>(),
  }
  for (const entry of wanted.entries()) {
    const isThere = fine.has(entry)
    const place = places.get(entry)
    if (!place && isThere) continue
    operations.push(...settle(entry, isThere, place ?? NO_PLACE, others))
  }
  return { operations: inOrder(operations), ...others }
}

/** Parts what was found into what is as wanted, what is in its place, and what of ours nothing wants. */
function sortFound(wanted: WantedEntries, found: Iterable<Found>) {
  const fine = new Set<Entry>()
  const places = new Map<Entry, Place>()
  const unexplained: Found[] = []
  for (const one of found) {
    const { entry, ours } = one
    const instead = wanted.get(entryId(entry))
    if (!instead) {
      const replaced = standsFor(entry, wanted)
      if (replaced) placeOf(places, replaced).standIns.push(one)
      else if (ours) unexplained.push(one)
    } else if (ours && sameEntry(entry, instead)) fine.add(instead)
    else placeOf(places, instead).others.push({ ...one, isAhead: !fine.has(instead) })
  }
  return { fine, places, unexplained }
}

/** What was found for one wanted entry and is not it. */
interface Place {
  /** Of the same identity; `isAhead`: the kernel asks it before the wanted one. */
  readonly others: (Found & { readonly isAhead: boolean })[]
  /** Where it would have to stand if the others stay. */
  readonly standIns: Found[]
}

const NO_PLACE: Place = { others: [], standIns: [] }

function placeOf(places: Map<Entry, Place>, wanted: Entry): Place {
  const place = places.get(wanted) ?? { others: [], standIns: [] }
  places.set(wanted, place)
  return place
}

/** One wanted entry against what else is in its place. */
function settle(
  wanted: Entry,
  isThere: boolean,
  place: Place,
  told: { conflicts: string[]; outranked: string[]; disputed: Map<string, Entry> },
): Operation[] {
  const ours = place.others.filter((one) => isOurs(wanted, one))
  const stranger = place.others.find((one) => !isOurs(wanted, one))
  const surplus = ours.map(remove)
  if (stranger) {
    const theirs = renderEntry(stranger.entry)
    const { standIn, steps, isBlocked } = settleBeside(wanted, isThere, place)
    told.disputed.set(entryId(wanted), standIn)
    if (isBlocked) told.conflicts.push(`"${theirs}" is in the way of "${renderEntry(wanted)}"`)
    else told.outranked.push(`"${theirs}" stays behind "${renderEntry(standIn)}"`)
    return [...steps, ...surplus]
  }
  const left = place.standIns.filter(({ ours: is }) => is).map(remove)
  if (isThere) return [...surplus, ...left]
  if (surplus.length === 0) return [{ verb: 'add', entry: wanted }, ...left]
  // Replacing writes over the first one of ours.
  return [...write('replace', wanted), ...surplus.slice(1), ...left]
}

/**
 * One wanted entry where somebody else's has the same identity, which stays. A replace would hit
 * whichever of the two the kernel finds first, so ours goes beside it, and so that packets take ours:
 * an IPv4 route before theirs, an IPv6 route with a better metric, for two of one metric would share
 * the packets.
 */
function settleBeside(
  wanted: Entry,
  isThere: boolean,
  { others, standIns }: Place,
): { standIn: Entry; steps: Operation[]; isBlocked: boolean } {
  if (wanted.kind !== 'route') return { standIn: wanted, steps: [], isBlocked: true }
  if (wanted.destination.address.family === 4) {
    const isBlocked = isThere && others.some((one) => one.isAhead && !isOurs(wanted, one))
    return {
      standIn: wanted,
      steps: isThere ? [] : [{ verb: 'prepend', entry: wanted }],
      isBlocked,
    }
  }
  const standIn = { ...wanted, metric: wanted.metric - 1 }
  const own: Operation[] = isThere ? [{ verb: 'delete', entry: wanted }] : []
  if (standIns.some(({ ours }) => !ours)) return { standIn, steps: own, isBlocked: true }
  const wrong = standIns.filter(({ entry }) => !sameEntry(entry, standIn)).map(remove)
  const isStanding = wrong.length < standIns.length
  const steps = isStanding ? wrong : [...write('add', standIn), ...wrong]
  return { standIn, steps: [...steps, ...own], isBlocked: false }
}

/**
 * Writes an entry where another one leads elsewhere. The kernel takes no gateway for an IPv6 route,
 * on-link or not, to which a route over another device leads: for that moment it has one of its own.
 */
function write(verb: 'add' | 'replace', entry: Entry): Operation[] {
  const step: Operation = { verb, entry }
  if (entry.kind !== 'route' || !entry.onlink || entry.gateway?.family !== 6) return [step]
  const { gateway, ...rest } = entry
  const passing = { ...rest, destination: hostPrefix(gateway), onlink: false }
  return [
    { verb: 'add', entry: passing, isPassing: true },
    step,
    { verb: 'delete', entry: passing, isPassing: true },
  ]
}

/** The wanted IPv6 route in whose stead this one would be there. */
function standsFor(entry: Entry, wanted: WantedEntries): Entry | undefined {
  if (entry.kind !== 'route' || entry.destination.address.family !== 6) return undefined
  return wanted.get(entryId({ ...entry, metric: entry.metric + 1 }))
}

function remove({ entry }: Found): Operation {
  return { verb: 'delete', entry }
}

function isOurs(wanted: Entry, { entry, ours }: Found): boolean {
  return ours || isTakeover(wanted, entry)
}

/** A route that flannel made before us: the same but for its mark. */
function isTakeover(wanted: Entry, found: Entry): boolean {
  return (
    wanted.kind === 'route' &&
    found.kind === 'route' &&
    found.protocol === RTPROT_BOOT &&
    sameEntry(wanted, { ...found, protocol: wanted.protocol })
  )
}

const rank = { address: 0, neighbour: 1, fdb: 2, route: 3 } as const

/**
 * Adds before it deletes; a route comes after what it leads to and goes before it, so that at no
 * moment a packet finds a route without its next hop. An address goes before that, after another
 * came: the kernel takes nothing for a next hop that is this host's own, and with a device's last
 * address all its routes go.
 */
function inOrder(operations: readonly Operation[]): Operation[] {
  const key = ({ verb, entry }: Operation): number => {
    if (verb !== 'delete') return rank[entry.kind]
    return entry.kind === 'address' ? 0.5 : 10 - rank[entry.kind]
  }
  return [...operations].sort((a, b) => key(a) - key(b))
}
