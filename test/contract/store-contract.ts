import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { type Store, StoreError, type StoreEvent } from '../../store/store.ts'
import { runWorker, type StoreChoice } from './store-choice.ts'
import { isDelete, isPut, record, some } from './store-recording.ts'

/** What the contract needs of a kind of store. */
export interface StoreLab {
  /** A handle of its own on the one store under test. The caller disposes of it. */
  open(): Store
  /**
   * Makes the store forget the events up to now. Absent for a store that keeps none: a watch there
   * can start from a list only, and may tell of several changes of a key as of one.
   */
  readonly compact?: (store: Store) => Promise<void>
  /** `test`, or what skips them all where the server is not installed. */
  readonly define?: Define
  /** The same store for another process. */
  choice(): StoreChoice
}

type Define = (title: string, body: (t: ExecutionContext) => Promise<void>) => void

let prefixes = 0

/** Keys of one test, apart from those of all others. */
function uniquePrefix(): string {
  prefixes += 1
  return `/contract/${process.pid}-${prefixes}/`
}

/** Declares the tests that every kind of store passes. `lab` is asked only while tests run. */
export function testStore(name: string, lab: StoreLab): void {
  testKeys(name, lab)
  testLists(name, lab)
  testTimeToLive(name, lab)
  testWatch(name, lab)
  testWatchEnds(name, lab)
}

type Body = (t: ExecutionContext, store: Store, prefix: string) => Promise<void>

function declare(name: string, lab: StoreLab): (title: string, body: Body) => void {
  return (title, body) => {
    const define: Define = lab.define ?? test
    define(`${name}: ${title}`, async (t) => {
      t.timeout(110_000)
      await using store = lab.open()
      await body(t, store, uniquePrefix())
    })
  }
}

function testKeys(name: string, lab: StoreLab): void {
  const check = declare(name, lab)

  check('create() writes a key once and then leaves it alone', async (t, store, prefix) => {
    const first = some(await store.create(`${prefix}a`, 'one'))
    t.like(first, { key: `${prefix}a`, value: 'one', leased: false })
    t.is(await store.create(`${prefix}a`, 'two', { ttlSeconds: 60 }), undefined)
    t.deepEqual(await store.get(`${prefix}a`), first)
  })

  check('create() of two racers has exactly one winner', async (t, store, prefix) => {
    await using rival = lab.open()
    for (let i = 0; i < 20; i += 1) {
      const key = `${prefix}${i}`
      const race = [store, rival].map((racer, index) =>
        racer.create(key, `racer ${index}`, { ttlSeconds: 60 }),
      )
      const [winner, ...others] = (await Promise.all(race)).filter((entry) => entry)
      t.is(others.length, 0)
      t.is((await store.get(key))?.value, winner?.value)
    }
  })

  check('create() of two processes has exactly one winner', async (t, _store, prefix) => {
    const workers = [1, 2].map(() => runWorker(lab.choice(), 'race', prefix))
    const won = (await Promise.all(workers)).flatMap((answer): string[] => JSON.parse(answer))
    t.is(won.length, 100)
    t.is(new Set(won).size, 100)
  })

  check('get() of a key that does not exist is undefined', async (t, store, prefix) => {
    t.is(await store.get(`${prefix}a`), undefined)
  })

  check('put() replaces a key only if it is unchanged', async (t, store, prefix) => {
    const first = some(await store.create(`${prefix}a`, 'one'))
    const second = some(await store.put(`${prefix}a`, 'two', first.revision))
    t.true(second.revision > first.revision)
    t.is(await store.put(`${prefix}a`, 'three', first.revision), undefined)
    t.deepEqual(await store.get(`${prefix}a`), second)
  })

  check('put() of the same value is a change', async (t, store, prefix) => {
    const { revision } = await store.list(prefix)
    const watching = record(store, prefix, revision)
    let entry = some(await store.create(`${prefix}a`, 'same', { ttlSeconds: 60 }))
    for (let i = 0; i < 3; i += 1) {
      const next = some(await store.put(`${prefix}a`, 'same', entry.revision, { ttlSeconds: 60 }))
      t.true(next.revision > entry.revision)
      entry = next
    }
    const { revision: last } = entry
    await watching.until((event) => event.type === 'put' && event.entry.revision === last)
    await watching.stop()
  })

  check('put() never creates a key', async (t, store, prefix) => {
    t.is(await store.put(`${prefix}a`, 'one', 0), undefined)
    const entry = some(await store.create(`${prefix}a`, 'one'))
    t.true(await store.delete(`${prefix}a`, entry.revision))
    t.is(await store.put(`${prefix}a`, 'two', entry.revision), undefined)
    t.is(await store.get(`${prefix}a`), undefined)
  })

  check('put() of two racers has exactly one winner', async (t, store, prefix) => {
    await using rival = lab.open()
    let entry = some(await store.create(`${prefix}a`, 'start'))
    for (let i = 0; i < 20; i += 1) {
      const expected = entry.revision
      const race = [store, rival].map((racer, index) =>
        racer.put(`${prefix}a`, `${i} by ${index}`, expected),
      )
      const winners = (await Promise.all(race)).filter((result) => result)
      t.is(winners.length, 1)
      entry = some(winners[0])
    }
    t.deepEqual(await store.get(`${prefix}a`), entry)
  })

  check('delete() removes a key only if it is unchanged', async (t, store, prefix) => {
    const first = some(await store.create(`${prefix}a`, 'one'))
    const second = some(await store.put(`${prefix}a`, 'two', first.revision))
    t.false(await store.delete(`${prefix}a`, first.revision))
    t.true(await store.delete(`${prefix}a`, second.revision))
    t.false(await store.delete(`${prefix}a`, second.revision))
    t.false(await store.delete(`${prefix}never`, 0))
    t.truthy(await store.create(`${prefix}a`, 'three'))
  })

  check('every method refuses a store that is closed', async (t, store, prefix) => {
    const closed = lab.open()
    await closed[Symbol.asyncDispose]()
    await closed[Symbol.asyncDispose]()
    const error = await t.throwsAsync(closed.list(prefix), { instanceOf: StoreError })
    t.like(error, { reason: 'closed', store: store.name })
    await t.throwsAsync(closed.create(`${prefix}a`, ''), { instanceOf: StoreError })
    t.is(await store.get(`${prefix}a`), undefined)
  })

  check('create() refuses a time to live of parts of a second', async (t, store, prefix) => {
    for (const ttlSeconds of [0, -1, 0.5, Number.NaN]) {
      await t.throwsAsync(store.create(`${prefix}a`, '', { ttlSeconds }), {
        instanceOf: RangeError,
      })
    }
  })
}

function testLists(name: string, lab: StoreLab): void {
  const check = declare(name, lab)

  check(
    'list() has what starts with the prefix, in the order of bytes',
    async (t, store, prefix) => {
      const keys = ['a', 'a/b', 'a/b/x', 'a/bc', 'a/b\uffff', 'a/b😀', 'a/c', 'A/b']
      for (const key of keys) await store.create(prefix + key, key)
      const names = async (under: string) =>
        (await store.list(prefix + under)).entries.map((entry) => entry.key.slice(prefix.length))
      t.deepEqual(await names('a/b'), ['a/b', 'a/b/x', 'a/bc', 'a/b\uffff', 'a/b😀'])
      t.deepEqual(await names('a/b/'), ['a/b/x'])
      t.deepEqual(await names('a/%'), [])
      t.deepEqual(await names('b'), [])
      t.is((await names('')).length, keys.length)
      const everything = (await store.list('')).entries.filter(({ key }) => key.startsWith(prefix))
      t.is(everything.length, keys.length)
    },
  )

  check('values and keys are kept to the byte', async (t, store, prefix) => {
    const texts = ['', '{"PublicIP":"1.2.3.4","PublicIPv6":null}', `'"\\\n\t;--%_*?[`, 'Grüße 😀 ﷽']
    for (const [index, text] of texts.entries()) {
      const entry = some(await store.create(`${prefix}${index}&fc00:0:0:5::-64 ${text}`, text))
      t.is(entry.value, text)
      t.deepEqual(await store.get(entry.key), entry)
    }
    t.deepEqual(
      (await store.list(prefix)).entries.map((entry) => entry.value),
      texts,
    )
  })

  check(
    'list() has a revision no older than its entries and keeps its id',
    async (t, store, prefix) => {
      await using other = lab.open()
      const before = await store.list(prefix)
      const entry = some(await other.create(`${prefix}a`, 'one'))
      const after = await store.list(prefix)
      t.is(after.entries.length, 1)
      t.is(after.entries[0]?.revision, entry.revision)
      t.true(after.revision >= entry.revision && after.revision > before.revision)
      t.is(after.clusterId, before.clusterId)
      t.is((await other.list('')).clusterId, before.clusterId)
      t.not(before.clusterId, '')
    },
  )

  check('list() of 2,000 keys is complete', async (t, store, prefix) => {
    const value = JSON.stringify({ PublicIP: '192.168.64.3', BackendData: 'x'.repeat(200) })
    for (let i = 0; i < 2000; i += 200) {
      const some = Array.from(
        { length: 200 },
        (_, n) => `${prefix}${String(i + n).padStart(5, '0')}`,
      )
      await Promise.all(some.map((key) => store.create(key, value)))
    }
    const { entries } = await store.list(prefix)
    t.is(entries.length, 2000)
    t.true(entries.every((entry, i) => entry.value === value && entry.key.endsWith(`${i}`)))
  })
}

function testTimeToLive(name: string, lab: StoreLab): void {
  const check = declare(name, lab)

  check(
    'a key is gone after its time to live, for list() and for watch()',
    async (t, store, prefix) => {
      await using other = lab.open()
      const { revision } = await other.list(prefix)
      const watching = record(other, prefix, revision)
      const writtenAt = Date.now()
      const entry = some(await store.create(`${prefix}a`, 'one', { ttlSeconds: 1 }))
      t.true(entry.leased)
      t.true((entry.expiresAt ?? 0) >= writtenAt + 1000)
      t.true((await store.get(`${prefix}a`))?.leased)
      await watching.until(isDelete(`${prefix}a`))
      t.true(Date.now() - writtenAt >= 1000)
      t.is(await store.get(`${prefix}a`), undefined)
      t.deepEqual((await store.list(prefix)).entries, [])
      t.truthy(await store.create(`${prefix}a`, 'two'))
      await watching.stop()
    },
  )

  check('a time to live runs on when its writer is gone', async (t, store, prefix) => {
    const { revision } = await store.list(prefix)
    const writer = lab.open()
    const writtenAt = Date.now()
    // Long enough that the machine may be slow, and short enough to wait for.
    await writer.create(`${prefix}a`, 'one', { ttlSeconds: 8 })
    await writer[Symbol.asyncDispose]()
    await sleep(500)
    t.is((await store.get(`${prefix}a`))?.value, 'one', `after ${Date.now() - writtenAt} ms`)
    const watching = record(store, prefix, revision)
    await watching.until(isDelete(`${prefix}a`), 30_000)
    await watching.stop()
  })

  check('put() begins a new time to live, or none', async (t, store, prefix) => {
    const { revision } = await store.list(prefix)
    const watching = record(store, prefix, revision)
    let renewed = some(await store.create(`${prefix}renewed`, '0', { ttlSeconds: 8 }))
    const made = some(await store.create(`${prefix}kept`, '0', { ttlSeconds: 8 }))
    const kept = some(await store.put(`${prefix}kept`, '1', made.revision))
    t.false(kept.leased)
    for (const value of ['1', '2']) {
      await sleep(5000)
      const { key, revision: expected } = renewed
      renewed = some(await store.put(key, value, expected, { ttlSeconds: 8 }))
    }
    await watching.until(isDelete(`${prefix}renewed`), 30_000)
    t.is((await store.get(`${prefix}kept`))?.value, '1')
    t.deepEqual(seen(watching.events, `${prefix}renewed`), ['0', '1', '2', 'deleted'])
    t.is(seen(watching.events, `${prefix}kept`).at(-1), '1')
    await watching.stop()
  })

  check('a key that has expired cannot be renewed, and is free', async (t, store, prefix) => {
    const entry = some(await store.create(`${prefix}a`, 'one', { ttlSeconds: 1 }))
    await until(async () => (await store.get(`${prefix}a`)) === undefined)
    t.is(await store.put(`${prefix}a`, 'two', entry.revision, { ttlSeconds: 60 }), undefined)
    t.false(await store.delete(`${prefix}a`, entry.revision))
    t.truthy(await store.create(`${prefix}a`, 'three'))
  })
}

function testWatch(name: string, lab: StoreLab): void {
  const check = declare(name, lab)

  check('watch() tells of every change in order while writers write', async (t, store, prefix) => {
    await using second = lab.open()
    // Beside these two few are gone at once, which is no reason for a resync.
    for (const kept of ['x', 'y', 'z']) await store.create(prefix + kept, '')
    const [{ revision }, { revision: start }] = await Promise.all([
      store.list(prefix),
      second.list(prefix),
    ])
    const write = async (writer: Store, key: string) => {
      let entry = some(await writer.create(key, '0'))
      for (let i = 1; i < 100; i += 1) entry = some(await writer.put(key, `${i}`, entry.revision))
      await writer.delete(key, entry.revision)
    }
    const writing = Promise.all([write(store, `${prefix}a`), write(second, `${prefix}b`)])
    const early = record(second, prefix, start)
    await early.until((event) => event.type === 'put' && Number(event.entry.value) >= 30)
    const late = record(store, prefix, revision)
    await writing
    const all = [...Array(100).keys(), 'deleted'].map(String)
    for (const watching of [early, late]) {
      for (const key of [`${prefix}a`, `${prefix}b`]) {
        await watching.until(isDelete(key))
        const values = seen(watching.events, key)
        // Without a history some may be missing; none comes twice or late.
        t.deepEqual(values, lab.compact ? all : all.filter((value) => values.includes(value)))
      }
      for (const key of lab.compact ? [prefix] : [`${prefix}a`, `${prefix}b`]) {
        const revisions = watching.events.filter(isUnder(key)).map(revisionOf)
        t.deepEqual(
          revisions,
          revisions.toSorted((a, b) => a - b),
        )
      }
      await watching.stop()
    }
  })

  check(
    'watch() tells what came after the revision and nothing before',
    async (t, store, prefix) => {
      const first = some(await store.create(`${prefix}a`, 'one'))
      const { revision } = await store.list(`${prefix}a`)
      const second = some(await store.put(`${prefix}a`, 'two', first.revision))
      const watching = record(store, `${prefix}a`, revision)
      await store.create(`${prefix}b`, 'not under this prefix')
      await store.create(`${prefix}ab`, 'but this is')
      await watching.until(isPut(`${prefix}ab`))
      t.deepEqual(seen(watching.events, `${prefix}a`), ['two'])
      t.is(watching.events.length, 2)
      t.is(revisionOf(watching.events[0]), second.revision)
      await watching.stop()
    },
  )

  const title = lab.compact
    ? 'watch() goes on from any event'
    : 'watch() of what no list has shown asks for a resync'
  check(title, async (t, store, prefix) => {
    const entries = []
    for (let i = 0; i < 5; i += 1) entries.push(some(await store.create(`${prefix}${i}`, `${i}`)))
    for (const [i, entry] of entries.entries()) {
      const watching = record(store, prefix, entry.revision)
      if (!lab.compact) {
        await watching.ended
        t.deepEqual(watching.events, [{ type: 'resync' }])
        continue
      }
      if (i < 4) await watching.until(isPut(`${prefix}4`))
      t.is(watching.events.length, 4 - i)
      await watching.stop()
    }
  })
}

function testWatchEnds(name: string, lab: StoreLab): void {
  const check = declare(name, lab)

  check('watch() ends at once when it is aborted', async (t, store, prefix) => {
    const { revision } = await store.list(prefix)
    const stopping = new AbortController()
    const next = store.watch(prefix, revision, stopping.signal)[Symbol.asyncIterator]().next()
    await sleep(300)
    const abortedAt = Date.now()
    stopping.abort()
    t.true((await next).done)
    t.true(Date.now() - abortedAt < 500)
    const never = store.watch(prefix, 1, AbortSignal.abort())[Symbol.asyncIterator]()
    t.true((await never.next()).done)
  })

  check('watch() ends when the store is closed', async (t, _store, prefix) => {
    const other = lab.open()
    const { revision } = await other.list(prefix)
    const watching = record(other, prefix, revision)
    await sleep(300)
    await other[Symbol.asyncDispose]()
    await watching.ended
    t.deepEqual(watching.events, [])
  })

  check(
    'watch() of a revision that is not reached yet asks for a resync',
    async (t, store, prefix) => {
      const { revision } = await store.list(prefix)
      const watching = record(store, prefix, revision + 1_000_000)
      await watching.ended
      t.deepEqual(watching.events, [{ type: 'resync' }])
    },
  )

  const define: Define = lab.compact ? test.serial : (lab.define ?? test)
  define(`${name}: watch() of a forgotten revision asks for a resync`, async (t) => {
    t.timeout(110_000)
    const prefix = uniquePrefix()
    await using store = lab.open()
    const first = some(await store.create(`${prefix}a`, 'one'))
    const second = some(await store.put(`${prefix}a`, 'two', first.revision))
    await store.put(`${prefix}a`, 'three', second.revision)
    await lab.compact?.(store)
    const watching = record(store, prefix, first.revision)
    await watching.ended
    t.deepEqual(watching.events, [{ type: 'resync' }])

    const again = await store.list(prefix)
    t.deepEqual(
      again.entries.map((entry) => entry.value),
      ['three'],
    )
    const going = record(store, prefix, again.revision)
    await store.create(`${prefix}b`, 'four')
    await going.until(isPut(`${prefix}b`))
    await going.stop()
  })
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('it does not come about')
    await sleep(50)
  }
}

/** The values a key had, by the events. */
function seen(events: readonly StoreEvent[], key: string): string[] {
  return events.flatMap((event) => {
    if (event.type === 'put' && event.entry.key === key) return [event.entry.value]
    return event.type === 'delete' && event.key === key ? ['deleted'] : []
  })
}

function isUnder(prefix: string): (event: StoreEvent) => boolean {
  return (event) => {
    if (event.type === 'resync') return false
    return (event.type === 'put' ? event.entry.key : event.key).startsWith(prefix)
  }
}

function revisionOf(event: StoreEvent | undefined): number {
  if (event?.type === 'put') return event.entry.revision
  return event?.type === 'delete' ? event.revision : 0
}
