/** One test in a TAP stream: https://testanything.org/tap-version-13-specification.html */
export interface TestPoint {
  readonly outcome: 'passed' | 'failed' | 'skipped'
  readonly title: string
}

/** Reads a line of TAP; undefined unless it is a test point. A test still to be done counts as skipped. */
export function parseTestPoint(line: string): TestPoint | undefined {
  const match = /^(not )?ok\b(?: \d+)?(?: - )?(.*?)(?: # (SKIP|TODO)\b.*)?$/i.exec(line)
  if (!match) return undefined
  const [, not, title = '', directive] = match
  return { outcome: directive ? 'skipped' : not ? 'failed' : 'passed', title }
}
