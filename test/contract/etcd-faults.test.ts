import { cpSync, renameSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { silent } from '../../log/logger.ts'
import { openEtcdStore } from '../../store/etcd/etcd.ts'
import { StoreError } from '../../store/store.ts'
import { startProxy } from './cutting-proxy.ts'
import { type EtcdServer, startCluster, startEtcd } from './etcd-server.ts'
import { isPut, persist, persistently, record, some } from './store-recording.ts'

async function serve(t: ExecutionContext): Promise<EtcdServer> {
  const etcd = await startEtcd()
  t.teardown(() => etcd[Symbol.asyncDispose]())
  return etcd
}

test('watch() goes on without gap or repetition after the server was killed', async (t) => {
  const etcd = await serve(t)
  await using store = openEtcdStore({ endpoints: [etcd.url] }, silent)
  await using writer = openEtcdStore({ endpoints: [etcd.url] }, silent)
  const { revision } = await store.list('/')
  const watching = record(store, '/', revision)
  const keys: string[] = []
  for (let round = 0; round < 3; round += 1) {
    for (let i = 0; i < 10; i += 1) {
      keys.push(`/${round}-${i}`)
      await persist(writer, keys.at(-1) ?? '')
    }
    await etcd.stop('SIGKILL')
    await etcd.start()
  }
  await persist(writer, '/last')
  await watching.until(isPut('/last'), 15_000)
  const seen = watching.events.map((event) => (event.type === 'put' ? event.entry.key : event.type))
  t.deepEqual(seen, [...keys, '/last'])
  await watching.stop()
})

test('watch() asks for a resync when the server has lost its data', async (t) => {
  const etcd = await serve(t)
  await using store = openEtcdStore({ endpoints: [etcd.url] }, silent)
  for (let i = 0; i < 5; i += 1) await store.create(`/${i}`, '')
  const before = await store.list('/')
  const watching = record(store, '/', before.revision)
  await sleep(200)
  await etcd.stop()
  etcd.wipe()
  await etcd.start()
  await watching.ended
  t.deepEqual(watching.events, [{ type: 'resync' }])
  const after = await store.list('/')
  t.deepEqual(after.entries, [])
  t.true(after.revision < before.revision)
})

test('watch() asks for a resync when another history has caught up meanwhile', async (t) => {
  const etcd = await serve(t)
  await using proxy = await startProxy(Number(new URL(etcd.url).port))
  const endpoints = [`http://127.0.0.1:${proxy.port}`]
  await using store = openEtcdStore({ endpoints }, silent)
  await using other = openEtcdStore({ endpoints: [etcd.url] }, silent)
  const copy = `${etcd.data}.copy`
  await other.create('/before', '')
  await etcd.stop()
  cpSync(etcd.data, copy, { recursive: true })
  await etcd.start()

  const { revision, clusterId } = await persistently(() => store.list('/own/'))
  const watching = record(store, '/own/', revision)
  const quiet = record(store, '/before', (await store.list('/before')).revision)
  await persist(store, '/own/a')
  await watching.until(isPut('/own/a'))
  proxy.close()
  await etcd.stop()
  etcd.wipe()
  renameSync(copy, etcd.data)
  await etcd.start()
  for (let i = 0; i < 10; i += 1) await persist(other, `/others/${i}`)
  proxy.open()
  await watching.ended
  t.deepEqual(watching.events.at(-1), { type: 'resync' })
  const after = await store.list('/own/')
  t.deepEqual(after.entries, [])
  t.is(after.clusterId, clusterId)
  t.true(after.revision > revision)
  // What the copy had is as it was, so nothing was missed.
  await persist(other, '/before2')
  await quiet.until(isPut('/before2'))
  t.is(quiet.events.length, 1)
  await quiet.stop()
})

test('watch() asks for a resync when another cluster answers', async (t) => {
  const [first, second] = await Promise.all([serve(t), serve(t)])
  await using store = openEtcdStore({ endpoints: [first.url, second.url] }, silent)
  await using other = openEtcdStore({ endpoints: [second.url] }, silent)
  const before = await store.list('/')
  for (let i = 0; i < 5; i += 1) await other.create(`/${i}`, '')
  const watching = record(store, '/', before.revision)
  await sleep(200)
  await first.stop()
  await watching.ended
  t.deepEqual(watching.events, [{ type: 'resync' }])
  t.not((await store.list('/')).clusterId, before.clusterId)
})

/** Takes connections and never answers. */
async function serveSilence(t: ExecutionContext): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => sockets.add(socket.on('error', () => {})))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  return `http://127.0.0.1:${port}`
}

test('calls go to the next end point when one is dead or silent', async (t) => {
  const etcd = await serve(t)
  const endpoints = ['http://127.0.0.1:1', await serveSilence(t), etcd.url]
  await using store = openEtcdStore({ endpoints }, silent)
  const startedAt = Date.now()
  t.truthy(await store.create('/a', 'one'))
  t.true(Date.now() - startedAt < 5000)
  const second = Date.now()
  t.truthy(await store.get('/a'))
  t.true(Date.now() - second < 1000)
})

test('a call to a server that is silent fails in time, and close() does not wait for it', async (t) => {
  const store = openEtcdStore({ endpoints: [await serveSilence(t)] }, silent)
  const startedAt = Date.now()
  const error = await t.throwsAsync(store.list('/'), { instanceOf: StoreError })
  t.like(error, { reason: 'unavailable' })
  t.regex(error.message, /Cannot reach etcd at http:\/\/127\.0\.0\.1:\d+: no answer/)
  t.true(Date.now() - startedAt < 7000)
  const watching = record(store, '/', 1)
  const pending = t.throwsAsync(store.get('/a'), { instanceOf: StoreError })
  await sleep(100)
  const closedAt = Date.now()
  await store[Symbol.asyncDispose]()
  await watching.ended
  t.like(await pending, { reason: 'closed' })
  t.true(Date.now() - closedAt < 500)
})

test('a cluster that loses a member loses nothing, and says so when it loses two', async (t) => {
  const members = await startCluster(3)
  t.teardown(() => Promise.all(members.map((member) => member[Symbol.asyncDispose]())))
  const [first, second] = members
  await using store = openEtcdStore({ endpoints: members.map(({ url }) => url) }, silent)
  const { revision } = await store.list('/')
  const watching = record(store, '/', revision)
  await store.create('/0', '')
  await some(first).stop('SIGKILL')
  await persist(store, '/1')
  await watching.until(isPut('/1'))
  await some(second).stop('SIGKILL')
  const error = await t.throwsAsync(store.create('/2', ''), { instanceOf: StoreError })
  t.is(error.reason, 'unavailable')
  await some(first).start()
  await persist(store, '/3')
  await watching.until(isPut('/3'))
  await watching.stop()
})
