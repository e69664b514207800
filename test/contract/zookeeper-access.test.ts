import { createServer, type Socket } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { silent } from '../../log/logger.ts'
import { StoreError, type StoreErrorReason } from '../../store/store.ts'
import { openZookeeperStore } from '../../store/zookeeper/zookeeper.ts'
import type { ZookeeperOptions } from '../../store/zookeeper/zookeeper-channel.ts'
import { opcodes, PacketWriter } from '../../store/zookeeper/zookeeper-codec.ts'
import { testWith } from '../e2e/installed.ts'
import { makeCertificates } from './certificates.ts'
import { startProxy } from './cutting-proxy.ts'
import { isDelete, isPut, persist, persistently, record, some } from './store-recording.ts'
import { startEnsemble, startZookeeper, ZOOKEEPER } from './zookeeper-server.ts'

const define = testWith(ZOOKEEPER, 'java')

async function refuses(
  t: ExecutionContext,
  options: ZookeeperOptions,
  expected: { reason: StoreErrorReason; message: RegExp },
): Promise<void> {
  await using store = openZookeeperStore(options, '/net', silent)
  const error = await t.throwsAsync(store.create('/net/config', '{}'), { instanceOf: StoreError })
  t.is(error.reason, expected.reason)
  t.regex(error.message, expected.message)
}

define('openZookeeperStore() keeps what a user writes from others', async (t) => {
  await using server = await startZookeeper()
  const endpoints = [server.endpoint]
  const login = { username: 'heddle', password: 'secret' }
  await using store = openZookeeperStore({ endpoints, login }, '/net', silent)
  const entry = some(await store.create('/net/config', '{}', { ttlSeconds: 60 }))
  t.truthy(await store.put('/net/config', '{ }', entry.revision))
  const reason = 'denied'
  const message = /the access list of the node does not let us/
  await refuses(t, { endpoints }, { reason, message })
  const wrong = { username: 'heddle', password: 'guess' }
  await refuses(t, { endpoints, login: wrong }, { reason, message })
  await using again = openZookeeperStore({ endpoints, login }, '/net', silent)
  t.is((await again.list('/net/config')).entries.length, 1)
})

define('openZookeeperStore() says why a server cannot be used', async (t) => {
  const { ca, stranger, server: files, client, remove } = makeCertificates()
  t.teardown(remove)
  await using server = await startZookeeper({ tls: files, clientCertificates: true })
  const endpoints = [server.endpoint]
  const both = { certFile: client.cert, keyFile: client.key }
  await using store = openZookeeperStore(
    { endpoints, tls: { caFile: ca, ...both } },
    '/net',
    silent,
  )
  t.truthy(await store.create('/net/a', ''))
  const untrusted = /its certificate is not trusted/
  const tls = { caFile: stranger, ...both }
  await refuses(t, { endpoints, tls }, { reason: 'denied', message: untrusted })
  const missing = { caFile: `${ca}.none` }
  await refuses(t, { endpoints, tls: missing }, { reason: 'denied', message: /ca\.pem\.none/ })
  // Without TLS the server hangs up, or waits for a greeting.
  await refuses(t, { endpoints }, { reason: 'unavailable', message: /hung up|no answer/ })
  await server.stop()
  await refuses(
    t,
    { endpoints: [...endpoints, 'nobody.invalid'] },
    {
      reason: 'unavailable',
      message: /^(?=.*connection refused)(?=.*host name cannot be resolved)/,
    },
  )
  t.like(
    t.throws(() => openZookeeperStore({ endpoints: ['http://a'] }, '/net', silent)),
    { name: 'StoreError', reason: 'unsupported' },
  )
})

/** A server on loopback that does with a connection what a test says; its end point. */
async function listen(t: ExecutionContext, connected: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    connected(socket)
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  return `127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
}

test('a server that talks rubbish is unavailable, and does no harm', async (t) => {
  const endpoint = await listen(t, (socket) => {
    socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')
  })
  const message = /answers what makes no sense/
  await refuses(t, { endpoints: [endpoint] }, { reason: 'unavailable', message })
})

/** Greets, and gives each request the answer a test says. */
function serveAnswers(
  t: ExecutionContext,
  answer: (xid: number, opcode: number) => PacketWriter,
): Promise<string> {
  const greeting = new PacketWriter().int(0).int(12_000).long(1).buffer(Buffer.alloc(16))
  return listen(t, (socket) => {
    let isGreeted = false
    let rest = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk])
      while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
        const request = rest.subarray(4, 4 + rest.readInt32BE(0))
        rest = rest.subarray(4 + request.length)
        const reply = isGreeted ? answer(request.readInt32BE(0), request.readInt32BE(4)) : greeting
        isGreeted = true
        socket.write(reply.packet())
      }
    })
  })
}

const header = (xid: number) => new PacketWriter().int(xid).long(7).int(0)

test('an answer that is too short, or to another request, is a StoreError', async (t) => {
  const short = (xid: number, opcode: number) =>
    opcode === opcodes.sync ? header(xid).text('/') : header(xid).int(3)
  const others = (xid: number) => header(xid + 1000).text('/')
  for (const answer of [short, others]) {
    const endpoint = await serveAnswers(t, answer)
    await using store = openZookeeperStore({ endpoints: [endpoint] }, '/net', silent)
    for (const call of [
      () => store.get('/net/a'),
      () => store.list('/net/'),
      () => store.create('/net/a', ''),
    ]) {
      const error = await t.throwsAsync(call(), { instanceOf: StoreError })
      t.is(error.reason, 'unavailable')
      t.regex(error.message, /answers what makes no sense/)
    }
  }
})

define(
  'watch() goes on after a restart, and asks for a resync when the data is lost',
  async (t) => {
    await using server = await startZookeeper()
    const options = { endpoints: [server.endpoint] }
    await using store = openZookeeperStore(options, '/net', silent)
    await using writer = openZookeeperStore(options, '/net', silent)
    const gone = some(await writer.create('/net/subnets/gone', ''))
    const { revision, clusterId } = await store.list('/net/subnets/')
    const watching = record(store, '/net/subnets/', revision)
    for (let round = 0; round < 2; round += 1) {
      await persist(writer, `/net/subnets/${round}`)
      await watching.until(isPut(`/net/subnets/${round}`), 15_000)
      await server.stop('SIGKILL')
      await server.start()
    }
    await persistently(() => writer.delete('/net/subnets/gone', gone.revision))
    await watching.until(isDelete('/net/subnets/gone'), 15_000)
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
  'an ensemble that loses a member loses nothing, and says so when it loses two',
  async (t) => {
    const members = await startEnsemble(3)
    t.teardown(() => Promise.all(members.map((member) => member[Symbol.asyncDispose]())))
    const endpoints = members.map(({ endpoint }) => endpoint)
    await using store = openZookeeperStore({ endpoints }, '/net', silent)
    const { revision } = await store.list('/net/subnets/')
    const watching = record(store, '/net/subnets/', revision)
    await store.create('/net/subnets/0', '')
    const [first, second] = members
    await some(first).stop('SIGKILL')
    await persist(store, '/net/subnets/1')
    await watching.until(isPut('/net/subnets/1'), 20_000)
    await some(second).stop('SIGKILL')
    const error = await t.throwsAsync(store.create('/net/subnets/2', ''), {
      instanceOf: StoreError,
    })
    t.is(error.reason, 'unavailable')
    await some(first).start()
    await persist(store, '/net/subnets/3')
    await watching.until(isPut('/net/subnets/3'), 20_000)
    await watching.stop()
  },
)

define('a key that was deleted and made again is not taken for the old one', async (t) => {
  await using server = await startZookeeper()
  await using proxy = await startProxy(Number(server.endpoint.split(':')[1]))
  const through = { endpoints: [`127.0.0.1:${proxy.port}`] }
  await using store = openZookeeperStore(through, '/net', silent)
  await using other = openZookeeperStore({ endpoints: [server.endpoint] }, '/net', silent)
  const first = some(await store.create('/net/a', 'first'))
  t.true(await other.delete('/net/a', first.revision))
  const second = some(await other.create('/net/a', 'second'))
  // Its version is what the first one's was, and so would be all that a write compares.
  t.is(await store.put('/net/a', 'third', first.revision), undefined)
  t.false(await store.delete('/net/a', first.revision))
  t.deepEqual(await store.get('/net/a'), second)

  // The same between the two requests of a put: it has read the node when that goes.
  const held = proxy.hold((piece) => piece.length > 12 && piece.readInt32BE(8) === opcodes.multi)
  const putting = store.put('/net/a', 'third', second.revision)
  await held
  t.true(await other.delete('/net/a', second.revision))
  const third = some(await other.create('/net/a', 'other'))
  proxy.release()
  t.is(await putting, undefined)
  t.deepEqual(await store.get('/net/a'), third)
})
