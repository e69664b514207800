import { type Contestant, environment, inputOf, quietly } from './plugin.ts'

/** Many containers at once, by two contestants in turns. */
export interface ParallelPlan {
  readonly kind: 'parallel'
  readonly rounds: number
  /** Containers attached in a round, and how many of them at a time. */
  readonly containers: number
  readonly atOnce: number
  readonly contestants: readonly [Contestant, Contestant]
}

/** Milliseconds from the first start to the last end, by round; [heddle, reference]. */
export interface ParallelSamples {
  readonly add: readonly [number[], number[]]
  readonly del: readonly [number[], number[]]
}

/** Attaches all of a round's containers, then detaches them, for one contestant after the other. */
export async function measureParallel(plan: ParallelPlan): Promise<ParallelSamples> {
  const samples: ParallelSamples = { add: [[], []], del: [[], []] }
  const pods = Array.from({ length: plan.containers }, (_, n) => `p${n}-${process.pid}`)
  for (const pod of pods) quietly('ip', 'netns', 'add', pod)
  for (let round = 0; round < plan.rounds; round++) {
    for (const who of round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
      const contestant = plan.contestants[who]
      const add = (pod: string) => runChain('ADD', contestant, pod)
      samples.add[who].push(await together(pods, plan.atOnce, add))
      const del = (pod: string) => runChain('DEL', contestant, pod)
      samples.del[who].push(await together(pods, plan.atOnce, del))
    }
  }
  return samples
}

/** Does the work for every pod, so many at a time; returns the milliseconds it took. */
async function together(
  pods: readonly string[],
  atOnce: number,
  work: (pod: string) => Promise<void>,
): Promise<number> {
  const waiting = [...pods]
  const began = performance.now()
  const worker = async () => {
    for (let pod = waiting.pop(); pod !== undefined; pod = waiting.pop()) await work(pod)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return performance.now() - began
}

async function runChain(
  command: 'ADD' | 'DEL',
  { chain, path }: Contestant,
  pod: string,
): Promise<void> {
  let result = ''
  for (const plugin of command === 'ADD' ? chain : chain.toReversed()) {
    const child = Bun.spawn([plugin.program], {
      stdin: Buffer.from(inputOf(plugin, result)),
      env: environment(command, pod, path),
      stdout: 'pipe',
      stderr: 'inherit',
    })
    const stdout = await new Response(child.stdout).text()
    if ((await child.exited) !== 0) throw new Error(`${plugin.program} ${command}: ${stdout}`)
    if (command === 'ADD') result = stdout
  }
}
