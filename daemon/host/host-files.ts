import { formatSubnetEnv, type SubnetEnv } from '../../conf/subnet-env.ts'
import { limited } from '../../log/limited.ts'
import type { Logger } from '../../log/logger.ts'
import { sleep } from '../alarm.ts'
import { dockerOptionsPath, formatDockerOptions } from './docker-options.ts'
import { StateError, writeIfDifferent } from './files.ts'

const MODE = 0o644
/** A file that somebody removed, or that could not be written, is written again within this time. */
const LOOK_MS = 5_000

/** The files by which others on this host learn of its subnet: flannel's subnet file and docker's options. */
export class HostFiles {
  readonly #subnetFile: string
  readonly #log: Logger
  readonly #often: Logger
  #wanted: SubnetEnv | undefined
  #problem: string | undefined
  #waiting: (() => void) | undefined

  constructor({ subnetFile, log }: { readonly subnetFile: string; readonly log: Logger }) {
    this.#subnetFile = subnetFile
    this.#log = log
    this.#often = limited(log)
  }

  /** What keeps the subnet file from saying what it should; nobody can attach containers then. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** Whether there was something to write yet. */
  get areWritten(): boolean {
    return this.#wanted !== undefined
  }

  /** From now on the files say this. What cannot be written now is a problem and tried again. */
  sync(wanted: SubnetEnv): void {
    this.#wanted = wanted
    this.#problem = this.#write(this.#subnetFile, formatSubnetEnv(wanted))
    const docker = dockerOptionsPath(this.#subnetFile)
    if (docker !== undefined) this.#write(docker, formatDockerOptions(wanted))
    if (this.#problem === undefined) this.#tell()
  }

  /** Calls back once, now or when the subnet file has been written. */
  whenWritten(callback: () => void): void {
    this.#waiting = callback
    if (this.#wanted && this.#problem === undefined) this.#tell()
  }

  #tell(): void {
    const callback = this.#waiting
    this.#waiting = undefined
    callback?.()
  }

  /** Puts back what somebody removes or changes, until aborted; calls back after each look. */
  async keep(signal: AbortSignal, onLook: () => void): Promise<void> {
    while (!signal.aborted) {
      await sleep(LOOK_MS, signal)
      if (!this.#wanted || signal.aborted) continue
      this.sync(this.#wanted)
      onLook()
    }
  }

  #write(path: string, text: string): string | undefined {
    try {
      if (writeIfDifferent(path, text, MODE)) this.#log.info('file written', { path })
      return undefined
    } catch (error) {
      if (!(error instanceof StateError)) throw error
      this.#often.error('file not written', { error: error.message })
      return error.message
    }
  }
}
