import { type Entry, entryId, renderEntry, sameEntry } from './backend/kernel-state.ts'
import type { Change } from './wanted.ts'

/**
 * One step towards the wanted state. `add` fails where another's route is in the way; `replace`
 * writes over an entry that is known to be ours.
 */
export interface Operation {
  readonly verb: 'add' | 'replace' | 'delete'
  readonly entry: Entry
}

/** An entry that the kernel holds now. */
export interface Found {
  readonly entry: Entry
  /** Whether it is for us to change and delete. */
  readonly ours: boolean
}

/** What is to be done, in order, and what somebody else's entries prevent. */
export interface Repair {
  readonly operations: readonly Operation[]
  readonly conflicts: readonly string[]
}

const RTPROT_BOOT = 3

/** The steps for entries that leases want otherwise than before. */
export function planChanges(changes: readonly Change[]): Operation[] {
  const steps = changes.flatMap(({ before, after }): Operation[] => {
    if (after) return [{ verb: before ? 'replace' : 'add', entry: after }]
    return before ? [{ verb: 'delete', entry: before }] : []
  })
  return inOrder(steps)
}

/**
 * The steps that take the kernel from what was found to what is wanted. Entries of others are never
 * touched; ours that peers’ leases do not explain are deleted only if `prune`.
 */
export function planRepair(
  wanted: readonly Entry[],
  found: readonly Found[],
  { prune }: { readonly prune: boolean },
): Repair {
  const present = Map.groupBy(found, ({ entry }) => entryId(entry))
  const operations: Operation[] = []
  const conflicts: string[] = []
  for (const entry of wanted) {
    const id = entryId(entry)
    const { steps, conflict } = settle(entry, present.get(id) ?? [])
    operations.push(...steps)
    if (conflict !== undefined) conflicts.push(conflict)
    present.delete(id)
  }
  for (const { entry, ours } of [...present.values()].flat()) {
    // No lease of a peer's will ever explain an address of this host.
    if (ours && (prune || entry.kind === 'address')) operations.push({ verb: 'delete', entry })
  }
  return { operations: inOrder(operations), conflicts }
}

/** One wanted entry against what is in its place. */
function settle(wanted: Entry, found: readonly Found[]): { steps: Operation[]; conflict?: string } {
  const ours = found.filter((one) => one.ours || isTakeover(wanted, one.entry))
  const stranger = found.find((one) => !ours.includes(one))
  const isThere = ours.some(({ entry }) => sameEntry(entry, wanted))
  const surplus = ours
    .filter(({ entry }) => !sameEntry(entry, wanted))
    .map(({ entry }): Operation => ({ verb: 'delete', entry }))
  if (isThere) return { steps: surplus }
  if (stranger) {
    // A replace would hit whichever of the two the kernel finds first.
    const conflict = `"${renderEntry(stranger.entry)}" is in the way of "${renderEntry(wanted)}"`
    return { steps: surplus, conflict }
  }
  const verb = surplus.length > 0 ? 'replace' : 'add'
  // Replacing writes over the first one of ours.
  return { steps: [{ verb, entry: wanted }, ...surplus.slice(1)] }
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
 * moment a packet finds a route without its next hop.
 */
function inOrder(operations: readonly Operation[]): Operation[] {
  const key = ({ verb, entry }: Operation): number =>
    verb === 'delete' ? 10 - rank[entry.kind] : rank[entry.kind]
  return [...operations].sort((a, b) => key(a) - key(b))
}
