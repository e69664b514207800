import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { ask } from '../../ctl/ask.ts'
import type { Routes } from '../../daemon/status/http-server.ts'
import { type StatusSource, serveHealth, serveStatus } from '../../daemon/status/status-server.ts'
import { StoreError } from '../../store/store.ts'

function socketFor(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-socket-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'deep/default.sock')
}

function source(more: Partial<StatusSource> = {}): StatusSource {
  return {
    status: async () => ({ v: 1 }),
    isReady: () => true,
    metrics: async () => ({ contentType: 'text/metrics', render: async () => 'a 1\n' }),
    ...more,
  }
}

interface Reply {
  readonly status: number
  readonly text: string
  readonly type: string | undefined
  readonly length: string | undefined
}

/** One request as any HTTP client makes it. */
function send(
  socketPath: string,
  path: string,
  { method = 'GET', body = '' }: { method?: string; body?: string } = {},
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, method, agent: false }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('error', reject)
      response.on('end', () => {
        const { 'content-type': type, 'content-length': length } = response.headers
        resolve({ status: response.statusCode ?? 0, text, type, length })
      })
    })
    asked.on('error', reject)
    asked.end(body)
  })
}

test('serveStatus() removes what a daemon left that was killed as it made the socket, and nothing else', async (t) => {
  const path = socketFor(t)
  mkdirSync(`${path}.aB3xYz`, { recursive: true })
  writeFileSync(`${path}.aB3xYz/sock`, '')
  mkdirSync(`${path}.aB3xYz.d`)
  writeFileSync(`${path}.locked`, '')
  const server = await serveStatus(path, source())
  t.teardown(() => server[Symbol.asyncDispose]())
  t.deepEqual(readdirSync(dirname(path)).toSorted(), [
    'default.sock',
    'default.sock.aB3xYz.d',
    'default.sock.locked',
  ])
})

/** A TCP port of loopback that nobody has at this moment. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (typeof address !== 'object' || !address) throw new RangeError('no port')
  return address.port
}

test('serveStatus() answers ask() on a socket for root alone, and replaces one left over', async (t) => {
  const path = socketFor(t)
  for (const round of [1, 2]) {
    await using server = await serveStatus(path, source({ status: async () => ({ round }) }))
    t.truthy(server)
    t.is(statSync(path).mode & 0o777, 0o600)
    t.deepEqual(await ask(path, { path: '/status' }), { round })
    const missing = { name: 'RefusedError', message: 'there is nothing at /else' }
    await t.throwsAsync(ask(path, { path: '/else' }), missing)
  }
  await t.throwsAsync(ask(path, { path: '/status' }), { message: /there is no such socket/ })
  // What a daemon that was killed leaves: a path that nobody listens on.
  writeFileSync(path, '')
  await using server = await serveStatus(path, source())
  t.truthy(server)
  t.deepEqual(await ask(path, { path: '/status' }), { v: 1 })
})

test('serveHealth() answers as flannel does, HEAD too, and tells nothing else', async (t) => {
  let isReady = false
  const port = await freePort()
  await using server = await serveHealth(
    { host: '127.0.0.1', port },
    source({ isReady: () => isReady }),
  )
  t.truthy(server)
  const get = async (path: string, method = 'GET'): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method })
    const length = response.headers.get('content-length')
    return `${response.status} ${length} ${await response.text()}`
  }
  t.is(await get('/healthz'), '200 19 flanneld is running')
  t.is(await get('/healthz', 'HEAD'), '200 19 ')
  t.is(await get('/readyz'), '503 25 flanneld is not ready yet')
  t.is(await get('/readyz', 'HEAD'), '503 25 ')
  isReady = true
  t.is(await get('/readyz?verbose'), '200 17 flanneld is ready')
  t.is(await get('/metrics'), '200 4 a 1\n')
  t.regex(await get('/status'), /^404 /)
  t.regex(await get('/config'), /^404 /)
  t.regex(await get('/healthz', 'POST'), /^405 .*takes GET, not POST/)
  const again = serveHealth({ host: '127.0.0.1', port }, source())
  const message = new RegExp(`^--healthz-port ${port} on --healthz-ip 127\\.0\\.0\\.1 cannot be`)
  await t.throwsAsync(again, { name: 'ListenError', message })
})

test('serveHttp() tells errors as JSON with a message for the person', async (t) => {
  const path = socketFor(t)
  const failing = (error: unknown) => source({ status: () => Promise.reject(error) })
  const store = new StoreError('unavailable', 'etcd:x', 'etcd:x does not answer')
  for (const [error, status, message] of [
    [store, 503, 'etcd:x does not answer'],
    [new RangeError('a bug'), 500, 'a bug'],
    ['a text', 500, 'a text'],
  ] as const) {
    await using server = await serveStatus(path, failing(error))
    t.truthy(server)
    const reply = await send(path, '/status')
    t.is(reply.status, status)
    t.is(reply.type, 'application/json')
    t.deepEqual(JSON.parse(reply.text), { error: message })
  }
})

test('serveHttp() takes the methods a path has, on any path of a hostile name', async (t) => {
  const path = socketFor(t)
  const echo: Routes = { '/echo': { POST: async (body) => ({ status: 200, body: { body } }) } }
  await using server = await serveStatus(path, source(), echo)
  t.truthy(server)
  t.is((await send(path, '/echo', { method: 'POST', body: 'ä' })).text, '{"body":"ä"}\n')
  t.is((await send(path, '/echo')).status, 405)
  t.is((await send(path, '/echo', { method: 'DELETE' })).status, 405)
  t.is((await send(path, '/status', { method: 'PUT' })).status, 405)
  for (const odd of ['/constructor', '/__proto__', '/toString', '//', '/status/', '/%00']) {
    t.is((await send(path, odd)).status, 404, odd)
  }
})

test('serveHttp() refuses a body that is too long, announced or not, and goes on', async (t) => {
  const path = socketFor(t)
  let calls = 0
  const routes: Routes = {
    '/echo': {
      POST: () => {
        calls += 1
        return { status: 200, body: {} }
      },
    },
  }
  await using server = await serveStatus(path, source(), routes)
  t.truthy(server)
  const huge = await send(path, '/echo', { method: 'POST', body: 'x'.repeat(70_000) })
  t.is(huge.status, 413)
  // Ten megabytes without a length. Whoever goes on sending is hung up on.
  const flooded = await new Promise<string>((resolve) => {
    const socket = connect(path)
    let heard = ''
    socket.on('data', (data) => (heard += data.toString()))
    socket.on('error', () => {})
    socket.on('close', () => resolve(heard))
    socket.write('POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n')
    const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`
    for (let i = 0; i < 640; i++) socket.write(chunk)
  })
  t.true(flooded === '' || flooded.startsWith('HTTP/1.1 413'), flooded.slice(0, 100))
  t.is(calls, 0)
  t.is((await send(path, '/echo', { method: 'POST' })).status, 200)
})

test('serveHttp() serves others while a client says nothing, and ends in spite of it', async (t) => {
  const path = socketFor(t)
  const server = await serveStatus(path, source())
  const silent = connect(path)
  const halfway = connect(path)
  for (const one of [silent, halfway]) one.on('error', () => {})
  halfway.write('GET /status HTT')
  t.deepEqual(await ask(path, { path: '/status' }), { v: 1 })
  const ended = Promise.all([silent, halfway].map((one) => new Promise((r) => one.on('close', r))))
  await server[Symbol.asyncDispose]()
  await ended
  t.pass()
})

test('serveHttp() sends the answer to what was asked before it ends', async (t) => {
  const path = socketFor(t)
  const { promise, resolve } = Promise.withResolvers<void>()
  const server = await serveStatus(
    path,
    source({ status: () => promise.then(() => ({ last: true })) }),
  )
  const answer = ask(path, { path: '/status' })
  // The request has come when the next one is answered.
  await send(path, '/healthz')
  const ended = server[Symbol.asyncDispose]()
  resolve()
  t.deepEqual(await answer, { last: true })
  await ended
})

test('serveHttp() answers a hundred at once', async (t) => {
  const path = socketFor(t)
  await using server = await serveStatus(path, source())
  t.truthy(server)
  const replies = await Promise.all(Array.from({ length: 100 }, () => send(path, '/metrics')))
  t.true(replies.every(({ status, text }) => status === 200 && text === 'a 1\n'))
})
