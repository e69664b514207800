import { type Entry, entryId, sameEntry } from '../backend/kernel-state.ts'

/** One entry that is wanted otherwise than before. */
export interface Change {
  readonly before?: Entry
  readonly after?: Entry
}

interface Owner {
  readonly name: string
  readonly revision: number
  readonly entries: readonly Entry[]
}

/** What an owner wants under one id, and behind it whoever wants that id too. */
interface Claim {
  readonly owner: Owner
  readonly entry: Entry
  readonly next: Claim | undefined
}

/**
 * The entries that all leases together want. Two leases may want one entry differently (a node that
 * took a new key before its old one ended, two nodes with one MAC): the newer lease has its way,
 * and when it goes the other one gets its turn. Costs what the touched lease costs, however many
 * there are, and keeps little: there may be tens of thousands.
 */
export class Wanted {
  readonly #claims = new Map<string, Claim>()
  readonly #owners = new Map<string, Owner>()

  /** Replaces what `owner` wants; `revision` is its lease's. Nothing wanted: no entries. */
  set(name: string, revision: number, entries: readonly Entry[]): Change[] {
    const former = this.#owners.get(name)
    if (former?.revision === revision && sameEntries(former.entries, entries)) return []
    const touched = new Map<string, Entry | undefined>()
    for (const entry of former?.entries ?? []) {
      const id = entryId(entry)
      if (!touched.has(id)) touched.set(id, this.get(id))
      this.#put(id, without(this.#claims.get(id), name))
    }
    const owner: Owner = { name, revision, entries }
    for (const entry of entries) {
      const id = entryId(entry)
      if (!touched.has(id)) touched.set(id, this.get(id))
      this.#put(id, among(this.#claims.get(id), { owner, entry, next: undefined }))
    }
    if (entries.length > 0) this.#owners.set(name, owner)
    else this.#owners.delete(name)
    const changes: Change[] = []
    for (const [id, before] of touched) {
      const change = changeOf(before, this.get(id))
      if (change) changes.push(change)
    }
    return changes
  }

  get(id: string): Entry | undefined {
    return this.#claims.get(id)?.entry
  }

  entries(): Entry[] {
    return Array.from(this.#claims.values(), ({ entry }) => entry)
  }

  /** The same one by one, for who does not keep them. */
  *[Symbol.iterator](): Generator<Entry> {
    for (const { entry } of this.#claims.values()) yield entry
  }

  #put(id: string, claim: Claim | undefined): void {
    if (claim) this.#claims.set(id, claim)
    else this.#claims.delete(id)
  }
}

function sameEntries(a: readonly Entry[], b: readonly Entry[]): boolean {
  return a.length === b.length && a.every((entry, at) => b[at] && sameEntry(entry, b[at]))
}

/** The claims without those of this owner. */
function without(claim: Claim | undefined, owner: string): Claim | undefined {
  if (!claim) return undefined
  const next = without(claim.next, owner)
  if (claim.owner.name === owner) return next
  return next === claim.next ? claim : { ...claim, next }
}

/** The claims with one more: the newest first. */
function among(claim: Claim | undefined, added: Claim): Claim {
  if (!claim || isBefore(added.owner, claim.owner)) return { ...added, next: claim }
  return { ...claim, next: among(claim.next, added) }
}

/** Equal revisions cannot come from one store; the order of names is only to have one. */
function isBefore(a: Owner, b: Owner): boolean {
  return a.revision > b.revision || (a.revision === b.revision && a.name < b.name)
}

function changeOf(before: Entry | undefined, after: Entry | undefined): Change | undefined {
  if (before && after) return sameEntry(before, after) ? undefined : { before, after }
  if (before) return { before }
  return after && { after }
}
