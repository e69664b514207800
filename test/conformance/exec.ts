import { spawn, spawnSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Host } from '../../scripts/lab/lab.ts'
import type { Command } from '../../scripts/lab/run.ts'

/** What a plugin finds as its standard input: a text, nothing open at all, or something unreadable. */
export type Stdin = string | { readonly is: 'closed' | 'folder' }

/** One start of a plugin on a host of the lab. */
export interface Execution {
  /** The executable, as the host sees it. */
  readonly path: string
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>
  readonly stdin: Stdin
  /** Words put before the executable; what they start is not counted as the plugin's. */
  readonly under?: readonly string[]
}

/** How it ended; both streams to the byte. */
export interface Outcome {
  readonly exit: number
  readonly stdout: string
  readonly stderr: string
}

const limitMs = 30_000

/** A host's usual PATH, which the reference plugins need for iptables. */
export const usualPath = '/usr/sbin:/usr/bin:/sbin:/bin'

/** Starts a plugin and waits for its end. Retries as libcni does while somebody writes the file. */
export async function execute(host: Host, execution: Execution): Promise<Outcome> {
  for (let tries = 0; ; tries++) {
    const outcome = await executeOnce(host, execution)
    const busy = outcome.exit === 126 && /text file busy/i.test(outcome.stderr)
    if (!busy || tries === 5) return outcome
    await new Promise((resolve) => setTimeout(resolve, 1000))
  }
}

async function executeOnce(host: Host, { path, env, stdin, under = [] }: Execution) {
  const program = [...under, ...viaStdin(stdin), path]
  const input = typeof stdin === 'string' ? stdin : ''
  if (env['PATH'] === usualPath) return runToEnd([...host.enter, ...program], input, env)
  // What is between us and the plugin needs a PATH whether or not the plugin has one.
  const words: Command = [...host.enter, ...viaEnvironment(env), ...program]
  return runToEnd(words, input, { PATH: usualPath })
}

function viaEnvironment(env: Execution['env']): string[] {
  return ['/usr/bin/env', '-i', ...Object.entries(env).map(([key, value]) => `${key}=${value}`)]
}

function viaStdin(stdin: Stdin): string[] {
  if (typeof stdin === 'string') return []
  return ['/bin/sh', '-c', `exec "$0" ${stdin.is === 'closed' ? '<&-' : '</'}`]
}

function runToEnd(
  [file, ...args]: Command,
  input: string,
  env: Execution['env'],
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], env })
    const timer = setTimeout(() => child.kill('SIGKILL'), limitMs)
    const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)]
    // Who does not read its input closes the pipe under us.
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
    child.once('error', reject)
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      resolve({
        exit: code ?? (signal === 'SIGKILL' ? 137 : 128),
        stdout: stdout(),
        stderr: stderr(),
      })
    })
  })
}

function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  return () => Buffer.concat(chunks).toString('utf8')
}

/** Runs of ours in a file, the programs they started, and the foreign delegates among these. */
export const executions = { runs: 0, programs: 0, delegates: 0 }

const strace = ['/usr/bin/strace', '-f', '--seccomp-bpf', '-e', 'trace=execve,execveat'] as const

/** Why programs cannot be counted here; undefined where they can. */
export const untraceable =
  spawnSync(strace[0], [...strace.slice(1), '-o', '/dev/null', '/bin/true']).status === 0
    ? undefined
    : 'strace 5.3 or newer is missing'

let traces = 0

/**
 * As `execute`, but fails unless exactly `1 + others` programs were started: the plugin itself, and
 * as many delegates of somebody else as the caller foresees.
 */
export async function executeAlone(host: Host, execution: Execution, others = 0): Promise<Outcome> {
  if (untraceable !== undefined) return execute(host, execution)
  const file = join(host.lab.directory, `execve-${process.pid}-${traces++}`)
  const traced = [...strace, '-o', file]
  // The shell that closes standard input is no program of the plugin's.
  const shell = typeof execution.stdin === 'string' ? 0 : 1
  const outcome = await execute(host, {
    ...execution,
    under: [...(execution.under ?? []), ...traced],
  })
  const started = readFileSync(file, 'utf8').match(/^\d+ +execve(?:at)?\(.*= 0$/gm) ?? []
  rmSync(file)
  executions.runs++
  executions.delegates += others
  executions.programs += started.length - shell
  if (started.length === 1 + others + shell) return outcome
  throw new Error(`${execution.path} started ${started.length} programs:\n${started.join('\n')}`)
}
