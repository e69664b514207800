import '../fuzz/use-rooted-fs.ts'
import test from 'ava'
import fc from 'fast-check'
import { bases } from '../fuzz/base-confs.ts'
import { fuzzCase } from '../fuzz/cases.ts'
import { Findings } from '../fuzz/findings.ts'
import { Tally } from '../fuzz/judge.ts'
import { dropFiles } from '../fuzz/rooted-fs.ts'
import type { ModelCase, ModelFault } from '../fuzz/run-case.ts'
import { seed } from '../fuzz/seed.ts'

const { environmentOf, addChainedLink, newWorld, runOn } = await import('../fuzz/run-model.ts')
const { runCase } = await import('../fuzz/run-case.ts')

test.after.always(dropFiles)

/** uapi/asm-generic/errno-base.h */
const EINVAL = 22
const numRuns = Number(process.env['HEDDLE_FUZZ_RUNS'] ?? 20_000)
/** They run at a stretch, and nobody shall think that they hang. */
const parts = 10

for (const { title, role, conf, args = '', chained } of bases) {
  test.serial(`${title}: ADD and DEL succeed on the model kernel`, (t) => {
    const world = newWorld()
    if (chained) addChainedLink(world)
    const stdin = Buffer.from(JSON.stringify(conf))
    const run = (verb: string) =>
      runOn(world, role, { ...environmentOf('c1'), CNI_ARGS: args, CNI_COMMAND: verb }, stdin)
    const added = run('ADD')
    t.is(added.code, 0, added.stdout)
    const deleted = run('DEL')
    t.is(deleted.code, 0, deleted.stdout)
  })
}

for (const base of bases) {
  test.serial(`${base.title}: ADD leaves nothing whichever message or file call fails`, (t) => {
    const run = { base, verb: 'ADD', mutations: [], variables: {} } as const
    for (const how of ['refused', 'lost', 'file'] as const) {
      // No ADD has as many.
      for (let at = 1; at <= 60; at++) {
        const fault = how === 'file' ? { how, at, code: 'EROFS' } : { how, at, errno: EINVAL }
        t.notThrows(() => runCase({ run, fault }), `${how} ${at}`)
      }
    }
  })
}

const fault: fc.Arbitrary<ModelFault> = fc.oneof(
  fc.record({
    how: fc.constantFrom('refused', 'lost'),
    at: fc.integer({ min: 1, max: 40 }),
    errno: fc.constantFrom(1, 12, 16, 17, 22, 28, 95, 105),
  }),
  fc.record({
    how: fc.constant('file'),
    at: fc.integer({ min: 1, max: 20 }),
    code: fc.constantFrom('EIO', 'ENOSPC', 'EACCES', 'EROFS'),
  }),
)
const modelCase = fc.record({ run: fuzzCase, fault: fc.option(fault, { nil: undefined, freq: 3 }) })

const tally = new Tally()

function campaign(part: number): string[] {
  const findings = new Findings()
  const attempt = (given: ModelCase) => {
    try {
      tally.add(runCase(given))
    } catch (error) {
      findings.add(error, given.run, { fault: given.fault })
    }
  }
  fc.assert(fc.property(modelCase, attempt), { seed: seed + part, numRuns: numRuns / parts })
  return findings.lines()
}

for (let part = 0; part < parts; part++) {
  // Each seed gives the same runs whatever the others.
  test.serial(
    `${numRuns / parts} runs that something is wrong with leave no trace, part ${part + 1}`,
    (t) => {
      t.timeout(120_000)
      t.log(`HEDDLE_FUZZ_SEED=${seed + part}`)
      t.deepEqual(campaign(part), [])
    },
  )
}

test.serial('a third of the runs that something is wrong with reach the kernel', (t) => {
  for (const line of tally.lines()) t.log(line)
  t.true(tally.share('kernel') > 1 / 3, `${tally.share('kernel')} of ${tally.total}`)
})
