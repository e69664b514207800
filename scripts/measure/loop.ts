/**
 * The measuring loop of scripts/bench. Runs on one lab host under Bun, whose spawn, like a container
 * runtime's, does not copy the parent's page tables: 0.1 ms beyond the kernel's own, where Node takes
 * 0.6. Reads a Plan on standard input, writes Samples to standard output.
 */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** What to measure. */
export interface Plan {
  readonly pairs: number
  /** Two plugins to attach with in turns. */
  readonly contestants: readonly [Contestant, Contestant]
  /** A program that does nothing, started once a pair. */
  readonly empty: string
}

/** A plugin with its configuration. */
export interface Contestant {
  readonly program: string
  /** CNI_PATH: where the plugin finds its IPAM plugin. */
  readonly path: string
  readonly conf: Readonly<Record<string, unknown>>
}

/** Milliseconds, by pair; [heddle, reference] as in the plan. */
export interface Samples {
  readonly add: readonly [number[], number[]]
  readonly del: readonly [number[], number[]]
  readonly empty: number[]
}

function environment(command: string, pod: string, path: string): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '',
    CNI_COMMAND: command,
    CNI_CONTAINERID: pod,
    CNI_NETNS: `/run/netns/${pod}`,
    CNI_IFNAME: 'eth0',
    CNI_PATH: path,
  }
}

/** Runs a program to its end; how long that took in ms, and what it printed. */
function timed(program: string, input: string, env: Record<string, string>): [number, string] {
  const began = process.hrtime.bigint()
  const result = spawnSync(program, [], { input, env, encoding: 'utf8' })
  const ms = Number(process.hrtime.bigint() - began) / 1e6
  if (result.status !== 0) throw new Error(`${program} ${env['CNI_COMMAND']}: ${failure(result)}`)
  return [ms, result.stdout]
}

function quietly(command: string, ...args: string[]): void {
  const result = spawnSync(command, args, { encoding: 'utf8' })
  if (result.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${failure(result)}`)
}

function failure(result: SpawnSyncReturns<string>): string {
  return `exit ${result.status}: ${result.stdout}${result.stderr}`
}

function pingGateway(pod: string, result: string): void {
  const { ips } = JSON.parse(result) as { ips: { gateway: string }[] }
  for (const { gateway } of ips) {
    quietly('nsenter', `--net=/run/netns/${pod}`, 'ping', '-n', '-q', '-c', '1', '-W', '2', gateway)
  }
}

function measure(plan: Plan): Samples {
  const samples: Samples = { add: [[], []], del: [[], []], empty: [] }
  for (let pair = 0; pair < plan.pairs; pair++) {
    // Who comes first changes every time: the second finds warmer caches.
    const order = pair % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)
    const pods = ['a', 'b'].map((name) => `${name}${pair}-${process.pid}`) as [string, string]
    for (const pod of pods) quietly('ip', 'netns', 'add', pod)
    const results = ['', '']
    for (const who of order) {
      const { program, path, conf } = plan.contestants[who]
      const [ms, result] = timed(program, JSON.stringify(conf), environment('ADD', pods[who], path))
      samples.add[who].push(ms)
      results[who] = result
    }
    samples.empty.push(
      timed(plan.empty, JSON.stringify(plan.contestants[0].conf), environment('ADD', '', ''))[0],
    )
    for (const who of order) pingGateway(pods[who], results[who] ?? '')
    for (const who of order) {
      const { program, path, conf } = plan.contestants[who]
      const input = JSON.stringify({
        ...conf,
        prevResult: JSON.parse(results[who] ?? '') as unknown,
      })
      samples.del[who].push(timed(program, input, environment('DEL', pods[who], path))[0])
    }
    // The namespaces stay until the lab ends: the kernel takes the RTNL lock when it clears one up.
  }
  return samples
}

try {
  const plan = JSON.parse(readFileSync(0, 'utf8')) as Plan
  process.stdout.write(JSON.stringify(measure(plan)))
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 1
}
