import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { type Entry, type Store, StoreError, type StoreEvent } from '../../store/store.ts'
import { type CuttingProxy, cutPlaces, startProxy } from './cutting-proxy.ts'
import { openChoice, type StoreChoice } from './store-choice.ts'
import { persistently, some } from './store-recording.ts'

/** What the tests need of a kind of store that is reached over TCP. */
export interface CutLab {
  /** The server's port on 127.0.0.1. */
  port(): number
  /** The store at a port. */
  choice(port: number): StoreChoice
  /** Whether a watch tells of every change, and not only of what came of them. */
  readonly keepsHistory: boolean
  /** `test`, or what skips them all where the server is not installed. */
  readonly define?: (title: string, body: (t: ExecutionContext) => Promise<void>) => void
}

/** More pieces than the work below has. */
const MAX_PIECES = 200
/** Of a connection to a server that works. */
const TRIES = 50

let prefixes = 0

/**
 * Declares tests that cut a store's connection at every piece of a small work, in turn, and look
 * what it then says of its calls and events.
 */
export function testCuts(name: string, lab: CutLab): void {
  const define: NonNullable<CutLab['define']> = lab.define ?? test
  for (const where of cutPlaces) {
    define(`${name}: no call lies and no event is lost when cut ${where}`, async (t) => {
      t.timeout(110_000)
      await using proxy = await startProxy(lab.port())
      let piece = 1
      for (; piece < MAX_PIECES; piece += 1) {
        proxy.cut({ where, piece })
        await work(t, { lab, proxy, title: `${where} ${piece}` })
        if (!proxy.isDone) break
      }
      // At least a list, a watch, three writes and the reads of the follower.
      t.true(piece > 5 && piece < MAX_PIECES, `${piece} pieces`)
    })
  }

  define(`${name}: put() of racers whose connections are cut has at most one winner`, async (t) => {
    t.timeout(110_000)
    await using proxies = new AsyncDisposableStack()
    const ways = await Promise.all([startProxy(lab.port()), startProxy(lab.port())])
    for (const way of ways) proxies.use(way)
    await race(t, lab, ways)
  })

  define(`${name}: who was cut off takes nothing away that was renewed meanwhile`, async (t) => {
    t.timeout(110_000)
    await using proxy = await startProxy(lab.port())
    await renewWhileAway(t, lab, proxy)
  })

  define(
    `${name}: a call to a server that fell silent fails in time, and later ones work`,
    async (t) => {
      t.timeout(110_000)
      await using proxy = await startProxy(lab.port())
      await fallSilent(t, lab, proxy)
    },
  )
}

async function fallSilent(t: ExecutionContext, lab: CutLab, proxy: CuttingProxy): Promise<void> {
  prefixes += 1
  const key = `/cuts/${process.pid}-${prefixes}/a`
  await using store = openChoice(lab.choice(proxy.port))
  t.is(await store.get(key), undefined)
  for (const call of [() => store.get(key), () => store.create(key, '')]) {
    const held = proxy.hold(() => true)
    const began = performance.now()
    const [error] = await Promise.all([t.throwsAsync(call(), { instanceOf: StoreError }), held])
    t.is(error.reason, 'unavailable')
    t.true(performance.now() - began < 30_000)
    proxy.release()
    await persistently(() => store.get(key))
  }
}

async function renewWhileAway(
  t: ExecutionContext,
  lab: CutLab,
  proxy: CuttingProxy,
): Promise<void> {
  prefixes += 1
  const prefix = `/cuts/${process.pid}-${prefixes}/`
  const lease = { ttlSeconds: 10 }
  await using direct = openChoice(lab.choice(lab.port()))
  await using store = openChoice(lab.choice(proxy.port))
  await using witness = await follow(direct, prefix)
  let entry = some(await direct.create(`${prefix}a`, '', lease))
  await using follower = await follow(store, prefix)
  t.is(follower.state.get(entry.key), entry.revision)
  proxy.close()
  for (let i = 0; i < 5; i += 1) {
    await sleep(2500)
    entry = some(await direct.put(entry.key, '', entry.revision, lease))
  }
  proxy.open()
  const { key, revision } = entry
  for (const one of [follower, witness]) {
    await one.until((state) => state.get(key) === revision)
    t.deepEqual(
      one.events.filter((event) => event.type === 'delete'),
      [],
    )
  }
}

interface Scene {
  readonly lab: CutLab
  readonly proxy: CuttingProxy
  readonly title: string
}

/** Writes, changes and deletes a key over a connection that is cut once. */
async function work(t: ExecutionContext, { lab, proxy, title }: Scene): Promise<void> {
  prefixes += 1
  const prefix = `/cuts/${process.pid}-${prefixes}/`
  const key = `${prefix}a`
  await using direct = openChoice(lab.choice(lab.port()))
  await using store = openChoice(lab.choice(proxy.port))
  await using witness = await follow(direct, prefix)
  await using follower = await follow(store, prefix)

  const present = await change(t, title, {
    attempt: () => store.create(key, 'one', { ttlSeconds: 60 }),
    look: () => direct.get(key),
    isDone: (found) => found?.value === 'one',
    isUndone: (found) => found === undefined,
  })
  const changed = await change(t, title, {
    attempt: () => store.put(key, 'two', some(present).revision),
    look: () => direct.get(key),
    isDone: (found) => found?.value === 'two',
    isUndone: (found) => found?.revision === present?.revision,
  })
  await change(t, title, {
    attempt: async () => ((await store.delete(key, some(changed).revision)) ? 'gone' : undefined),
    look: () => direct.get(key),
    isDone: (found) => found === undefined,
    isUndone: (found) => found?.revision === changed?.revision,
  })
  const end = `${prefix}end`
  t.truthy(await direct.create(end, ''), title)
  for (const one of [witness, follower]) {
    await one.until((state) => state.has(end))
    t.deepEqual([...one.state.keys()], [end], title)
    // Each change of a key once, and in order.
    const changes = one.events.map(briefly)
    t.is(new Set(changes).size, changes.length, `${title}: ${changes.join(', ')}`)
  }
  if (lab.keepsHistory && follower.resyncs === 0) {
    t.deepEqual(follower.events.map(briefly), witness.events.map(briefly), title)
  }
}

interface Change<T> {
  readonly attempt: () => Promise<T | undefined>
  readonly look: () => Promise<Entry | undefined>
  readonly isDone: (found: Entry | undefined) => boolean
  readonly isUndone: (found: Entry | undefined) => boolean
}

/**
 * Makes a change that nobody contests: it must not be called lost unless an earlier attempt may have
 * got ahead of it, and when nobody can tell what became of it, it was made or not, and can be made
 * again in the latter case. What is there then.
 */
async function change<T>(
  t: ExecutionContext,
  title: string,
  { attempt, look, isDone, isUndone }: Change<T>,
): Promise<Entry | undefined> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    try {
      const isMade = (await attempt()) !== undefined
      t.true(isMade || tries > 0, `${title}: a change is said not to be made`)
      const found = await look()
      t.true(isDone(found), `${title}: a change that was made is not there`)
      return found
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      t.is(error.reason, 'unavailable', `${title}: ${error.message}`)
    }
    const found = await look()
    if (isDone(found)) return found
    t.true(isUndone(found), `${title}: something else was made`)
    await sleep(50)
  }
  throw new Error(`${title}: it never works again`)
}

/** A consumer as the daemon is one: lists, watches, lists again when asked to. */
interface Follower extends AsyncDisposable {
  readonly state: ReadonlyMap<string, number>
  readonly events: readonly StoreEvent[]
  readonly resyncs: number
  until(matches: (state: ReadonlyMap<string, number>) => boolean): Promise<void>
}

async function follow(store: Store, prefix: string): Promise<Follower> {
  const state = new Map<string, number>()
  const events: StoreEvent[] = []
  const stopping = new AbortController()
  let resyncs = 0
  const list = async () => {
    const { entries, revision } = await persistently(() => store.list(prefix))
    state.clear()
    for (const entry of entries) state.set(entry.key, entry.revision)
    return revision
  }
  const take = (event: StoreEvent) => {
    if (event.type === 'resync') resyncs += 1
    else events.push(event)
    if (event.type === 'put') state.set(event.entry.key, event.entry.revision)
    if (event.type === 'delete') state.delete(event.key)
  }
  let position = await list()
  const following = (async () => {
    while (!stopping.signal.aborted) {
      for await (const event of store.watch(prefix, position, stopping.signal)) take(event)
      if (!stopping.signal.aborted) position = await list()
    }
  })()
  return {
    state,
    events,
    get resyncs() {
      return resyncs
    },
    async until(matches) {
      const deadline = Date.now() + 20_000
      while (!matches(state)) {
        if (Date.now() > deadline) throw new Error(`not seen: ${JSON.stringify([...state])}`)
        await sleep(5)
      }
    },
    async [Symbol.asyncDispose]() {
      stopping.abort()
      await following
    },
  }
}

function briefly(event: StoreEvent): string {
  if (event.type === 'resync') return 'resync'
  return event.type === 'put'
    ? `put ${event.entry.key} ${event.entry.revision}`
    : `delete ${event.key} ${event.revision}`
}

const ROUNDS = 25

async function race(
  t: ExecutionContext,
  lab: CutLab,
  proxies: readonly CuttingProxy[],
): Promise<void> {
  prefixes += 1
  const key = `/cuts/${process.pid}-${prefixes}/a`
  await using direct = openChoice(lab.choice(lab.port()))
  await using handles = new AsyncDisposableStack()
  const racers = proxies.map((proxy) => ({
    proxy,
    store: handles.use(openChoice(lab.choice(proxy.port))),
  }))
  let entry = some(await direct.create(key, 'start'))
  for (let round = 0; round < ROUNDS; round += 1) {
    const results = await Promise.all(
      racers.map(async ({ proxy, store }, index) => {
        const where = some(cutPlaces[(round + index) % cutPlaces.length])
        proxy.cut({ where, piece: 1 + (Math.floor(round / cutPlaces.length) % 4) })
        try {
          return await store.put(key, `${round} by ${index}`, entry.revision)
        } catch (error) {
          if (!(error instanceof StoreError)) throw error
          return error.reason
        }
      }),
    )
    const found = some(await direct.get(key))
    const winners = results.filter((result) => typeof result === 'object')
    t.true(winners.length <= 1, `round ${round}`)
    const [winner] = winners
    if (winner) t.like(found, { value: winner.value, revision: winner.revision }, `round ${round}`)
    else if (found.revision !== entry.revision) {
      // Somebody won and was not told; whoever was told that he lost did.
      const lost = results.flatMap((result, i) =>
        result === undefined ? [`${round} by ${i}`] : [],
      )
      t.false(lost.includes(found.value), `round ${round}`)
    }
    entry = found
  }
}
