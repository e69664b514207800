/*
 * A process that uses a store, for tests with several processes, with kill -9 and with the compiled
 * executable. Arguments: the store as JSON, what to do, and a key prefix. Answers in JSON lines.
 */
import { writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Store } from '../../store/store.ts'
import { openChoice, type StoreChoice } from './store-choice.ts'

function answer(value: unknown): void {
  writeSync(1, `${JSON.stringify(value)}\n`)
}

/** Tries to be the first at each of 100 keys; answers with those it made. */
async function race(store: Store, prefix: string): Promise<void> {
  const won: string[] = []
  for (let i = 0; i < 100; i += 1) {
    if (await store.create(`${prefix}${i}`, String(process.pid))) won.push(`${prefix}${i}`)
  }
  answer(won)
}

/** Writes until it is killed; answers with each entry once it is written. */
async function write(store: Store, prefix: string): Promise<void> {
  for (let i = 0; ; i += 1) answer(await store.create(`${prefix}${i}`, 'x'.repeat(1000)))
}

/** Writes what time it is, ten times, so that others can tell how late they hear of it. */
async function beat(store: Store, prefix: string): Promise<void> {
  for (let i = 0; i < 10; i += 1) {
    await store.create(`${prefix}${i}`, String(Date.now()))
    await sleep(100)
  }
}

/** Uses everything a store has once; answers with what it has seen. */
async function tour(store: Store, prefix: string): Promise<void> {
  const { revision } = await store.list(prefix)
  const stopping = new AbortController()
  const seen: string[] = []
  const watching = (async () => {
    for await (const event of store.watch(prefix, revision, stopping.signal)) {
      seen.push(event.type === 'put' ? `put ${event.entry.value}` : event.type)
      if (event.type === 'delete') stopping.abort()
    }
  })()
  const made = await store.create(`${prefix}a`, 'grün', { ttlSeconds: 60 })
  const lost = await store.create(`${prefix}a`, 'red')
  const changed = await store.put(`${prefix}a`, 'blue', made?.revision ?? 0, { ttlSeconds: 1 })
  const stale = await store.put(`${prefix}a`, 'black', made?.revision ?? 0)
  const { entries } = await store.list(prefix)
  await watching
  answer({ seen, results: [!!made, !!lost, !!changed, !!stale], listed: entries[0]?.value })
}

async function main([choice = '', action = '', prefix = '']: readonly string[]): Promise<void> {
  // Nothing here ends the process: that it ends shows that no handle is left.
  await using store = openChoice(JSON.parse(choice) as StoreChoice)
  const actions: Record<string, typeof race> = { race, write, beat, tour }
  await actions[action]?.(store, prefix)
}

await main(process.argv.slice(2))
