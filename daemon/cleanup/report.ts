/** What a cleanup did, told line by line as it does it. */
export interface Report {
  removed(what: string): void
  /** It stays as it should, and why. */
  kept(what: string, why: string): void
  /** It stays though it should not, and why; the cleanup is not complete then. */
  stays(what: string, why: string): void
  readonly hasRemoved: boolean
  readonly isComplete: boolean
}

export function reporter(say: (line: string) => void): Report {
  let hasRemoved = false
  let isComplete = true
  return {
    removed(what) {
      hasRemoved = true
      say(`removed ${what}`)
    },
    kept: (what, why) => say(`kept ${what}: ${why}`),
    stays(what, why) {
      isComplete = false
      say(`stays: ${what}: ${why}`)
    },
    get hasRemoved() {
      return hasRemoved
    },
    get isComplete() {
      return isComplete
    },
  }
}

/** Does one part; when that fails the others are done all the same. */
export function attempt(report: Report, what: string, part: () => void): void {
  try {
    part()
  } catch (error) {
    report.stays(what, error instanceof Error ? error.message : String(error))
  }
}
