import { createServer as createHttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { silent } from '../../log/logger.ts'
import { type EtcdOptions, openEtcdStore } from '../../store/etcd/etcd.ts'
import { type Store, StoreError, type StoreErrorReason } from '../../store/store.ts'
import { makeCertificates } from './certificates.ts'
import { type EtcdOptions as ServerOptions, startEtcd } from './etcd-server.ts'
import { isPut, persist, record, some } from './store-recording.ts'

const { ca, stranger, server, elsewhere, client, remove } = makeCertificates()
test.after.always(remove)

async function serve(t: ExecutionContext, options: ServerOptions = {}) {
  const etcd = await startEtcd(options)
  t.teardown(() => etcd[Symbol.asyncDispose]())
  return etcd
}

async function refuses(
  t: ExecutionContext,
  options: EtcdOptions,
  expected: { reason: StoreErrorReason; message: RegExp },
): Promise<void> {
  await using store = openEtcdStore(options, silent)
  const error = await t.throwsAsync(store.list('/'), { instanceOf: StoreError })
  t.is(error.reason, expected.reason)
  t.regex(error.message, expected.message)
  t.is(error.store, store.name)
}

async function works(t: ExecutionContext, store: Store): Promise<void> {
  const { revision } = await store.list('/works/')
  const watching = record(store, '/works/', revision)
  const entry = some(await store.create('/works/a', 'one', { ttlSeconds: 60 }))
  await watching.until(isPut('/works/a'))
  t.true(await store.delete('/works/a', entry.revision))
  await watching.stop()
}

test('openEtcdStore() trusts a server by the authority alone, at an address or a name', async (t) => {
  const etcd = await serve(t, { tls: server })
  const named = etcd.url.replace('127.0.0.1', 'localhost')
  for (const url of [etcd.url, named, etcd.url.replace('https://', '')]) {
    await using store = openEtcdStore({ endpoints: [url], tls: { caFile: ca } }, silent)
    await works(t, store)
  }
  const endpoints = [etcd.url]
  const message = /its certificate is not trusted/
  await refuses(t, { endpoints, tls: { caFile: stranger } }, { reason: 'denied', message })
  await refuses(t, { endpoints }, { reason: 'denied', message })
  await refuses(
    t,
    { endpoints, tls: { caFile: `${ca}.none` } },
    {
      reason: 'denied',
      message: /Cannot read TLS file: ENOENT.*ca\.pem\.none/,
    },
  )
  await refuses(
    t,
    { endpoints: [etcd.url.replace('https', 'http')] },
    {
      reason: 'unavailable',
      message: /is it https:\/\/ instead of http:/,
    },
  )
})

test('openEtcdStore() refuses a certificate of another host', async (t) => {
  const etcd = await serve(t, { tls: elsewhere })
  for (const url of [etcd.url, etcd.url.replace('127.0.0.1', 'localhost')]) {
    await refuses(
      t,
      { endpoints: [url], tls: { caFile: ca } },
      {
        reason: 'denied',
        message:
          /its certificate is not trusted.*elsewhere|its certificate is not trusted.*not in the/,
      },
    )
  }
})

test('openEtcdStore() shows a client certificate where one is asked for', async (t) => {
  const etcd = await serve(t, { tls: server, clientCertificates: true })
  const endpoints = [etcd.url]
  const tls = { caFile: ca, certFile: client.cert, keyFile: client.key }
  await using store = openEtcdStore({ endpoints, tls }, silent)
  await works(t, store)
  await refuses(
    t,
    { endpoints, tls: { caFile: ca } },
    {
      reason: 'denied',
      message: /refused our client certificate, or wants one/,
    },
  )
  const half = { endpoints, tls: { caFile: ca, certFile: client.cert } }
  t.like(
    t.throws(() => openEtcdStore(half, silent)),
    { name: 'StoreError', reason: 'unsupported' },
  )
})

test('openEtcdStore() logs in, again when the server has forgotten, and is refused by name', async (t) => {
  const etcd = await serve(t)
  await etcd.etcdctl('user', 'add', 'root:secret')
  await etcd.etcdctl('user', 'add', 'guest:guest')
  await etcd.etcdctl('role', 'add', 'reader')
  await etcd.etcdctl('role', 'grant-permission', 'reader', 'read', '/open/', '/open0')
  await etcd.etcdctl('user', 'grant-role', 'guest', 'reader')
  await etcd.etcdctl('user', 'grant-role', 'root', 'root')
  const endpoints = [etcd.url]
  await using store = openEtcdStore({ endpoints, username: 'root', password: 'secret' }, silent)
  await works(t, store)
  await etcd.etcdctl('auth', 'enable')
  await works(t, store)

  const { revision } = await store.list('/')
  const watching = record(store, '/', revision)
  // Tokens do not outlive the server.
  await etcd.stop()
  await etcd.start()
  await persist(store, '/open/a')
  await watching.until(isPut('/open/a'))
  await watching.stop()

  await refuses(t, { endpoints }, { reason: 'denied', message: /user name is empty/ })
  await refuses(
    t,
    { endpoints, username: 'root', password: 'wrong' },
    {
      reason: 'denied',
      message: /authentication failed, invalid user ID or password/,
    },
  )
  const asGuest = { endpoints, username: 'guest', password: 'guest' }
  await refuses(t, asGuest, { reason: 'denied', message: /permission denied/ })
  await using guest = openEtcdStore(asGuest, silent)
  t.is((await guest.list('/open/')).entries.length, 1)
  t.like(await t.throwsAsync(record(guest, '/closed/', revision).ended), { reason: 'denied' })
})

test('openEtcdStore() gets a new token when the server has let the old one expire', async (t) => {
  const etcd = await serve(t, { flags: { 'auth-token-ttl': '1' } })
  await etcd.etcdctl('user', 'add', 'root:secret')
  await etcd.etcdctl('user', 'grant-role', 'root', 'root')
  await etcd.etcdctl('auth', 'enable')
  const endpoints = [etcd.url]
  await using store = openEtcdStore({ endpoints, username: 'root', password: 'secret' }, silent)
  await works(t, store)
  const { revision } = await store.list('/late/')
  const watching = record(store, '/late/', revision)
  for (const key of ['/late/a', '/late/b']) {
    // etcd looks for expired tokens once a second.
    await sleep(2500)
    t.truthy(await store.create(key, ''))
    await watching.until(isPut(key))
  }
  await sleep(2500)
  // A watch is asked for with a token, too.
  const late = record(store, '/late/', revision)
  await late.until(isPut('/late/b'))
  await late.stop()
  await watching.stop()
})

test('openEtcdStore() needs no JSON gateway', async (t) => {
  const etcd = await serve(t, { flags: { 'enable-grpc-gateway': 'false' } })
  const { status } = await fetch(`${etcd.url}/v3/kv/range`, { method: 'POST', body: '{}' })
  t.is(status, 404)
  await using store = openEtcdStore({ endpoints: [etcd.url] }, silent)
  await works(t, store)
})

test('openEtcdStore() says why a server cannot be used', async (t) => {
  const etcd = await serve(t)
  const tls = { caFile: ca }
  await refuses(
    t,
    { endpoints: [etcd.url.replace('http', 'https')], tls },
    {
      reason: 'unavailable',
      message: /is it http:\/\/ instead of https:/,
    },
  )
  await etcd.stop()
  const endpoints = [etcd.url]
  await refuses(t, { endpoints }, { reason: 'unavailable', message: /connection refused/ })
  await refuses(
    t,
    { endpoints: ['http://nobody.invalid:2379'] },
    {
      reason: 'unavailable',
      message: /host name cannot be resolved/,
    },
  )
  const old = createHttpServer((_request, response) => response.end('404 page not found'))
  await new Promise<void>((resolve) => old.listen(0, '127.0.0.1', resolve))
  t.teardown(() => old.close())
  const { port } = old.address() as AddressInfo
  await refuses(
    t,
    { endpoints: [`http://127.0.0.1:${port}`] },
    {
      reason: 'unsupported',
      message: /does not speak gRPC: etcd 3 with the v3 API is needed/,
    },
  )
})
