import { limited } from '../../log/limited.ts'
import type { Logger } from '../../log/logger.ts'
import type { Repair } from './reconcile.ts'

/** So many of what the kernel refuses are told one by one. */
const TOLD_FAILURES = 5

/** What keeps the kernel from being as wanted; told once as long as it stays the same. */
export class Complaints {
  readonly #log: Logger
  #conflicts: readonly string[] = []
  #outranked: readonly string[] = []
  #failures: readonly string[] = []

  constructor(log: Logger) {
    this.#log = limited(log)
  }

  /** What is not as wanted now; empty when all is. */
  get problems(): readonly string[] {
    return [...this.#conflicts, ...this.#failures]
  }

  /** Whether the kernel refused something and it is to be tried again. */
  get isRefused(): boolean {
    return this.#failures.length > 0
  }

  /** What somebody else's routes do to ours. */
  noteOthers({ conflicts, outranked }: Pick<Repair, 'conflicts' | 'outranked'>): void {
    for (const what of newOnes(conflicts, this.#conflicts)) {
      this.#log.warn('somebody else’s route is in the way', { what })
    }
    for (const what of newOnes(outranked, this.#outranked)) {
      this.#log.warn('somebody else’s route stays behind ours', { what })
    }
    this.#conflicts = conflicts
    this.#outranked = outranked
  }

  /** What the kernel refused, all of it. */
  noteFailures(failures: readonly string[]): void {
    const news = newOnes(failures, this.#failures)
    for (const what of news.slice(0, TOLD_FAILURES)) this.#log.error('kernel refused', { what })
    if (news.length > TOLD_FAILURES) {
      this.#log.error('kernel refused more', { count: news.length - TOLD_FAILURES })
    }
    this.#failures = failures
  }
}

function newOnes(now: readonly string[], before: readonly string[]): string[] {
  const known = new Set(before)
  return now.filter((text) => !known.has(text))
}
