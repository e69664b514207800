/** Wakes everyone who waits. Take `next` before looking at what may have changed. */
export class Pulse {
  #beat = Promise.withResolvers<void>()

  /** Resolves at the next beat; never rejects. */
  get next(): Promise<void> {
    return this.#beat.promise
  }

  beat(): void {
    const { resolve } = this.#beat
    this.#beat = Promise.withResolvers<void>()
    resolve()
  }
}
