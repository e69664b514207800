import type { Revision } from '../store.ts'
import type { Stored } from './keyspace.ts'

interface Sighting {
  readonly revision: Revision
  readonly expiresMs: number
  readonly moment: number
}

/**
 * When keys expire on a server that does not know of it: a revision that has been there for as long
 * as its time to live, counted on our own clock from when we first saw it, was not renewed in time.
 * No other host's clock matters. A process that starts later sees later, so it only errs by waiting.
 */
export class Sightings {
  readonly #bootMs: () => number
  readonly #seen = new Map<string, Sighting>()
  /** Counts what was seen. */
  #moment = 0
  /** No key expires before. */
  #earliestMs = Number.POSITIVE_INFINITY

  /** `bootMs`: milliseconds on a clock that runs on while the host sleeps and is never set. */
  constructor(bootMs: () => number) {
    this.#bootMs = bootMs
  }

  /** To be had before a look, and given with what it misses: what is seen meanwhile is younger. */
  get moment(): number {
    return this.#moment
  }

  /** Notes what is there now. */
  see({ key, revision, ttlSeconds }: Omit<Stored, 'value'>): void {
    if (ttlSeconds === undefined) this.#seen.delete(key)
    else if (this.#seen.get(key)?.revision !== revision) {
      const expiresMs = this.#bootMs() + ttlSeconds * 1000
      this.#moment += 1
      this.#seen.set(key, { revision, expiresMs, moment: this.#moment })
      this.#earliestMs = Math.min(this.#earliestMs, expiresMs)
    }
  }

  /** Notes that a key is gone, or was at this moment. */
  miss(key: string, moment = this.#moment): void {
    const seen = this.#seen.get(key)
    if (seen && seen.moment <= moment) this.#seen.delete(key)
  }

  /** Notes that under a prefix there is nothing but these keys, or was not at this moment. */
  missOthers(prefix: string, present: { has(key: string): boolean }, moment = this.#moment): void {
    for (const key of this.#seen.keys()) {
      if (key.startsWith(prefix) && !present.has(key)) this.miss(key, moment)
    }
  }

  isOverdue(key: string, revision: Revision): boolean {
    const seen = this.#seen.get(key)
    return seen?.revision === revision && seen.expiresMs <= this.#bootMs()
  }

  /** Every key that has expired and was not missed yet. */
  overdue(): { key: string; revision: Revision }[] {
    const now = this.#bootMs()
    const due = []
    this.#earliestMs = Number.POSITIVE_INFINITY
    for (const [key, { revision, expiresMs }] of this.#seen) {
      if (expiresMs <= now) due.push({ key, revision })
      this.#earliestMs = Math.min(this.#earliestMs, expiresMs)
    }
    return due
  }

  /** Milliseconds until `overdue` may have something to tell; infinite if nothing expires. */
  get msToNext(): number {
    return Math.max(this.#earliestMs - this.#bootMs(), 0)
  }
}
