import { execa } from 'execa'

/** How a command of the lab is run. */
export interface RunOptions {
  /** Standard input; none by default. */
  readonly input?: string
  /** Added to the caller's environment. */
  readonly env?: Readonly<Record<string, string>>
  /** Ends the command with SIGKILL after this long; 60 s by default. */
  readonly timeoutMs?: number
}

/** What a command left: its exit code, or 128 and more for a signal or the time limit. */
export interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** A command with its arguments. */
export type Command = readonly [string, ...string[]]

/** Runs a command to its end and returns what it printed; throws with all it said if it failed. */
export async function run(command: Command, options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await attempt(command, options)
  if (code === 0) return stdout
  // A CNI plugin tells what is wrong on standard output.
  const said = [stderr, stdout].filter((text) => text !== '').join('\n')
  throw new Error(`${command.join(' ')}: exit ${code}: ${said || 'no output'}`)
}

/** Runs a command to its end, whatever comes of it. Throws only when it cannot be started. */
export async function attempt(command: Command, options: RunOptions = {}): Promise<Outcome> {
  const [file, ...args] = command
  const result = await execa(file, args, {
    ...(options.input === undefined ? { stdin: 'ignore' } : { input: options.input }),
    ...(options.env ? { env: options.env } : {}),
    timeout: options.timeoutMs ?? 60_000,
    killSignal: 'SIGKILL',
    reject: false,
  })
  if (result.exitCode === undefined && result.signal === undefined) throw result
  const code = result.exitCode ?? (result.timedOut ? 124 : 137)
  return { code, stdout: result.stdout, stderr: result.stderr }
}

/** Calls `body` for each item, at most `limit` at once; results in the order of the items. */
export async function mapLimit<T, R>(
  items: readonly T[],
  limit: number,
  body: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = []
  const queue = items.entries()
  const worker = async () => {
    // One iterator for all workers: each takes the next item nobody has taken.
    for (const [index, item] of queue) results[index] = await body(item)
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker))
  return results
}

/**
 * Asks `probe` every `everyMs` (50) until it answers something other than undefined or false; throws
 * after `timeoutMs`, saying what was waited for.
 */
export async function until<T>(
  what: string,
  probe: () => T | Promise<T>,
  options: { timeoutMs: number; everyMs?: number },
): Promise<Exclude<T, undefined | false>> {
  const deadline = Date.now() + options.timeoutMs
  for (;;) {
    const answer = await probe()
    if (answer !== undefined && answer !== false) return answer as Exclude<T, undefined | false>
    if (Date.now() > deadline) throw new Error(`Waited ${options.timeoutMs} ms for ${what} in vain`)
    await new Promise((resolve) => setTimeout(resolve, options.everyMs ?? 50))
  }
}
