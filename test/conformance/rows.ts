import type { TestFn } from 'ava'
import type { Host } from '../../scripts/lab/lab.ts'
import { type Case, openCase } from './case.ts'
import type { Deviation } from './deviation.ts'
import { deviations } from './deviations.ts'
import { executions, untraceable } from './exec.ts'
import { type Kind, type Subject, subjects } from './subjects.ts'

/** What was seen, or what ought to be, under a name for each thing looked at. */
export type Facts = Readonly<Record<string, unknown>>

/** A row of the checklist, tried on every subject it is about. */
export interface Row {
  /** `E4`. */
  readonly row: string
  /** What holds, as the rest of a test's title. */
  readonly rule: string
  readonly of: readonly Kind[] | ((subject: Subject) => boolean)
  readonly observe: (made: Case) => Promise<Facts>
  /** A pattern stands for any text that it matches. */
  readonly expect: Facts | ((made: Case) => Facts)
}

/** An error that the plugin itself finds, where the reference has one code for all: 999. */
export function own(code: number, msg: string | RegExp): Facts {
  return { code, msg, isOwn: true }
}

/** Plugins that speak 1.1.0, the version of GC and STATUS. */
export function of11(kinds: readonly Kind[]): (subject: Subject) => boolean {
  return ({ kind, maker }) => kinds.includes(kind) && maker !== 'Debian'
}

/** The kinds that all rows about environment and standard input are about. */
export const every: readonly Kind[] = ['network', 'loopback', 'portmap', 'bandwidth', 'ipam']

/** The subjects a row is about. */
export function subjectsOf({ of }: Row): readonly Subject[] {
  return subjects.filter((subject) =>
    typeof of === 'function' ? of(subject) : of.includes(subject.kind),
  )
}

/** The listed deviations of a subject from a row. */
export function deviationsOf({ row }: Row, subject: Subject): readonly Deviation[] {
  return deviations.filter(
    (one) => one.row === row && one.of.some((of) => of === subject.title || of === subject.maker),
  )
}

/** Defines a test for each row and subject: ours by the rule, theirs by the listed deviations. */
export function testRows(test: TestFn, host: () => Host, rows: readonly Row[]): void {
  for (const row of rows) {
    for (const subject of subjectsOf(row)) {
      const title = `${row.row}: ${row.rule} (${subject.title})`
      if (subject.missing !== undefined) {
        test.skip(`${title}: not tried, ${subject.missing}`, (t) => t.pass())
        continue
      }
      test(title, async (t) => {
        const made = openCase(t, host(), subject)
        const observed = await row.observe(made)
        const rule = typeof row.expect === 'function' ? row.expect(made) : row.expect
        const listed = deviationsOf(row, subject).map((one) => one.observed)
        const expected = Object.assign({}, rule, ...listed) as Facts
        const coded = subject.maker === 'heddle' ? expected : codedAlike(expected)
        const settled = settle(coded, observed) as Facts
        t.deepEqual(observed, settled)
      })
    }
  }
  testPrograms(test)
}

/** The last test of a file: each of its calls was counted when it was made. */
export function testPrograms(test: TestFn): void {
  const title = 'every call of ours above started one program, foreign delegates aside'
  if (untraceable !== undefined) {
    test.skip(`${title}: not counted, ${untraceable}`, (t) => t.pass())
    return
  }
  test(title, (t) => {
    const { runs, programs, delegates } = executions
    t.log(`${runs} calls, ${programs} programs, ${delegates} of them foreign delegates`)
    t.true(runs > 0)
    t.is(programs, runs + delegates)
  })
}

/** The deviation of row 1.4/999. */
function codedAlike(expected: Facts): Facts {
  const entries = Object.entries(expected).map(([key, one]) => {
    const isOwn = typeof one === 'object' && one !== null && 'isOwn' in one
    return [key, isOwn ? { ...one, code: 999 } : one]
  })
  return Object.fromEntries(entries) as Facts
}

/** What is expected, with patterns that match replaced by what they match; details nobody asks about too. */
function settle(expected: unknown, observed: unknown): unknown {
  if (expected instanceof RegExp) {
    return typeof observed === 'string' && expected.test(observed) ? observed : expected
  }
  if (Array.isArray(expected)) {
    const seen = Array.isArray(observed) ? observed : []
    return expected.map((one, i) => settle(one, seen[i]))
  }
  if (typeof expected !== 'object' || expected === null) return expected
  const seen = ((typeof observed === 'object' ? observed : undefined) ?? {}) as Facts
  const keys = Object.entries(expected).filter(([key]) => key !== 'isOwn')
  const settled = keys.map(([key, one]) => [key, settle(one, seen[key])])
  const details = 'code' in expected && 'details' in seen ? { details: seen['details'] } : {}
  return { ...details, ...Object.fromEntries(settled) }
}
