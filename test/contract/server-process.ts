import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const READY_MS = 40_000

/** A server's program, in a folder of its own, that can be killed and started again. */
export interface ServerProcess extends AsyncDisposable {
  /** Goes with the server. */
  readonly folder: string
  /** Resolves when the server answers. */
  start(): Promise<void>
  stop(signal?: 'SIGKILL' | 'SIGTERM'): Promise<void>
  /** Forgets everything. Only while stopped. */
  wipe(): void
}

export interface ServerSpec {
  readonly name: string
  /** The command line, given its folder and the folder for its data. */
  readonly command: (folder: string, data: string) => readonly [string, ...string[]]
  readonly isReady: () => Promise<boolean>
}

/** A server that is not started yet. */
export function serverProcess({ name, command, isReady }: ServerSpec): ServerProcess {
  const folder = mkdtempSync(join(tmpdir(), `heddle-${name}-`))
  const data = join(folder, 'data')
  const log = join(folder, 'log')
  const [file, ...args] = command(folder, data)
  let child: ChildProcess | undefined
  const server: ServerProcess = {
    folder,
    async start() {
      const output = openSync(log, 'a')
      // Ends with us, also when the test runner ends us at a timeout.
      const words = ['--pdeathsig', 'KILL', file, ...args]
      child = spawn('setpriv', words, { stdio: ['ignore', output, output], cwd: folder })
      closeSync(output)
      const deadline = Date.now() + READY_MS
      while (!(await isReady().catch(() => false))) {
        if (child.exitCode !== null || Date.now() > deadline) {
          throw new Error(`${name} does not start: ${readFileSync(log, 'utf8').slice(-2000)}`)
        }
        await sleep(50)
      }
    },
    async stop(signal = 'SIGTERM') {
      if (!child || child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      child.kill(signal)
      await exited
    },
    wipe() {
      if (existsSync(data)) rmSync(data, { recursive: true })
    },
    async [Symbol.asyncDispose]() {
      await server.stop('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    },
  }
  return server
}
