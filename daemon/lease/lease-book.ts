import { isDeepStrictEqual } from 'node:util'
import type { Instant } from '../host/clock.ts'
import type { Lease } from './lease.ts'

/** A peer's lease as last seen. Times are ms on the host's boot clock. */
export interface Held {
  readonly lease: Lease
  /** When it ends at the latest, as far as we know. */
  readonly expires: number
  /** It is gone from the store, and its peer is dropped then unless it comes back. */
  readonly dropAt?: number
}

/** One list of the store's leases, those of this host left out. */
export interface Listed {
  readonly clusterId: string
  readonly revision: number
  readonly leases: readonly Lease[]
  /** Keys that are there too, with values nobody can read: reason to keep what we knew. */
  readonly unreadable: readonly string[]
  /** Whether this host's own lease, if it holds one that has not expired, was in the list. */
  readonly own: 'present' | 'missing' | 'not expected'
}

/** What a list changed. `distrust` says why the store seems to have lost data, if it does. */
export interface ListVerdict {
  readonly distrust?: string
  readonly changed: readonly string[]
}

/** How long a peer stays after its lease went, for its owner to put it back. */
const GRACE_MS = 5_000
/** How long peers stay at least after the store has lost data. */
const DISTRUST_MS = 60_000
/** How long nobody takes a new subnet after that, so that owners can put theirs back. */
const NO_NEW_LEASE_MS = 30_000

/** A lease that a store shows that has lost data, and that may be from before the loss. */
interface Doubt {
  readonly lease: Lease
  /** When it is believed if nobody has written it since, ms on the boot clock. */
  readonly until: number
}

/**
 * Which peers to believe in: all we have seen, until there is good reason to drop one. It holds the
 * rules for deleting (a list is believed if it comes from the same store, not from its past, and
 * shows our own lease) and does nothing itself: `now` comes in, keys that changed go out.
 */
export class LeaseBook {
  readonly #held = new Map<string, Held>()
  /** The keys of those with `dropAt`. */
  readonly #leaving = new Set<string>()
  /** By key; what we hold under it stays in force. */
  readonly #doubts = new Map<string, Doubt>()
  readonly #leaseMs: number
  #clusterId: string | undefined
  #revision = 0
  #mayPruneFrom = Number.POSITIVE_INFINITY
  #mayTakeFrom = 0

  /** `leaseMs`: how long a lease lasts at most where the store does not say when it ends. */
  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs
  }

  get held(): ReadonlyMap<string, Held> {
    return this.#held
  }

  /** The store that the last list came from, and how far we have followed it. */
  get position(): { readonly clusterId: string | undefined; readonly revision: number } {
    return { clusterId: this.#clusterId, revision: this.#revision }
  }

  /** From this time on a subnet may be taken that was not this host's before. */
  get mayTakeFrom(): number {
    return this.#mayTakeFrom
  }

  /**
   * From when on what the kernel has and no lease explains may be deleted, ms on the boot clock:
   * some time after a list, for an owner that we do not know of to put its lease back.
   */
  get mayPruneFrom(): number {
    return this.#mayPruneFrom
  }

  /** Takes up what an earlier run knew. */
  restore(
    position: { clusterId: string | undefined; revision: number },
    held: Iterable<Held>,
  ): void {
    this.#clusterId = position.clusterId
    this.#revision = position.revision
    for (const one of held) this.#set(one)
  }

  list(listed: Listed, now: Instant): ListVerdict {
    const distrust = this.#distrust(listed)
    const isOther = this.#clusterId !== listed.clusterId
    const believed = listed.leases.filter((lease) => {
      const isDoubtful = distrust !== undefined && this.#isOlder(lease, isOther)
      return !this.#doubt(lease, isDoubtful, now)
    })
    const changed = believed.flatMap((lease) => this.#seen(lease, now))
    const listedKeys = new Set(listed.leases.map(({ key }) => key))
    for (const key of this.#doubts.keys()) if (!listedKeys.has(key)) this.#doubts.delete(key)
    const present = new Set([...listedKeys, ...listed.unreadable])
    const newest = isOther ? new Map<string, number>() : newestByNode(believed)
    for (const held of this.#held.values()) {
      if (present.has(held.lease.key)) continue
      // A node that has another lease now, and took it later, did not lose this one.
      const { nodeId = '' } = held.lease.attrs
      const isReplaced = (newest.get(nodeId) ?? 0) > held.lease.revision
      const dropAt =
        distrust === undefined || isReplaced
          ? (held.dropAt ?? now.boot + GRACE_MS)
          : Math.max(held.expires, now.boot + DISTRUST_MS)
      this.#set({ ...held, dropAt })
    }
    this.#clusterId = listed.clusterId
    this.#revision = listed.revision
    this.#mayPruneFrom = now.boot + (distrust === undefined ? GRACE_MS : DISTRUST_MS)
    if (distrust !== undefined) this.#mayTakeFrom = now.boot + NO_NEW_LEASE_MS
    return distrust === undefined ? { changed } : { changed, distrust }
  }

  /** Keys whose lease says something new. */
  put(lease: Lease, now: Instant): readonly string[] {
    this.#revision = Math.max(this.#revision, lease.revision)
    const doubt = this.#doubts.get(lease.key)
    if (doubt && lease.attrs.challenge !== undefined) {
      // Somebody asks, and nobody has answered yet.
      this.#doubts.set(lease.key, { ...doubt, lease })
      return []
    }
    this.#replaced(lease, now)
    return this.#seen(lease, now)
  }

  delete(key: string, revision: number, now: Instant): void {
    this.#revision = Math.max(this.#revision, revision)
    this.#doubts.delete(key)
    const held = this.#held.get(key)
    if (held) this.#set({ ...held, dropAt: held.dropAt ?? now.boot + GRACE_MS })
  }

  /** Drops the peers whose time has come and believes what was doubted long enough: their keys. */
  expire(now: Instant): readonly string[] {
    const due = [...this.#leaving].filter((key) => this.#dropAt(key) <= now.boot)
    for (const key of due) {
      this.#held.delete(key)
      this.#leaving.delete(key)
    }
    const doubts = [...this.#doubts.values()].filter(({ until }) => until <= now.boot)
    return [...due, ...doubts.flatMap(({ lease }) => this.#seen(lease, now))]
  }

  /** When `expire` has something to do next, on the boot clock. */
  nextDrop(): number | undefined {
    const times = [
      ...Array.from(this.#leaving, (key) => this.#dropAt(key)),
      ...Array.from(this.#doubts.values(), ({ until }) => until),
    ]
    return times.length === 0 ? undefined : times.reduce((a, b) => Math.min(a, b))
  }

  #distrust({ clusterId, revision, own }: Listed): string | undefined {
    if (this.#clusterId !== undefined && clusterId !== this.#clusterId) {
      return `it is another store now (cluster ${clusterId}, was ${this.#clusterId})`
    }
    if (revision < this.#revision) {
      return `its revision went back from ${this.#revision} to ${revision}`
    }
    return own === 'missing' ? 'this host’s own lease is not in it' : undefined
  }

  /** Whether a lease says something else than what we hold, and its holder did not say so later. */
  #isOlder({ key, attrs, revision }: Lease, isOtherStore: boolean): boolean {
    const held = this.#held.get(key)?.lease
    if (!held || isDeepStrictEqual(held.attrs, attrs)) return false
    return isOtherStore || revision < held.revision || attrs.challenge !== undefined
  }

  /** Notes a doubt, or one that still holds: nobody has written that lease since. */
  #doubt(lease: Lease, isDoubtful: boolean, now: Instant): boolean {
    const before = this.#doubts.get(lease.key)
    if (before?.lease.revision === lease.revision) return true
    if (isDoubtful) this.#doubts.set(lease.key, { lease, until: now.boot + NO_NEW_LEASE_MS })
    return isDoubtful
  }

  /** Notes a lease that is in the store; its key if what it says is new. */
  #seen(lease: Lease, now: Instant): readonly string[] {
    const before = this.#held.get(lease.key)
    this.#doubts.delete(lease.key)
    const left = lease.expiresAt === undefined ? this.#leaseMs : lease.expiresAt - now.wall
    this.#set({ lease, expires: now.boot + left })
    return before && isDeepStrictEqual(before.lease.attrs, lease.attrs) ? [] : [lease.key]
  }

  /** Its node has taken another lease: what it had and is on its way out need not wait long. */
  #replaced({ key, attrs: { nodeId } }: Lease, now: Instant): void {
    for (const leaving of this.#leaving) {
      const held = this.#held.get(leaving)
      if (!held || leaving === key || nodeId === undefined) continue
      if (held.lease.attrs.nodeId !== nodeId) continue
      this.#set({ ...held, dropAt: Math.min(this.#dropAt(leaving), now.boot + GRACE_MS) })
    }
  }

  #set(held: Held): void {
    const { key } = held.lease
    this.#held.set(key, held)
    if (held.dropAt === undefined) this.#leaving.delete(key)
    else this.#leaving.add(key)
  }

  #dropAt(key: string): number {
    return this.#held.get(key)?.dropAt ?? Number.POSITIVE_INFINITY
  }
}

/** The newest lease's revision of each node that has an id. */
function newestByNode(leases: readonly Lease[]): Map<string, number> {
  const newest = new Map<string, number>()
  for (const { attrs, revision } of leases) {
    if (attrs.nodeId === undefined) continue
    newest.set(attrs.nodeId, Math.max(revision, newest.get(attrs.nodeId) ?? 0))
  }
  return newest
}
