/** Runs every check and every test, and counts them. See `scripts/test --help`. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { parseTestPoint, type TestPoint } from './tap.ts'

const root = join(import.meta.dirname, '..')
const bin = join(root, 'node_modules/.bin')

type Counts = Record<TestPoint['outcome'], number>

/** Each of these passes or fails as a whole. */
const checks: readonly (readonly [name: string, ...command: string[]])[] = [
  ['format', 'biome', 'check'],
  ['lint', 'oxlint', '--type-aware', '--deny-warnings'],
  ['types', 'tsc'],
  ['unused code', 'knip'],
  ['generated files', 'node', 'scripts/gen-conf.ts', '--check'],
]

const full = process.argv.includes('--full')
const environment = {
  // The packaged Node and tools come before the machine's, but for its network tools: a package
  // brings a program called nft too.
  PATH: `/usr/sbin:/sbin:${bin}:${process.env['PATH']}`,
  ...(full ? { HEDDLE_LONG_TESTS: '1' } : {}),
}

/** What failed, said once more at the end: the last lines are what one sees of a long log. */
const failures: string[] = []

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

function seconds(since: number): string {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`
}

/** Runs a check; prints what it said only if it failed. */
async function runCheck(name: string, command: readonly string[]): Promise<Counts> {
  const began = Date.now()
  const [file = '', ...args] = command
  const result = await execa(existsSync(join(bin, file)) ? join(bin, file) : file, args, {
    cwd: root,
    env: environment,
    stdin: 'ignore',
    all: true,
    reject: false,
  })
  if (!result.failed) {
    say(`ok: ${name} (${seconds(began)})`)
    return { passed: 1, failed: 0, skipped: 0 }
  }
  say(`${result.all ?? ''}\nFAILED: ${name} (${seconds(began)}): ${result.shortMessage}`)
  failures.push(name)
  return { passed: 0, failed: 1, skipped: 0 }
}

/**
 * Runs ava and counts its TAP stream. Shows failed tests with all that ava says of them, and with
 * `everyTest` also those that passed: the slow ones, so that one can see how far it is.
 */
async function runTests(
  name: string,
  args: readonly string[],
  options: { everyTest: boolean },
): Promise<Counts> {
  const began = Date.now()
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 }
  const ava = execa(join(bin, 'ava'), ['--tap', ...args], {
    cwd: root,
    env: environment,
    stdin: 'ignore',
    stderr: 'inherit',
    reject: false,
    buffer: false,
  })
  let showing = false
  for await (const line of ava.iterable()) {
    const point = parseTestPoint(line)
    if (point) {
      counts[point.outcome]++
      showing = point.outcome === 'failed'
      if (showing) failures.push(point.title)
      if (showing || options.everyTest) say(`${point.outcome}: ${point.title}`)
    } else if (showing || line.startsWith('Bail out')) {
      say(line)
    }
  }
  const result = await ava
  // A crash that no test point told of must not pass.
  if (result.failed && counts.failed === 0) {
    say(result.shortMessage ?? `${name} failed`)
    failures.push(name)
    counts.failed++
  }
  say(`${counts.failed === 0 ? 'ok' : 'FAILED'}: ${name}: ${summary(counts)} (${seconds(began)})`)
  return counts
}

function summary({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

async function main(): Promise<Counts> {
  const total: Counts = { passed: 0, failed: 0, skipped: 0 }
  const add = (counts: Counts) => {
    for (const key of ['passed', 'failed', 'skipped'] as const) total[key] += counts[key]
    return counts.failed === 0
  }
  for (const [name, ...command] of checks) add(await runCheck(name, command))
  const isBuilt = add(await runCheck('build', ['scripts/build']))
  add(await runTests('unit and contract tests', [], { everyTest: false }))
  if (isBuilt) {
    const args = ['--config', 'ava.e2e.config.js']
    add(await runTests('end-to-end tests', args, { everyTest: true }))
  } else {
    say('end-to-end tests: not run, there is nothing to run them on')
  }
  return total
}

const counts = await main()
for (const name of failures) say(`failed: ${name}`)
say(summary(counts))
process.exitCode = counts.failed === 0 ? 0 : 1
