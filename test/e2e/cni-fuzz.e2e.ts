import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import type { Host } from '../../scripts/lab/lab.ts'
import { type FuzzCase, fuzzCase } from '../fuzz/cases.ts'
import { Findings } from '../fuzz/findings.ts'
import { Tally } from '../fuzz/judge.ts'
import { seed } from '../fuzz/seed.ts'
import { executeCase, fuzzHost, traces, type Verdict } from './cni-fuzz-support.ts'
import { changes } from './cni-support.ts'
import { nth } from './support.ts'

const runs = Number(process.env['HEDDLE_FUZZ_EXECUTIONS'] ?? 2000)
/** A look at the host costs more than a run: it comes after so many. */
const between = 10

/** One host's share of the runs. */
interface Campaign {
  readonly host: Host
  readonly tally: Tally
  readonly findings: Findings
  before: readonly string[]
}

async function runOne(campaign: Campaign, run: FuzzCase): Promise<Verdict> {
  const verdict = await executeCase(campaign.host, run)
  campaign.tally.add(verdict.stage)
  if (verdict.fault) campaign.findings.add(Object.assign(new Error(verdict.fault), verdict), run)
  return verdict
}

/** Runs some cases. If they leave traces, runs them again one by one to learn whose they are. */
async function runSome(campaign: Campaign, cases: readonly FuzzCase[]): Promise<void> {
  for (const run of cases) await runOne(campaign, run)
  let after = await traces(campaign.host)
  if (changes(campaign.before, after).length === 0) return
  campaign.findings.addUnknown(`some of these: ${changes(campaign.before, after).join('\n')}`)
  for (const run of cases) {
    const { stdin } = await executeCase(campaign.host, run)
    const now = await traces(campaign.host)
    const left = changes(after, now)
    const error = Object.assign(new Error(`traces: ${left.join('\n')}`), { stdin })
    if (left.length > 0) campaign.findings.add(error, run)
    after = now
  }
  campaign.before = after
}

async function start(
  t: ExecutionContext,
  name: string,
  shared: Pick<Campaign, 'tally' | 'findings'>,
) {
  const host = await fuzzHost(t, name)
  return { ...shared, host, before: await traces(host) }
}

test(`${runs} executions that something is wrong with end well and leave no trace`, async (t) => {
  t.timeout(900_000)
  t.log(`HEDDLE_FUZZ_SEED=${seed}`)
  const cases = fc.sample(fuzzCase, { seed, numRuns: runs })
  const shared = { tally: new Tally(), findings: new Findings() }
  const campaigns = [await start(t, 'fuzz1', shared), await start(t, 'fuzz2', shared)]
  const queue = Array.from({ length: Math.ceil(runs / between) }, (_, i) => {
    return cases.slice(i * between, (i + 1) * between)
  })
  const worker = async (campaign: Campaign) => {
    for (let some = queue.shift(); some; some = queue.shift()) await runSome(campaign, some)
  }
  await Promise.all([worker(nth(campaigns, 0)), worker(nth(campaigns, 1))])
  for (const line of shared.tally.lines()) t.log(line)
  t.deepEqual(shared.findings.lines(), [])
  t.true(shared.tally.share('kernel') > 1 / 3)
})
