import { type FSWatcher, watch } from 'node:fs'
import type { Logger } from '../log/logger.ts'

/** How often watches look by themselves, should the kernel not tell of a change. */
const POLL_MS = 1000

/**
 * Tells when a database may have changed: another process has written to the write-ahead log (told
 * within 5 to 50 ms), a key expires, or a second has passed. Keeps the process alive while awake.
 */
export class Senses {
  readonly #walPath: string
  readonly #log: Logger
  readonly #onChange: () => void
  readonly #msToNextExpiry: () => number
  #fileWatcher: FSWatcher | undefined
  #timer: NodeJS.Timeout | undefined

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
      const watcher = watch(this.#walPath, this.#onChange)
      watcher.on('error', () => watcher.close())
      this.#fileWatcher = watcher
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      this.#log.warn('store file cannot be watched, looking once a second', { error: text })
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

  #tick(): void {
    clearTimeout(this.#timer)
    const wait = Math.min(POLL_MS, Math.max(this.#msToNextExpiry(), 1))
    this.#timer = setTimeout(() => {
      this.#onChange()
      this.#tick()
    }, wait)
  }
}
