import { type Store, StoreError } from '../../store/store.ts'
import type { StoreCall, Telemetry } from './telemetry.ts'

/** The same store, which it owns; how long its calls take and how they fail is counted. */
export function measuredStore(
  store: Store,
  { storeSeconds, storeErrors }: Pick<Telemetry, 'storeSeconds' | 'storeErrors'>,
): Store {
  const note = (error: unknown): never => {
    if (error instanceof StoreError) storeErrors.add(error.reason)
    throw error
  }
  const timed = async <T>(call: StoreCall, body: () => Promise<T>): Promise<T> => {
    const start = performance.now()
    try {
      return await body()
    } catch (error) {
      return note(error)
    } finally {
      storeSeconds.get(call)?.observe((performance.now() - start) / 1000)
    }
  }
  return {
    name: store.name,
    ...(store.isOrdered && { isOrdered: true }),
    get: (key) => timed('get', () => store.get(key)),
    list: (prefix) => timed('list', () => store.list(prefix)),
    create: (key, value, options) => timed('create', () => store.create(key, value, options)),
    put: (key, value, expected, options) =>
      timed('put', () => store.put(key, value, expected, options)),
    delete: (key, expected) => timed('delete', () => store.delete(key, expected)),
    async *watch(prefix, from, signal) {
      try {
        yield* store.watch(prefix, from, signal)
      } catch (error) {
        note(error)
      }
    },
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  }
}
