import { limited } from '../../log/limited.ts'
import type { Logger } from '../../log/logger.ts'
import { type Store, StoreError } from '../../store/store.ts'
import { sleep } from '../alarm.ts'

/** The text of the configuration that the store has; `missing`: it has none. */
export type StoredConfig = { readonly text: string } | 'missing'

const RETRY_MS = 5_000

/** Follows the `config` key of a store. What it says there is for others to judge. */
export class ConfigWatch {
  readonly #store: Store
  readonly #key: string
  readonly #often: Logger
  readonly #onChange: () => void
  #stored: StoredConfig | undefined

  constructor(
    store: Store,
    options: {
      readonly prefix: string
      readonly log: Logger
      /** Called whenever `stored` has become another. */
      readonly onChange: () => void
    },
  ) {
    this.#store = store
    this.#key = `${options.prefix}/config`
    this.#often = limited(options.log)
    this.#onChange = options.onChange
  }

  /** As it was seen last; undefined before that. */
  get stored(): StoredConfig | undefined {
    return this.#stored
  }

  async follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#listAndWatch(signal)
      } catch (error) {
        if (!(error instanceof StoreError)) throw error
        const fields = { store: this.#store.name, error: error.message }
        this.#often.warn('the network configuration cannot be watched', fields)
        await sleep(RETRY_MS, signal)
      }
    }
  }

  async #listAndWatch(signal: AbortSignal): Promise<void> {
    const key = this.#key
    const { entries, revision } = await this.#store.list(key)
    this.#see(entries.find((entry) => entry.key === key)?.value)
    for await (const event of this.#store.watch(key, revision, signal)) {
      if (event.type === 'resync') return
      if (event.type === 'put' && event.entry.key === key) this.#see(event.entry.value)
      if (event.type === 'delete' && event.key === key) this.#see(undefined)
    }
  }

  #see(text: string | undefined): void {
    const before = this.#stored
    if (before && (before === 'missing' ? undefined : before.text) === text) return
    this.#stored = text === undefined ? 'missing' : { text }
    this.#onChange()
  }
}
