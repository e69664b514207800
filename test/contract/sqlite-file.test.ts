import { type ChildProcess, spawn } from 'node:child_process'
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { silent } from '../../log/logger.ts'
import { openSqliteStore } from '../../store/sqlite/sqlite.ts'
import { type Entry, StoreError } from '../../store/store.ts'
import { runWorker, WORKER } from './store-choice.ts'
import { isPut, record, some } from './store-recording.ts'

function makePath(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-sqlite-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'store.db')
}

function worker(path: string, action: string): string[] {
  return [WORKER, JSON.stringify({ sqlite: path }), action, '/k/']
}

function startWorker(t: ExecutionContext, path: string, action: string): ChildProcess {
  const child = spawn(process.execPath, worker(path, action), {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

/** Kills a writer in the middle of its work; what it had answered by then. */
async function readEntries(writer: ChildProcess, count: number): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const line of createInterface({ input: some(writer.stdout ?? undefined) })) {
    entries.push(JSON.parse(line))
    if (entries.length === count) writer.kill('SIGKILL')
  }
  return entries
}

test('openSqliteStore() makes folder and files for their owner only', async (t) => {
  const path = join(makePath(t), 'some', 'store.db')
  await using store = openSqliteStore(path, silent)
  await store.create('/a', 'one')
  for (const name of [path, `${path}-wal`, `${path}-shm`]) {
    t.is(statSync(name).mode & 0o777, 0o600, name)
  }
  t.is(statSync(join(path, '..')).mode & 0o777, 0o700)
  t.is(store.name, `sqlite:${path}`)
})

test('watch() hears soon of what another process writes', async (t) => {
  const path = makePath(t)
  await using store = openSqliteStore(path, silent)
  const { revision } = await store.list('/k/')
  const delays: number[] = []
  const stopping = new AbortController()
  const watching = (async () => {
    for await (const event of store.watch('/k/', revision, stopping.signal)) {
      if (event.type === 'put') delays.push(Date.now() - Number(event.entry.value))
      if (delays.length === 10) stopping.abort()
    }
  })()
  await runWorker({ sqlite: path }, 'beat', '/k/')
  await watching
  const median = some(delays.toSorted((a, b) => a - b)[5])
  t.true(median < 200, delays.join(' '))
})

test('a process that is done with its store ends by itself', async (t) => {
  const answer: unknown = JSON.parse(await runWorker({ sqlite: makePath(t) }, 'tour', '/k/'))
  t.deepEqual(answer, {
    seen: ['put grün', 'put blue', 'delete'],
    results: [true, false, true, false],
    listed: 'blue',
  })
})

test('kill -9 while writing loses nothing that was answered and leaves no half', async (t) => {
  const path = makePath(t)
  for (let round = 0; round < 5; round += 1) {
    rmSync(path, { force: true })
    const child = startWorker(t, path, 'write')
    const answered = await readEntries(child, 50 + round * 7)
    t.true(answered.length >= 50)

    await using store = openSqliteStore(path, silent)
    const { entries, revision } = await store.list('')
    const byKey = new Map(entries.map((entry) => [entry.key, entry]))
    t.true(answered.every((entry) => byKey.get(entry.key)?.revision === entry.revision))
    const watching = record(store, '', some(answered[0]).revision - 1)
    await watching.until((event) => event.type === 'put' && event.entry.revision === revision)
    t.is(watching.events.length, entries.length)
    await watching.stop()
    const db = new DatabaseSync(path)
    t.deepEqual({ ...db.prepare('PRAGMA integrity_check').get() }, { integrity_check: 'ok' })
    db.close()
  }
})

test('openSqliteStore() refuses a newer format by name and does not touch it', async (t) => {
  const path = makePath(t)
  await openSqliteStore(path, silent)[Symbol.asyncDispose]()
  const db = new DatabaseSync(path)
  db.exec('PRAGMA user_version = 2')
  db.close()
  const before = readFileSync(path)
  const error = t.throws(() => openSqliteStore(path, silent), { instanceOf: StoreError })
  t.like(error, {
    reason: 'unsupported',
    message: `sqlite:${path} has format 2, this version of heddle knows up to 1`,
  })
  t.deepEqual(readFileSync(path), before)
})

test('openSqliteStore() refuses what is not its own', (t) => {
  const path = makePath(t)
  const db = new DatabaseSync(path)
  db.exec('CREATE TABLE other (x)')
  db.close()
  const before = readFileSync(path)
  t.like(
    t.throws(() => openSqliteStore(path, silent), { instanceOf: StoreError }),
    {
      reason: 'unsupported',
      message: `sqlite:${path} is a database of another program`,
    },
  )
  t.deepEqual(readFileSync(path), before)
  writeFileSync(path, 'no database '.repeat(1000))
  t.like(
    t.throws(() => openSqliteStore(path, silent), { instanceOf: StoreError }),
    {
      reason: 'corrupt',
      store: `sqlite:${path}`,
    },
  )
  t.like(
    t.throws(() => openSqliteStore('/dev/null/store.db', silent)),
    { name: 'StoreError' },
  )
})

test('a deleted database is made anew, and everyone is told', async (t) => {
  const path = makePath(t)
  await using first = openSqliteStore(path, silent)
  await using second = openSqliteStore(path, silent)
  const lost = some(await first.create('/a', 'one'))
  const before = await second.list('')
  const recordings = [first, second].map((store) => record(store, '/', before.revision))
  await sleep(100)
  rmSync(path)
  await Promise.all(recordings.map((recording) => recording.ended))
  for (const { events } of recordings) t.deepEqual(events, [{ type: 'resync' }])

  t.is(await second.put('/a', 'two', lost.revision), undefined)
  const after = await second.list('')
  t.deepEqual(after.entries, [])
  t.not(after.clusterId, before.clusterId)
  const watching = record(second, '/', after.revision)
  await first.create('/b', 'both see this')
  await watching.until(isPut('/b'))
  t.is((await first.list('')).clusterId, after.clusterId)
  await watching.stop()
})

test('a database put back from a copy asks for a resync', async (t) => {
  const path = makePath(t)
  await openSqliteStore(path, silent)[Symbol.asyncDispose]()
  copyFileSync(path, `${path}.copy`)
  await using store = openSqliteStore(path, silent)
  await store.create('/a', 'one')
  const before = await store.list('')
  const watching = record(store, '/', before.revision)
  await sleep(100)
  renameSync(`${path}.copy`, path)
  await watching.ended
  t.deepEqual(watching.events, [{ type: 'resync' }])
  const after = await store.list('')
  t.true(after.revision < before.revision)
  t.deepEqual(after.entries, [])
})

test('a database replaced by garbage ends a watch with an error', async (t) => {
  const path = makePath(t)
  await using store = openSqliteStore(path, silent)
  const { revision } = await store.list('')
  const watching = record(store, '/', revision)
  writeFileSync(`${path}.new`, 'no database '.repeat(1000))
  renameSync(`${path}.new`, path)
  t.like(await t.throwsAsync(watching.ended), { name: 'StoreError', reason: 'corrupt' })
  await t.throwsAsync(store.list(''), { instanceOf: StoreError })
  rmSync(path)
  t.deepEqual((await store.list('')).entries, [])
})
