import type { Logger } from '../../log/logger.ts'
import { isErrno } from '../../netlink/errors.ts'

/** What came of a look at rules: a problem, which is told elsewhere, is `failed`. */
export type Outcome = 'unchanged' | 'written' | 'failed'

/** So often in a row the ruleset may change under a look before that is told. */
const TOLD_INTERRUPTIONS = 5

/** Looks at rules: what fails is a problem, not an error, and told once as long as it is the same. */
export class RulesLook {
  readonly #words: { readonly whose: string; readonly failure: string }
  readonly #log: Logger
  #problem: string | undefined
  #interruptions = 0

  constructor(words: { readonly whose: string; readonly failure: string }, log: Logger) {
    this.#words = words
    this.#log = log
  }

  /** What keeps the rules from being as wanted. */
  get problem(): string | undefined {
    return this.#problem
  }

  run(look: () => Outcome): Outcome {
    try {
      const outcome = look()
      this.#problem = undefined
      this.#interruptions = 0
      return outcome
    } catch (error) {
      // Somebody loads rules one by one; the next look comes soon.
      if (isErrno(error, 'EINTR') && ++this.#interruptions < TOLD_INTERRUPTIONS) return 'failed'
      const { whose, failure } = this.#words
      const problem = `${whose} ${error instanceof Error ? error.message : String(error)}`
      if (problem !== this.#problem) this.#log.error(failure, { error: problem })
      this.#problem = problem
      return 'failed'
    }
  }
}
