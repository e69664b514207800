/** The same items; `relieve` is called for each of them, see sys/heap.ts. */
export function* eased<T>(items: Iterable<T>, relieve: () => void): Generator<T> {
  for (const item of items) {
    relieve()
    yield item
  }
}
