import { spawn } from 'node:child_process'
import { limited } from '../log/limited.ts'
import type { Logger } from '../log/logger.ts'
import { Alarm } from './alarm.ts'
import { type Command, type PeerCommands, sameCommand } from './backend/command.ts'

/** A command that could not be run, or ended badly. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
}

/** Runs a program to its end: what it printed on both of its outputs, trimmed. Throws CommandError. */
export type RunCommand = (command: Command, signal: AbortSignal) => Promise<string>

/** So many at the same time. */
const MOST_RUNNING = 4
const USUAL = {
  run: runCommand,
  /** After a failure, and twice as long after each further one. */
  retryMs: { first: 1_000, longest: 300_000 },
}
/** What a peer that is gone leaves behind is not worth trying for ever. */
const MOST_REMOVALS = 5
/** A command that takes longer than that is ended. */
const TIMEOUT_MS = 60_000
const MAX_OUTPUT = 64 * 1024

/** How commands are run, and when again. */
export interface CommandsOptions {
  readonly run: RunCommand
  readonly retryMs: { readonly first: number; readonly longest: number }
}

/** What is wanted for one owner, what was last done for it, and how that goes. */
interface Task {
  wanted: PeerCommands | undefined
  done: PeerCommands | undefined
  failures: number
  problem: string | undefined
  retry: NodeJS.Timeout | undefined
}

/**
 * Runs the commands that leases ask for, beside the reconciler: for each owner its `add` once, and
 * its `remove` when it is gone or wants something else. What fails is tried again, less and less
 * often. Lives as long as the process: what has been run is not run again when the daemon takes up
 * a new configuration.
 */
export class Commands {
  /** Owner of what is run for this host itself; peers' wait for it. No lease has such a key. */
  static readonly own = 'own'
  readonly #often: Logger
  readonly #run: RunCommand
  readonly #retryMs: { readonly first: number; readonly longest: number }
  readonly #tasks = new Map<string, Task>()
  #prepared: { readonly command: Command; readonly output: string } | undefined
  readonly #queue = new Set<string>()
  readonly #alarm = new Alarm()

  constructor(log: Logger, { run, retryMs }: CommandsOptions = USUAL) {
    this.#often = limited(log)
    this.#run = run
    this.#retryMs = retryMs
  }

  /** What did not work, and will be tried again. */
  get problems(): readonly string[] {
    return [...this.#tasks.values()].flatMap(({ problem }) => problem ?? [])
  }

  /** What a command prints; it is run once. Throws CommandError. */
  async outputOf(command: Command, signal: AbortSignal): Promise<string> {
    if (!this.#prepared || !sameCommand(this.#prepared.command, command)) {
      this.#prepared = { command, output: await this.#run(command, signal) }
    }
    return this.#prepared.output
  }

  /** What is wanted for this owner from now on. */
  set(owner: string, wanted: PeerCommands | undefined): void {
    const task = this.#tasks.get(owner)
    if (!wanted && !task) return
    if (task && sameCommands(task.wanted, wanted)) return
    if (task) Object.assign(task, { wanted, failures: 0, problem: undefined })
    else this.#tasks.set(owner, newTask(wanted))
    this.#enqueue(owner)
  }

  /** Nothing is wanted any more for owners other than these and this host. */
  retain(owners: { has(owner: string): boolean }): void {
    for (const owner of this.#tasks.keys()) {
      if (owner !== Commands.own && !owners.has(owner)) this.set(owner, undefined)
    }
  }

  /** Runs what is to be run until aborted; a command that runs then is ended. */
  async keep(signal: AbortSignal): Promise<void> {
    const running = new Map<string, Promise<void>>()
    for (const owner of this.#tasks.keys()) this.#enqueue(owner)
    while (!signal.aborted) {
      for (const owner of this.#next(running)) {
        running.set(
          owner,
          this.#step(owner, signal).finally(() => {
            running.delete(owner)
            this.#alarm.ring()
          }),
        )
      }
      await this.#alarm.wait(Number.POSITIVE_INFINITY, signal)
    }
    await Promise.all(running.values())
    for (const { retry } of this.#tasks.values()) clearTimeout(retry)
  }

  /** Those whose turn it is, taken out of the queue. */
  #next(running: ReadonlyMap<string, unknown>): string[] {
    const isOwnOpen = isOpen(this.#tasks.get(Commands.own))
    const next: string[] = []
    for (const owner of this.#queue) {
      if (running.size + next.length >= MOST_RUNNING) break
      if (running.has(owner) || (isOwnOpen && owner !== Commands.own)) continue
      next.push(owner)
    }
    for (const owner of next) this.#queue.delete(owner)
    return next
  }

  async #step(owner: string, signal: AbortSignal): Promise<void> {
    const task = this.#tasks.get(owner)
    if (!task) return
    clearTimeout(task.retry)
    const { wanted, done } = task
    const isRemoval = done !== undefined && !sameCommands(done, wanted)
    const command = isRemoval ? done.remove : done ? undefined : wanted?.add
    try {
      if (command) {
        const output = await this.#run(command, signal)
        this.#often.info('command ran', { for: owner, command: command.argv.join(' '), output })
      }
      task.failures = 0
      task.problem = undefined
      task.done = isRemoval ? undefined : wanted
    } catch (error) {
      if (signal.aborted) return
      this.#fail(owner, task, { isRemoval, error })
      return
    }
    this.#goOn(owner, task)
  }

  #fail(
    owner: string,
    task: Task,
    { isRemoval, error }: { isRemoval: boolean; error: unknown },
  ): void {
    if (!(error instanceof CommandError)) throw error
    task.failures++
    this.#often.error('command failed', { for: owner, error: error.message, times: task.failures })
    if (isRemoval && task.failures >= MOST_REMOVALS) {
      Object.assign(task, { done: undefined, failures: 0, problem: undefined })
      this.#goOn(owner, task)
      return
    }
    task.problem = error.message
    const pause = Math.min(this.#retryMs.first * 2 ** (task.failures - 1), this.#retryMs.longest)
    task.retry = setTimeout(() => this.#enqueue(owner), pause)
  }

  #goOn(owner: string, task: Task): void {
    if (isOpen(task)) this.#enqueue(owner)
    else if (!task.wanted) this.#tasks.delete(owner)
  }

  #enqueue(owner: string): void {
    this.#queue.add(owner)
    this.#alarm.ring()
  }
}

function newTask(wanted: PeerCommands | undefined): Task {
  return { wanted, done: undefined, failures: 0, problem: undefined, retry: undefined }
}

/** Whether something is still to be run. */
function isOpen(task: Task | undefined): boolean {
  return task !== undefined && !sameCommands(task.done, task.wanted)
}

function sameCommands(a: PeerCommands | undefined, b: PeerCommands | undefined): boolean {
  if (!a || !b) return a === b
  return sameCommand(a.add, b.add) && sameCommand(a.remove, b.remove)
}

/** Runs a program as the daemon's child. Throws CommandError, with what it printed. */
export function runCommand({ argv, env, input }: Command, signal: AbortSignal): Promise<string> {
  const [program = '', ...args] = argv
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const child = spawn(program, args, {
    // What systemd gave us it gave us alone.
    env: {
      ...process.env,
      ...env,
      NOTIFY_SOCKET: undefined,
      WATCHDOG_USEC: undefined,
      WATCHDOG_PID: undefined,
    },
    signal,
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
  })
  let output = ''
  const take = (data: Buffer): void => {
    output = (output + data.toString()).slice(0, MAX_OUTPUT)
  }
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  // Who reads no input has ended before all of it was written.
  child.stdin.on('error', () => undefined)
  child.stdin.end(`${input}\n`)
  const fail = (how: string): void =>
    reject(
      new CommandError(`${argv.join(' ')}: ${[how, output.trim()].filter(Boolean).join(': ')}`),
    )
  child.on('error', (error) => fail(error.message))
  child.on('close', (code, killer) => {
    if (code === 0) resolve(output.trim())
    else fail(killer ? `ended by ${killer}` : `exit code ${code}`)
  })
  return promise
}
