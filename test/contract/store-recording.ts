import { setTimeout as sleep } from 'node:timers/promises'
import { type Store, StoreError, type StoreEvent } from '../../store/store.ts'

/** Everything a watch has told so far. */
export interface Recording {
  readonly events: StoreEvent[]
  /** Waits for an event; fails the test when it does not come in time. */
  until(matches: (event: StoreEvent) => boolean, timeoutMs?: number): Promise<StoreEvent>
  /** Resolves when the iteration has ended. */
  readonly ended: Promise<void>
  stop(): Promise<void>
}

export function record(store: Store, prefix: string, from: number): Recording {
  const events: StoreEvent[] = []
  const stopping = new AbortController()
  const ended = (async () => {
    for await (const event of store.watch(prefix, from, stopping.signal)) events.push(event)
  })()
  return {
    events,
    ended,
    async until(matches, timeoutMs = 30_000) {
      const deadline = Date.now() + timeoutMs
      for (;;) {
        const found = events.find(matches)
        if (found) return found
        if (Date.now() > deadline) throw new Error(`no such event in ${JSON.stringify(events)}`)
        await sleep(10)
      }
    },
    async stop() {
      stopping.abort()
      await ended
    },
  }
}

export function isPut(key: string, value?: string): (event: StoreEvent) => boolean {
  return (event) =>
    event.type === 'put' &&
    event.entry.key === key &&
    (value ?? event.entry.value) === event.entry.value
}

export function isDelete(key: string): (event: StoreEvent) => boolean {
  return (event) => event.type === 'delete' && event.key === key
}

/** The value, which the test says is there. */
export function some<T>(value: T | undefined): T {
  if (value === undefined) throw new TypeError('there is nothing where the test expects something')
  return value
}

/** Tries a write until it works, as a daemon does. */
export async function persist(store: Store, key: string): Promise<void> {
  const deadline = Date.now() + 15_000
  for (;;) {
    try {
      if (await store.create(key, key)) return
      if (await store.get(key)) return
    } catch (error) {
      if (Date.now() > deadline || !(error instanceof StoreError)) throw error
      await sleep(100)
    }
  }
}

/** Asks until there is an answer. */
export async function persistently<T>(call: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + 15_000
  for (;;) {
    try {
      return await call()
    } catch (error) {
      if (Date.now() > deadline || !(error instanceof StoreError)) throw error
      await sleep(50)
    }
  }
}
