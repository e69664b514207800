import { type Entry, entryId, sameEntry } from './backend/kernel-state.ts'

/** One entry that is wanted otherwise than before. */
export interface Change {
  readonly before?: Entry
  readonly after?: Entry
}

interface Claim {
  readonly owner: string
  readonly revision: number
  readonly entry: Entry
}

/**
 * The entries that all leases together want. Two leases may want one entry differently (a node that
 * took a new key before its old one ended, two nodes with one MAC): the newer lease has its way,
 * and when it goes the other one gets its turn. Costs what the touched lease costs, however many
 * there are.
 */
export class Wanted {
  readonly #claims = new Map<string, Claim[]>()
  readonly #ids = new Map<string, readonly string[]>()

  /** Replaces what `owner` wants; `revision` is its lease's. Nothing wanted: no entries. */
  set(owner: string, revision: number, entries: readonly Entry[]): Change[] {
    const touched = new Map<string, Entry | undefined>()
    const note = (id: string): void => {
      if (!touched.has(id)) touched.set(id, this.#claims.get(id)?.[0]?.entry)
    }
    for (const id of this.#ids.get(owner) ?? []) {
      note(id)
      this.#withdraw(id, owner)
    }
    for (const entry of entries) {
      const id = entryId(entry)
      note(id)
      const claims = [...(this.#claims.get(id) ?? []), { owner, revision, entry }]
      // Equal revisions cannot come from one store; the order of names is only to have one.
      claims.sort((a, b) => b.revision - a.revision || (a.owner < b.owner ? -1 : 1))
      this.#claims.set(id, claims)
    }
    if (entries.length > 0) this.#ids.set(owner, entries.map(entryId))
    else this.#ids.delete(owner)
    return [...touched].flatMap(([id, before]) => change(before, this.#claims.get(id)?.[0]?.entry))
  }

  get(id: string): Entry | undefined {
    return this.#claims.get(id)?.[0]?.entry
  }

  entries(): Entry[] {
    return [...this.#claims.values()].flatMap((claims) => (claims[0] ? [claims[0].entry] : []))
  }

  #withdraw(id: string, owner: string): void {
    const left = this.#claims.get(id)?.filter((claim) => claim.owner !== owner) ?? []
    if (left.length > 0) this.#claims.set(id, left)
    else this.#claims.delete(id)
  }
}

function change(before: Entry | undefined, after: Entry | undefined): Change[] {
  if (before && after) return sameEntry(before, after) ? [] : [{ before, after }]
  if (before) return [{ before }]
  return after ? [{ after }] : []
}
