import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { attempt, type Command, type Outcome, type RunOptions, run, until } from './run.ts'

/** Somewhere in the lab that commands can run: the switch, a host, or a pod on a host. */
export interface Place {
  /** Short, for messages and file names. */
  readonly name: string
  /** The words that, put before a command, make it run there. */
  readonly enter: Command
}

/** Runs a command in a place to its end; what it printed, or an error with its standard error. */
export function runAt(place: Place, command: Command, options?: RunOptions): Promise<string> {
  return run([...place.enter, ...command], options)
}

/** As `runAt`, whatever comes of it. */
export function attemptAt(place: Place, command: Command, options?: RunOptions): Promise<Outcome> {
  return attempt([...place.enter, ...command], options)
}

/** A program that goes on by itself, started in a place of the lab. */
export interface Background extends AsyncDisposable {
  readonly pid: number
  /** Resolves when it has ended: its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>
  /** Whether it is still running. */
  running(): boolean
  /** What it has written so far on both streams. */
  log(): string
  /** Sends it a signal; a program that has ended is left alone. */
  signal(signal: NodeJS.Signals): void
  /** Sends SIGTERM, or `signal`, and waits for the end; SIGKILL after 5 s. */
  stop(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals>
}

/**
 * Starts a program in a place, both output streams going to the end of `logFile`. It is not ended
 * with its starter: whoever calls this stops it, or destroys the lab.
 */
export function startAt(
  place: Place,
  command: Command,
  options: { logFile: string; env?: Readonly<Record<string, string>> },
): Background {
  mkdirSync(dirname(options.logFile), { recursive: true })
  const log = openSync(options.logFile, 'a')
  const [file, ...args] = [...place.enter, ...command] as const
  // Not by execa: a program that outlives us must write to the file itself, with no stream of ours between.
  const child = spawn(file, args, {
    detached: true,
    stdio: ['ignore', log, log],
    env: { ...process.env, ...options.env },
  })
  closeSync(log)
  child.unref()
  if (child.pid === undefined) throw new Error(`Cannot start ${file} for ${command[0]}`)
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once('exit', (code, signal) => resolve(code ?? signal ?? 'SIGKILL'))
  })
  return new Started(child.pid, options.logFile, ended)
}

class Started implements Background {
  readonly pid: number
  readonly ended: Promise<number | NodeJS.Signals>
  readonly #logFile: string
  #running = true

  constructor(pid: number, logFile: string, ended: Promise<number | NodeJS.Signals>) {
    this.pid = pid
    this.#logFile = logFile
    this.ended = ended.finally(() => {
      this.#running = false
    })
  }

  running(): boolean {
    return this.#running
  }

  log(): string {
    return readFileSync(this.#logFile, 'utf8')
  }

  signal(signal: NodeJS.Signals): void {
    // Until its end was seen here the id cannot belong to anybody else: it is our child.
    if (this.#running) process.kill(this.pid, signal)
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals> {
    this.signal(signal)
    try {
      await until(`process ${this.pid} to end`, () => !this.#running, { timeoutMs: 5000 })
    } catch {
      this.signal('SIGKILL')
    }
    return this.ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}
