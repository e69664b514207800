import {
  Server,
  ServerCredentials,
  type ServiceError,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js'
import test, { type ExecutionContext } from 'ava'
import { silent } from '../../log/logger.ts'
import { openEtcdStore } from '../../store/etcd/etcd.ts'
import { type Method, methods } from '../../store/etcd/etcd-messages.ts'
import { StoreError } from '../../store/store.ts'

/** Fails as etcd does. */
function failure(code: status, details: string): Partial<ServiceError> {
  return { code, details }
}

/** What a server says to one request: an error, or nothing particular. */
type Answers = (asked: 'authenticate' | 'range') => Partial<ServiceError> | undefined

/** A server on loopback that knows two of etcd's methods, and has no keys. */
async function serve(t: ExecutionContext, answers: Answers): Promise<string> {
  const server = new Server()
  const add = <Q, R>({ path }: Method<Q, R>, asked: 'authenticate' | 'range', answer: Buffer) => {
    const asIs = (data: Buffer) => data
    const definition = {
      path,
      requestStream: false,
      responseStream: false,
      requestSerialize: asIs,
      requestDeserialize: asIs,
      responseSerialize: asIs,
      responseDeserialize: asIs,
    }
    server.addService(
      { [asked]: definition },
      {
        [asked]: (_call: unknown, done: sendUnaryData<Buffer>) =>
          done(answers(asked) ?? null, answer),
      },
    )
  }
  // AuthenticateResponse.token, and a RangeResponse of nothing.
  add(methods.authenticate, 'authenticate', Buffer.from('\x12\x05token'))
  add(methods.range, 'range', Buffer.alloc(0))
  const port = await new Promise<number>((resolve, reject) => {
    const credentials = ServerCredentials.createInsecure()
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) =>
      error ? reject(error) : resolve(bound),
    )
  })
  t.teardown(() => server.forceShutdown())
  return `http://127.0.0.1:${port}`
}

const user = { username: 'root', password: 'secret' }

test('a login that fails while connected is a StoreError, and another server is asked', async (t) => {
  const asked: string[] = []
  let isElecting = false
  /** The token has run out, and whoever asks for another meets an election. */
  const electing = await serve(t, (what) => {
    asked.push(`first ${what}`)
    if (!isElecting) return undefined
    return what === 'range'
      ? failure(status.UNAUTHENTICATED, 'etcdserver: invalid auth token')
      : failure(status.UNAVAILABLE, 'etcdserver: request timed out')
  })
  const fine = await serve(t, (what) => void asked.push(`second ${what}`))
  await using store = openEtcdStore({ endpoints: [electing, fine], ...user }, silent)
  t.is(await store.get('/a'), undefined)
  isElecting = true
  t.is(await store.get('/a'), undefined)
  t.deepEqual(asked.slice(2), [
    'first range',
    'first authenticate',
    'second authenticate',
    'second range',
  ])
  await using alone = openEtcdStore({ endpoints: [electing], ...user }, silent)
  isElecting = false
  t.is(await alone.get('/a'), undefined)
  isElecting = true
  const error = await t.throwsAsync(alone.get('/a'), { instanceOf: StoreError })
  t.is(error.reason, 'unavailable')
  t.regex(error.message, /request timed out/)
  isElecting = false
  t.is(await alone.get('/a'), undefined)
})

test('a password that was changed while connected is refused as such', async (t) => {
  let isChanged = false
  const url = await serve(t, (what) => {
    if (!isChanged) return undefined
    return what === 'range'
      ? failure(status.UNAUTHENTICATED, 'etcdserver: invalid auth token')
      : failure(
          status.INVALID_ARGUMENT,
          'etcdserver: authentication failed, invalid user ID or password',
        )
  })
  await using store = openEtcdStore({ endpoints: [url], ...user }, silent)
  t.is(await store.get('/a'), undefined)
  isChanged = true
  const error = await t.throwsAsync(store.get('/a'), { instanceOf: StoreError })
  t.is(error.reason, 'denied')
  t.true(error.message.includes(`etcd at ${url}: `), error.message)
})
