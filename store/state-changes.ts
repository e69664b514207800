import type { Listing, Stored, Update } from './keyspace.ts'
import type { Entry, Revision, StoreEvent } from './store.ts'

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

/** The newest revision of a listing. */
export function newestOf({ entries, revision }: Listing): Revision {
  return entries.reduce((newest, one) => Math.max(newest, one.revision), revision)
}

/**
 * The events between a state and an update, which the state is brought to. Puts come in order and
 * then deletes, whose revision nobody knows: it is given. `resync` alone when a key went back in
 * time.
 */
export function takeUpdate(state: State, update: Update, deletedAt: Revision): StoreEvent[] {
  const { seen, written } = state
  const changed = update.entries.filter(({ key, revision }) => seen.get(key) !== revision)
  if (changed.some(({ key, revision }) => revision < (seen.get(key) ?? 0))) {
    return [{ type: 'resync' }]
  }
  for (const { key, revision } of changed) seen.set(key, revision)
  for (const key of written.keys()) if (seen.has(key)) written.delete(key)
  const gone = update.isWhole
    ? missing(state, update)
    : update.gone.filter((key) => seen.has(key) || written.has(key))
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

export function entryOf({ key, value, revision, ttlSeconds }: Stored): Entry {
  return { key, value, revision, leased: ttlSeconds !== undefined }
}
