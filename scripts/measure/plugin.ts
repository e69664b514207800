import { type SpawnSyncReturns, spawnSync } from 'node:child_process'

/** One plugin of a chain with its own configuration; the list's name and version are in it too. */
export interface Plugin {
  readonly program: string
  readonly conf: Readonly<Record<string, unknown>>
}

/** Plugins that attach a container together, one after the other, as a runtime's list has them. */
export interface Contestant {
  readonly chain: readonly Plugin[]
  /** CNI_PATH: where a plugin finds its IPAM plugin. */
  readonly path: string
}

export interface Took {
  /** Milliseconds by the clock, of all the chain's processes together. */
  readonly ms: number
  /** Milliseconds of processor time in the kernel, and outside it. */
  readonly systemMs: number
  readonly userMs: number
}

/** What a runtime tells a plugin by its environment. */
export function environment(command: string, pod: string, path: string): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '',
    CNI_COMMAND: command,
    CNI_CONTAINERID: pod,
    CNI_NETNS: `/run/netns/${pod}`,
    CNI_IFNAME: 'eth0',
    CNI_PATH: path,
  }
}

/** Attaches a pod as a runtime does, each plugin getting the result of the one before it. */
export function attach({ chain, path }: Contestant, pod: string): Took & { result: string } {
  let result = ''
  const took: Took[] = []
  for (const plugin of chain) {
    const input = inputOf(plugin, result)
    const [time, stdout] = timed(plugin.program, input, environment('ADD', pod, path))
    took.push(time)
    result = stdout
  }
  return { ...sum(took), result }
}

/** Detaches it, in reverse, each plugin getting the result that the runtime kept. */
export function detach({ chain, path }: Contestant, pod: string, result: string): Took {
  const env = environment('DEL', pod, path)
  return sum(
    chain.toReversed().map((plugin) => timed(plugin.program, inputOf(plugin, result), env)[0]),
  )
}

/** What a plugin reads on standard input; `result` is empty where there is none yet. */
export function inputOf({ conf }: Plugin, result: string): string {
  if (result === '') return JSON.stringify(conf)
  return JSON.stringify({ ...conf, prevResult: JSON.parse(result) as unknown })
}

/** Runs a program to its end: what that took and what it printed. Throws when it fails. */
export function timed(
  program: string,
  input: string,
  env: Readonly<Record<string, string>>,
): [Took, string] {
  const began = process.hrtime.bigint()
  const child = Bun.spawnSync([program], { stdin: Buffer.from(input), env })
  const ms = Number(process.hrtime.bigint() - began) / 1e6
  const stdout = child.stdout.toString()
  if (child.exitCode !== 0) {
    const said = `${stdout}${child.stderr.toString()}`
    throw new Error(`${program} ${env['CNI_COMMAND']}: exit ${child.exitCode}: ${said}`)
  }
  const { system, user } = child.resourceUsage.cpuTime
  return [{ ms, systemMs: Number(system) / 1e3, userMs: Number(user) / 1e3 }, stdout]
}

/** Runs a command that must succeed. */
export function quietly(command: string, ...args: string[]): void {
  const result = spawnSync(command, args, { encoding: 'utf8' })
  if (result.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${failure(result)}`)
}

function failure(result: SpawnSyncReturns<string>): string {
  return `exit ${result.status}: ${result.stdout}${result.stderr}`
}

function sum(all: readonly Took[]): Took {
  const total = (key: keyof Took) => all.reduce((so, one) => so + one[key], 0)
  return { ms: total('ms'), systemMs: total('systemMs'), userMs: total('userMs') }
}
