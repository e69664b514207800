import type { Entry, Revision, StoreEvent } from '../store.ts'
import type { Listing, Stored, Update } from './keyspace.ts'

/** What a watch knows. */
export interface State {
  /** The revision of each key that is there. */
  readonly seen: Map<string, Revision>
  /** Keys that we have written, and not seen: should they be missing later, somebody deleted them. */
  readonly written: Map<string, Revision>
}

export function copyOf({ seen, written }: State): State {
  return { seen: new Map(seen), written: new Map(written) }
}

/**
 * What is known for sure when two looks with the same revision differ: where they do, an update
 * tells what is there, or that nothing is.
 */
export function mergeStates(a: State, b: State): State {
  const merged: State = { seen: new Map(), written: new Map([...a.written, ...b.written]) }
  for (const [key, revision] of [...a.seen, ...b.seen]) {
    const isSame = a.seen.get(key) === revision && b.seen.get(key) === revision
    if (isSame) merged.seen.set(key, revision)
    else merged.written.set(key, Math.max(revision, merged.written.get(key) ?? 0))
  }
  for (const key of merged.seen.keys()) merged.written.delete(key)
  return merged
}

/** The newest revision of a listing. */
export function newestOf({ entries, revision }: Listing): Revision {
  return entries.reduce((newest, one) => Math.max(newest, one.revision), revision)
}

/**
 * The events between a state and an update, which the state is brought to. Puts come in order and
 * then deletes, whose revision nobody knows: it is given. `resync` alone when a key went back in
 * time, and when so much is missing that a list must be judged. `ours` has keys that this process
 * keeps from expiring.
 */
export function takeUpdate(
  state: State,
  update: Update,
  { deletedAt, ours }: { readonly deletedAt: Revision; readonly ours: ReadonlySet<string> },
): StoreEvent[] {
  const { seen, written } = state
  const known = seen.size + written.size
  const changed = update.entries.filter(({ key, revision }) => seen.get(key) !== revision)
  if (changed.some(({ key, revision }) => revision < (seen.get(key) ?? 0))) {
    return [{ type: 'resync' }]
  }
  for (const { key, revision } of changed) seen.set(key, revision)
  for (const key of written.keys()) if (seen.has(key)) written.delete(key)
  const gone = update.isWhole
    ? missing(state, update)
    : update.gone.filter((key) => seen.has(key) || written.has(key))
  if (update.isWhole && isLoss(gone, known, ours)) return [{ type: 'resync' }]
  for (const key of gone) {
    seen.delete(key)
    written.delete(key)
  }
  return [
    ...changed
      .toSorted((a, b) => a.revision - b.revision)
      .map((stored): StoreEvent => ({ type: 'put', entry: entryOf(stored) })),
    ...gone.map((key): StoreEvent => ({ type: 'delete', key, revision: deletedAt })),
  ]
}

/** The keys of a state, which has all entries of a whole update, that the update has not. */
function missing({ seen, written }: State, { entries, revision }: Update): string[] {
  const lost = [...written].filter(([, at]) => at <= revision).map(([key]) => key)
  if (seen.size === entries.length) return lost
  const present = new Set(entries.map(({ key }) => key))
  return [...[...seen.keys()].filter((key) => !present.has(key)), ...lost]
}

/**
 * Whether a look that lacks these keys may be what is wrong: a server put back from a copy, or one
 * that hides what we may not read. A single key is not worth the doubt.
 */
function isLoss(gone: readonly string[], known: number, ours: ReadonlySet<string>): boolean {
  return gone.length > 1 && (gone.length * 2 >= known || gone.some((key) => ours.has(key)))
}

export function entryOf({ key, value, revision, ttlSeconds }: Stored): Entry {
  return { key, value, revision, leased: ttlSeconds !== undefined }
}
