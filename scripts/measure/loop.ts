/**
 * The measuring loops of scripts/bench. Runs on one lab host under Bun, whose spawn, like a container
 * runtime's, does not copy the parent's page tables: 0.1 ms beyond the kernel's own, where Node takes
 * 0.6. Reads a Plan on standard input, writes what the plan's kind of samples is to standard output.
 */
import { readFileSync } from 'node:fs'
import { measureParallel, type ParallelPlan, type ParallelSamples } from './parallel.ts'
import {
  attach,
  type Contestant,
  detach,
  environment,
  quietly,
  type Took,
  timed,
} from './plugin.ts'
import {
  measureReservations,
  type ReservationPlan,
  type ReservationSamples,
} from './reservations.ts'

/** One container after the other, by two contestants in turns. */
export interface PairPlan {
  readonly kind: 'pairs'
  readonly pairs: number
  /** heddle and the reference. */
  readonly contestants: readonly [Contestant, Contestant]
  /** A program that does nothing, started once a pair. */
  readonly empty: string
}

/** By pair; [heddle, reference] as in the plan. */
export interface PairSamples {
  readonly add: readonly [Took[], Took[]]
  readonly del: readonly [Took[], Took[]]
  readonly empty: Took[]
}

export type Plan = PairPlan | ParallelPlan | ReservationPlan

/** What each kind of plan is answered with. */
export interface SamplesOf {
  readonly pairs: PairSamples
  readonly parallel: ParallelSamples
  readonly reservations: ReservationSamples
}

function pingGateway(pod: string, result: string): void {
  const { ips } = JSON.parse(result) as { ips: { gateway: string }[] }
  for (const { gateway } of ips) {
    quietly('nsenter', `--net=/run/netns/${pod}`, 'ping', '-n', '-q', '-c', '1', '-W', '2', gateway)
  }
}

function measurePairs({ pairs, contestants, empty }: PairPlan): PairSamples {
  const samples: PairSamples = { add: [[], []], del: [[], []], empty: [] }
  for (let pair = 0; pair < pairs; pair++) {
    // Who comes first changes every time: the second finds warmer caches.
    const order = pair % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)
    const pods = ['a', 'b'].map((name) => `${name}${pair}-${process.pid}`) as [string, string]
    for (const pod of pods) quietly('ip', 'netns', 'add', pod)
    const results = ['', '']
    for (const who of order) {
      const { result, ...took } = attach(contestants[who], pods[who])
      samples.add[who].push(took)
      results[who] = result
    }
    const input = JSON.stringify(contestants[0].chain[0]?.conf)
    samples.empty.push(timed(empty, input, environment('ADD', '', ''))[0])
    for (const who of order) pingGateway(pods[who], results[who] ?? '')
    for (const who of order) {
      samples.del[who].push(detach(contestants[who], pods[who], results[who] ?? ''))
    }
    // The namespaces stay until the lab ends: the kernel takes the RTNL lock when it clears one up.
  }
  return samples
}

async function measure(plan: Plan): Promise<SamplesOf[Plan['kind']]> {
  switch (plan.kind) {
    case 'pairs':
      return measurePairs(plan)
    case 'parallel':
      return measureParallel(plan)
    case 'reservations':
      return measureReservations(plan)
    default:
      return plan satisfies never
  }
}

try {
  const plan = JSON.parse(readFileSync(0, 'utf8')) as Plan
  process.stdout.write(JSON.stringify(await measure(plan)))
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 1
}
