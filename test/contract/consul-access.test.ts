import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { silent } from '../../log/logger.ts'
import { openConsulStore } from '../../store/consul/consul.ts'
import type { ConsulOptions } from '../../store/consul/consul-http.ts'
import { StoreError, type StoreErrorReason } from '../../store/store.ts'
import { testUnless } from '../e2e/installed.ts'
import { makeCertificates } from './certificates.ts'
import { consulMissing, startConsul, startDatacenter } from './consul-server.ts'
import { isDelete, isPut, persist, persistently, record, some } from './store-recording.ts'

const define = testUnless(consulMissing)

async function refuses(
  t: ExecutionContext,
  options: ConsulOptions,
  expected: { reason: StoreErrorReason; message: RegExp },
): Promise<void> {
  await using store = openConsulStore(options, '/net', silent)
  for (const call of [() => store.create('/net/config', '{}'), () => store.list('/net/')]) {
    const error = await t.throwsAsync(call(), { instanceOf: StoreError })
    t.is(error.reason, expected.reason)
    t.regex(error.message, expected.message)
  }
}

define('openConsulStore() shows its token, and is refused without', async (t) => {
  const masterToken = '6f6b1a5e-0000-4000-8000-000000000001'
  await using server = await startConsul({ masterToken })
  const endpoints = [server.url]
  const manage = async (path: string, body: object): Promise<unknown> => {
    const headers = { 'x-consul-token': masterToken }
    const url = `${server.url}/v1/acl/${path}`
    const answer = await fetch(url, { method: 'PUT', headers, body: JSON.stringify(body) })
    return answer.json()
  }
  const rules = 'key_prefix "net/" { policy = "write" }'
  await manage('policy', { Name: 'heddle', Rules: rules })
  const made = await manage('token', { Policies: [{ Name: 'heddle' }] })
  const { SecretID: token } = made as { SecretID: string }
  await using store = openConsulStore({ endpoints, token }, '/net', silent)
  const entry = some(await store.create('/net/config', '{}'))
  t.truthy(await store.put('/net/config', '{}', entry.revision, { ttlSeconds: 60 }))
  t.is((await store.list('/net/config')).entries.length, 1)
  const denied = await t.throwsAsync(store.create('/other', ''), { instanceOf: StoreError })
  t.is(denied.reason, 'denied')

  await refuses(t, { endpoints }, { reason: 'denied', message: /permission denied/i })
  await using stranger = openConsulStore({ endpoints }, '/net', silent)
  const hidden = await t.throwsAsync(stranger.get('/net/config'), { instanceOf: StoreError })
  t.like(hidden, { reason: 'denied' }, 'not: there is none')
  const wrong = '6f6b1a5e-0000-4000-8000-000000000002'
  await refuses(t, { endpoints, token: wrong }, { reason: 'denied', message: /ACL not found/i })
})

define('openConsulStore() says why a server cannot be used', async (t) => {
  const { ca, stranger, server: files, client, remove } = makeCertificates()
  t.teardown(remove)
  await using server = await startConsul({ tls: files, clientCertificates: true })
  const endpoints = [server.url]
  const both = { certFile: client.cert, keyFile: client.key }
  await using store = openConsulStore({ endpoints, tls: { caFile: ca, ...both } }, '/net', silent)
  t.truthy(await store.create('/net/a', ''))
  const untrusted = /its certificate is not trusted/
  const tls = { caFile: stranger, ...both }
  await refuses(t, { endpoints, tls }, { reason: 'denied', message: untrusted })
  const refused = /refused our client certificate, or wants one/
  await refuses(t, { endpoints, tls: { caFile: ca } }, { reason: 'denied', message: refused })
  const plain = [server.url.replace('https', 'http')]
  await refuses(
    t,
    { endpoints: plain },
    { reason: 'unavailable', message: /HTTPS server.*HTTP status 400/ },
  )
  await server.stop()
  await refuses(
    t,
    { endpoints: [...endpoints, 'http://nobody.invalid:8500'] },
    {
      reason: 'unavailable',
      message: /^(?=.*connection refused)(?=.*host name cannot be resolved)/,
    },
  )
})

test('openConsulStore() refuses end points that cannot be', (t) => {
  for (const endpoint of ['127.0.0.1:8500', 'ftp://a', 'http://', 'http://a/v1', 'http://u:p@a']) {
    const error = t.throws(() => openConsulStore({ endpoints: [endpoint] }, '/net', silent), {
      instanceOf: StoreError,
    })
    t.is(error.reason, 'unsupported')
    t.true(error.message.includes(JSON.stringify(endpoint)))
  }
})

define(
  'watch() goes on after a restart, and asks for a resync when the data is lost',
  async (t) => {
    await using server = await startConsul()
    const options = { endpoints: [server.url] }
    await using store = openConsulStore(options, '/net', silent)
    await using writer = openConsulStore(options, '/net', silent)
    const gone = some(await writer.create('/net/subnets/gone', ''))
    const { revision, clusterId } = await store.list('/net/subnets/')
    const watching = record(store, '/net/subnets/', revision)
    for (let round = 0; round < 2; round += 1) {
      await persist(writer, `/net/subnets/${round}`)
      await watching.until(isPut(`/net/subnets/${round}`), 20_000)
      await server.stop('SIGKILL')
      await server.start()
    }
    await persistently(() => writer.delete('/net/subnets/gone', gone.revision))
    await watching.until(isDelete('/net/subnets/gone'), 20_000)
    t.is(watching.events.length, 3)

    await server.stop()
    server.wipe()
    await server.start()
    await watching.ended
    t.deepEqual(watching.events.at(-1), { type: 'resync' })
    const after = await persistently(() => store.list('/net/subnets/'))
    t.deepEqual(after.entries, [])
    t.not(after.clusterId, clusterId)
  },
)

define(
  'a datacenter that loses a server loses nothing, and says so when it loses two',
  async (t) => {
    const servers = await startDatacenter(3)
    t.teardown(() => Promise.all(servers.map((server) => server[Symbol.asyncDispose]())))
    await using store = openConsulStore(
      { endpoints: servers.map(({ url }) => url) },
      '/net',
      silent,
    )
    const { revision } = await store.list('/net/subnets/')
    const watching = record(store, '/net/subnets/', revision)
    await store.create('/net/subnets/0', '')
    const [first, second] = servers
    await some(first).stop('SIGKILL')
    await persist(store, '/net/subnets/1')
    await watching.until(isPut('/net/subnets/1'), 20_000)
    await some(second).stop('SIGKILL')
    const error = await t.throwsAsync(store.create('/net/subnets/2', ''), {
      instanceOf: StoreError,
    })
    t.is(error.reason, 'unavailable')
    await some(second).start()
    await persist(store, '/net/subnets/3')
    await watching.until(isPut('/net/subnets/3'), 20_000)
    await watching.stop()
  },
)

/** Answers as Consul would, with what a test says. */
async function serveAnswers(
  t: ExecutionContext,
  answer: (path: string, response: ServerResponse) => void,
): Promise<string> {
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += String(chunk)
    })
    request.on('end', () => answer(`${request.url} ${body}`, response))
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const pair = (key: string, index: number) => ({
  Key: key,
  Value: '',
  Flags: 0,
  ModifyIndex: index,
})

test('a key with flags of somebody else never expires', async (t) => {
  const ours = { ...pair('net/ours', 5), Flags: 7268_0004_00000060 }
  // What `consul lock` sets is the largest of these.
  const foreign = [1, 42, 100_000_060, 0x2ddccbc0 * 2 ** 32, -60, 0.5]
  const others = foreign.map((Flags, i) => ({
    ...pair(`net/${i}`, 6 + i),
    Flags,
  }))
  const url = await serveAnswers(t, (path, response) => {
    const send = (body: unknown) => response.end(JSON.stringify(body))
    if (path.startsWith('/v1/txn')) send({ Results: [{ KV: pair('net/store-id', 3) }] })
    else send([ours, ...others])
  })
  await using store = openConsulStore({ endpoints: [url] }, '/net', silent)
  const { entries } = await store.list('/net/')
  t.deepEqual(
    entries.map(({ leased }) => leased),
    [true, ...others.map(() => false)],
  )
})

define('a key that somebody wrote with flags is there for good', async (t) => {
  await using server = await startConsul()
  const written = await fetch(`${server.url}/v1/kv/net/config?flags=1`, {
    method: 'PUT',
    body: '{}',
  })
  t.is(await written.text(), 'true')
  await using store = openConsulStore({ endpoints: [server.url] }, '/net', silent)
  const { revision } = await store.list('/net/')
  const watching = record(store, '/net/', revision)
  // What comes later and is gone has had its time after that.
  t.truthy(await store.create('/net/leased', '', { ttlSeconds: 1 }))
  await watching.until(isDelete('/net/leased'))
  t.like(await store.get('/net/config'), { value: '{}', leased: false })
  await watching.stop()
})

test('watch() begins anew when an index goes back, and nothing is seen twice', async (t) => {
  const trees: [index: number, pairs: object[]][] = [
    [20, [pair('net/a', 15)]], // the list
    [20, [pair('net/a', 15)]], // the watch
    [9, [pair('net/a', 15)]], // its first look: what was deleted at 20 is forgotten
    [9, [pair('net/a', 15)]], // the watch anew
    [22, [pair('net/a', 15), pair('net/b', 22)]],
  ]
  const url = await serveAnswers(t, (path, response) => {
    const send = (index: number, body: unknown, status = 200) => {
      response.writeHead(status, { 'x-consul-index': index }).end(JSON.stringify(body))
    }
    if (path.startsWith('/v1/txn')) send(0, { Results: [{ KV: pair('net/store-id', 3) }] })
    else if (path.includes('no-such-key')) send(20, null, 404)
    else {
      const [index, pairs] = trees.shift() ?? []
      // No change for as long as the test runs.
      if (index !== undefined) send(index, pairs)
    }
  })
  await using store = openConsulStore({ endpoints: [url] }, '/net', silent)
  const { revision } = await store.list('/net/')
  t.is(revision, 20)
  const watching = record(store, '/net/', revision)
  await watching.until(isPut('/net/b'))
  t.is(watching.events.length, 1)
  await watching.stop()
})

test('a server that talks rubbish is said to', async (t) => {
  for (const [text, status, reason] of [
    ['<html>', 200, 'corrupt'],
    ['{}', 200, 'corrupt'],
    ['null', 200, 'corrupt'],
    ['[null]', 200, 'corrupt'],
    ['[{"Key":"net/a","Value":7,"Flags":0,"ModifyIndex":3}]', 200, 'corrupt'],
    ['{"Results":[null]}', 200, 'corrupt'],
    ['{"Results":[{"KV":{}}]}', 200, 'corrupt'],
    ['{"Errors":[null]}', 409, 'corrupt'],
    ['leadership lost', 500, 'unavailable'],
    ['rate limit', 429, 'unavailable'],
  ] as const) {
    const url = await serveAnswers(t, (_path, response) => {
      response.writeHead(status).end(text)
    })
    await using store = openConsulStore({ endpoints: [url] }, '/net', silent)
    for (const call of [() => store.list('/net/'), () => store.get('/net/a')]) {
      const error = await t.throwsAsync(call(), { instanceOf: StoreError })
      t.is(error.reason, reason, text)
    }
  }
})
