import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { limited } from '../../log/limited.ts'
import type { Logger } from '../../log/logger.ts'
import { Alarm } from '../alarm.ts'
import { withoutSecrets } from '../settings/flags.ts'
import { type Command, type PeerCommands, sameCommand } from './command.ts'

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
/** What a program printed last is read within this time of its end; what it left behind may hold its outputs open. */
const GRACE_MS = 250
const MAX_OUTPUT = 64 * 1024
/** So many characters of what a command printed, the last ones, are told to people. */
const MAX_TOLD = 1024

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
  #whenOwnRan: (() => void) | undefined
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

  /** What is wanted for this host itself; calls back once when that has worked, now if there is nothing to do. */
  setOwn(add: Command | undefined, whenRan: () => void): void {
    this.#whenOwnRan = whenRan
    this.set(Commands.own, add && { add, remove: undefined })
    this.#tellOwn()
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
        const told = oneLine(output)
        this.#often.info('command ran', { for: owner, command: nameOf(command), output: told })
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
    if (owner === Commands.own) this.#tellOwn()
  }

  #tellOwn(): void {
    if (isOpen(this.#tasks.get(Commands.own))) return
    const tell = this.#whenOwnRan
    this.#whenOwnRan = undefined
    tell?.()
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

/**
 * Runs a program as the daemon's child, and leaves alone what it leaves behind; when it is aborted or
 * takes too long it is ended with all it started. Throws CommandError, with what it printed.
 */
export async function runCommand(
  command: Command,
  signal: AbortSignal,
  { timeoutMs }: { readonly timeoutMs: number } = { timeoutMs: TIMEOUT_MS },
): Promise<string> {
  if (signal.aborted) throw new CommandError(`${nameOf(command)}: not run, the daemon ends`)
  const child = start(command)
  const printed = collect(child)
  // Who reads no input has ended before all of it was written.
  child.stdin.on('error', () => undefined)
  child.stdin.end(`${command.input}\n`)
  const how = await endOf(child, signal, timeoutMs)
  child.stdout.destroy()
  child.stderr.destroy()
  const { all, last } = printed()
  if (how === undefined) return all.trim()
  throw new CommandError([nameOf(command), how, oneLine(last)].filter(Boolean).join(': '))
}

/** In a process group of its own, so that all of it can be ended. Throws CommandError. */
function start(command: Command): ChildProcessWithoutNullStreams {
  const [program = '', ...args] = command.argv
  if (program.trim() === '') {
    const text = JSON.stringify(command.argv)
    throw new CommandError(`${text} names no program: set the variable that it begins with`)
  }
  try {
    return spawn(program, args, {
      // What systemd gave us it gave us alone.
      env: {
        ...withoutSecrets(process.env),
        ...command.env,
        NOTIFY_SOCKET: undefined,
        WATCHDOG_USEC: undefined,
        WATCHDOG_PID: undefined,
      },
      detached: true,
    })
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new CommandError(`${nameOf(command)}: ${reason}`, { cause: error })
  }
}

/** How it failed; undefined when it ended well. */
async function endOf(
  child: ChildProcessWithoutNullStreams,
  signal: AbortSignal,
  timeoutMs: number,
): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  const timers: NodeJS.Timeout[] = []
  const end = (how: string) => (): void => {
    // Once it has ended its id may be another's.
    if (child.exitCode === null && child.signalCode === null) endGroup(child.pid)
    resolve(how)
  }
  const abort = end('ended with the daemon')
  signal.addEventListener('abort', abort)
  timers.push(setTimeout(end(`ended after ${timeoutMs / 1000} s`), timeoutMs))
  child.on('error', (error) => resolve(error.message))
  child.on('exit', (code, killer) => {
    const how = code === 0 ? undefined : killer ? `ended by ${killer}` : `exit code ${code}`
    child.on('close', () => resolve(how))
    timers.push(setTimeout(() => resolve(how), GRACE_MS))
  })
  try {
    return await promise
  } finally {
    signal.removeEventListener('abort', abort)
    for (const timer of timers) clearTimeout(timer)
  }
}

function endGroup(leader: number | undefined): void {
  if (leader === undefined) return
  try {
    process.kill(-leader, 'SIGKILL')
  } catch {
    // It has ended meanwhile.
  }
}

/** Gathers what is printed on both outputs: the first of it for who asked, the last for people. */
function collect({ stdout, stderr }: ChildProcessWithoutNullStreams) {
  let all = ''
  let last = ''
  for (const stream of [stdout, stderr]) {
    stream.setEncoding('utf8')
    stream.on('data', (text: string) => {
      all = (all + text).slice(0, MAX_OUTPUT)
      last = (last + text).slice(-MAX_TOLD)
    })
  }
  return () => ({ all, last })
}

function nameOf({ argv }: Command): string {
  return argv.join(' ').replaceAll(/\s+/g, ' ')
}

/** The last of a text, for a log or a status. */
function oneLine(text: string): string {
  return text.trim().slice(-MAX_TOLD).replaceAll(/\s+/g, ' ')
}
