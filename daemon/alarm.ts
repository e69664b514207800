/** Never sleeps longer in one go: timers stand still while the host sleeps, the boot clock does not. */
const MAX_SLEEP_MS = 60_000

/** Lets one loop sleep until a time or until somebody rings; a ring in between is not lost. */
export class Alarm {
  #rung = false
  #wake: (() => void) | undefined

  ring(): void {
    this.#rung = true
    this.#wake?.()
  }

  /** Returns after `ms` at the latest, at once if it was rung since the last wait or on abort. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#rung && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(() => this.#wake?.(), Math.max(0, Math.min(ms, MAX_SLEEP_MS)))
        const abort = (): void => this.#wake?.()
        signal.addEventListener('abort', abort)
        this.#wake = () => {
          clearTimeout(timer)
          signal.removeEventListener('abort', abort)
          this.#wake = undefined
          resolve()
        }
      })
    }
    this.#rung = false
  }
}

/** Sleeps; wakes early, without an error, on abort. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await new Alarm().wait(ms, signal)
}
