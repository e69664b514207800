import { type FSWatcher, watch } from 'node:fs'
import type { Logger } from '../../log/logger.ts'

/** How often watches look by themselves, should the kernel not tell of a change. */
const POLL_MS = 1000
/**
 * When to look again after the log was written to. A commit becomes visible only when the disk has
 * confirmed it, and nothing tells of that: it happens in shared memory.
 */
const AFTER_WRITE_MS = [5, 15, 40, 100, 250]

/**
 * Tells when a database may have changed: a process has written to the write-ahead log, a key
 * expires, or a second has passed. Keeps the process alive while awake.
 */
export class Senses {
  readonly #walPath: string
  readonly #log: Logger
  readonly #onChange: () => void
  readonly #msToNextExpiry: () => number
  #fileWatcher: FSWatcher | undefined
  #timer: NodeJS.Timeout | undefined
  #warned = false
  /** Index into `AFTER_WRITE_MS` of the next look. */
  #look = AFTER_WRITE_MS.length

  constructor(
    walPath: string,
    log: Logger,
    callbacks: { onChange: () => void; msToNextExpiry: () => number },
  ) {
    this.#walPath = walPath
    this.#log = log
    this.#onChange = callbacks.onChange
    this.#msToNextExpiry = callbacks.msToNextExpiry
  }

  wake(): void {
    try {
      const watcher = watch(this.#walPath, () => this.#hear())
      watcher.on('error', () => watcher.close())
      this.#fileWatcher = watcher
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      if (!this.#warned) {
        this.#log.warn('store file cannot be watched, looking once a second', { error: text })
      }
      this.#warned = true
    }
    this.#tick()
  }

  rest(): void {
    this.#fileWatcher?.close()
    this.#fileWatcher = undefined
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** The next expiry may be another one now. */
  reschedule(): void {
    if (this.#timer !== undefined) this.#tick()
  }

  #hear(): void {
    this.#onChange()
    this.#look = 0
    this.reschedule()
  }

  #tick(): void {
    clearTimeout(this.#timer)
    const wait = Math.min(AFTER_WRITE_MS[this.#look] ?? POLL_MS, this.#msToNextExpiry())
    this.#timer = setTimeout(
      () => {
        this.#onChange()
        this.#look += 1
        this.#tick()
      },
      Math.max(wait, 1),
    )
  }
}
