import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { silent } from '../../log/logger.ts'
import type { Keyspace, Listing, Stored, Update } from '../../store/keyspace/keyspace.ts'
import { openKeyspaceStore } from '../../store/keyspace/keyspace-store.ts'
import { type Store, StoreError, type StoreEvent } from '../../store/store.ts'

/** A keyspace that says what a test wants; what the test does not say is empty. */
interface Script {
  readonly id?: () => Promise<string | undefined>
  readonly list?: () => Promise<Listing>
  readonly updates?: readonly Update[]
  readonly remove?: (key: string, expected: number) => Promise<boolean>
}

const ID_KEY = '/net/store-id'

function scripted({ id, list, updates = [], remove }: Script): Keyspace {
  let revision = 100
  return {
    name: 'scripted',
    async read(key) {
      const value = key === ID_KEY ? await (id ? id() : Promise.resolve('one')) : undefined
      return value === undefined ? undefined : { key, value, revision: 1 }
    },
    list: async () => (list ? list() : { entries: [], revision: 13 }),
    async write({ key }) {
      revision += 1
      return key === ID_KEY ? undefined : revision
    },
    remove: async (key, expected) => (remove ? remove(key, expected) : true),
    async *follow(_prefix, signal) {
      yield* updates
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve))
    },
    close() {},
  }
}

function open(script: Script, bootMs?: () => number): Store {
  const options = { idKey: ID_KEY, log: silent, ...(bootMs && { bootMs }) }
  return openKeyspaceStore(scripted(script), options)
}

const entry = (key: string, revision: number, ttlSeconds?: number): Stored => ({
  key,
  value: '',
  revision,
  ...(ttlSeconds !== undefined && { ttlSeconds }),
})

const whole = (entries: readonly Stored[], revision = 13): Update => ({
  entries,
  revision,
  isWhole: true,
  gone: [],
})

/** The first event of a watch. */
async function firstEvent(store: Store, from: number): Promise<StoreEvent | undefined> {
  const stopping = new AbortController()
  for await (const event of store.watch('/net/', from, stopping.signal)) {
    stopping.abort()
    return event
  }
  return undefined
}

test('watch() tells either reader of two lists that differ what came of it', async (t) => {
  const key = '/net/a'
  for (const order of [
    [[entry(key, 5)], []],
    [[], [entry(key, 5)]],
  ]) {
    for (const [update, expected] of [
      [[], { type: 'delete', key, revision: 13 }],
      [[entry(key, 5)], { type: 'put', entry: { key, value: '', revision: 5, leased: false } }],
    ] as const) {
      const answers = order.map((entries) => ({ entries, revision: 13 }))
      const list = async () => answers.shift() ?? { entries: [], revision: 13 }
      await using store = open({ list, updates: [whole(update)] })
      const [one, two] = [await store.list('/net/'), await store.list('/net/')]
      t.is(one.revision, two.revision)
      t.deepEqual(await firstEvent(store, one.revision), expected)
    }
  }
})

test('watch() asks for a resync when two histories have the same revision', async (t) => {
  const ids = ['one', 'two']
  await using store = open({ id: async () => ids.shift() ?? 'two', updates: [whole([])] })
  const { revision } = await store.list('/net/')
  await store.list('/net/')
  t.deepEqual(await firstEvent(store, revision), { type: 'resync' })
})

test('watch() asks for a resync when one look lacks what others and we hold', async (t) => {
  const keys = ['/net/a', '/net/b', '/net/c', '/net/d', '/net/e']
  const entries = keys.map((key, i) => entry(key, i + 1, 600))
  const own = entry('/net/own', 101, 600)
  const later = entry('/net/f', 120, 600)
  for (const { look, type } of [
    { look: [], type: 'resync' },
    { look: [...entries.slice(1), later], type: 'resync' },
    { look: [...entries.slice(1), own, later], type: 'put' },
  ] as const) {
    const list = async () => ({ entries, revision: 13 })
    await using store = open({ list, updates: [whole(look, 120)] })
    const { revision } = await store.list('/net/')
    t.is((await store.create('/net/own', '', { ttlSeconds: 600 }))?.revision, 101)
    t.is((await firstEvent(store, revision))?.type, type)
  }
})

test('an expired key that was renewed while it was to be deleted still expires', async (t) => {
  let now = 0
  const asked: number[] = []
  const renewal = Promise.withResolvers<void>()
  const done = Promise.withResolvers<void>()
  const updates = {
    async *[Symbol.asyncIterator]() {
      yield whole([entry('/net/a', 5, 10)])
      await renewal.promise
      yield { ...whole([entry('/net/a', 6, 10)], 14), isWhole: false }
    },
  }
  const keyspace: Keyspace = {
    ...scripted({ list: async () => ({ entries: [entry('/net/a', 5, 10)], revision: 13 }) }),
    async remove(_key, expected) {
      asked.push(expected)
      if (expected === 6) done.resolve()
      if (expected !== 5) return true
      // The watch sees the renewal before this is answered.
      renewal.resolve()
      await seen.promise
      now += 11_000
      return false
    },
    async *follow(_prefix, signal) {
      yield* updates
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    },
  }
  const seen = Promise.withResolvers<void>()
  const options = { idKey: ID_KEY, log: silent, bootMs: () => now }
  await using store = openKeyspaceStore(keyspace, options)
  const { revision } = await store.list('/net/')
  now += 11_000
  const stopping = new AbortController()
  const watching = (async () => {
    for await (const event of store.watch('/net/', revision, stopping.signal)) {
      if (event.type === 'put' && event.entry.revision === 6) seen.resolve()
    }
  })()
  await done.promise
  stopping.abort()
  await watching
  t.deepEqual(asked, [5, 6])
})

test('a watch that begins while an expired key is deleted adds no second reaper', async (t) => {
  const asked: string[] = []
  const began = { a: Promise.withResolvers<void>(), b: Promise.withResolvers<void>() }
  const answer = { a: Promise.withResolvers<boolean>(), b: Promise.withResolvers<boolean>() }
  const boot = { ms: 0 }
  const [a, b] = [entry('/net/a', 5, 10), entry('/net/b', 6, 60)]
  const remove = async (key: string) => {
    asked.push(key)
    const which = key === '/net/a' ? 'a' : 'b'
    began[which].resolve()
    return answer[which].promise
  }
  const script = { list: async () => ({ entries: [a, b], revision: 13 }), updates: [], remove }
  await using store = open(script, () => boot.ms)
  const { revision } = await store.list('/net/')
  boot.ms += 10_000
  const watch = () => {
    const stopping = new AbortController()
    const watching = store.watch('/net/', revision, stopping.signal)[Symbol.asyncIterator]()
    const ended = watching.next()
    return async () => {
      stopping.abort()
      await ended
    }
  }
  const endFirst = watch()
  await began.a.promise
  // The first reaper still waits for its answer when a second watch sets a timer of its own.
  await endFirst()
  boot.ms += 50_000
  const endSecond = watch()
  answer.a.resolve(true)
  await began.b.promise
  // Longer than any timer of the other one would wait.
  await sleep(800)
  t.deepEqual(
    asked.filter((key) => key === '/net/b'),
    ['/net/b'],
  )
  answer.b.resolve(true)
  await endSecond()
})

test('a store whose id can be neither read nor made is unavailable', async (t) => {
  let looks = 0
  await using store = open({
    id: async () => {
      looks += 1
      return undefined
    },
  })
  const error = await t.throwsAsync(store.list('/net/'), { instanceOf: StoreError })
  t.is(error.reason, 'unavailable')
  t.regex(error.message, /\/net\/store-id/)
  t.true(looks > 1 && looks < 100, `${looks}`)
})
