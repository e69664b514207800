import { status } from '@grpc/grpc-js'
import test from 'ava'
import { combineErrors } from '../../store/connection-errors.ts'
import { parseEndpoint } from '../../store/etcd/etcd-endpoint.ts'
import { etcdError } from '../../store/etcd/etcd-errors.ts'
import { prefixRange } from '../../store/etcd/etcd-messages.ts'
import { sqliteError } from '../../store/sqlite/sqlite-schema.ts'
import { StoreError } from '../../store/store.ts'

test('parseEndpoint() reads what etcd tools read', (t) => {
  const target = (text: string) => parseEndpoint(text, undefined, 'etcd').target
  t.is(target('http://10.0.0.1:2379'), 'ipv4:10.0.0.1:2379')
  t.is(target('https://etcd.example.com:4001/'), 'dns:etcd.example.com:4001')
  t.is(target('http://[fd00::1]:2379'), 'ipv6:[fd00::1]:2379')
  t.is(target('HTTP://localhost'), 'dns:localhost:2379')
  t.is(target('http://a:80'), 'dns:a:80')
  t.is(target('127.0.0.1:1234'), 'ipv4:127.0.0.1:1234')
})

test('parseEndpoint() takes a bare host for TLS when there are TLS files', (t) => {
  const isSecure = (text: string, tls?: object) =>
    '_isSecure' in parseEndpoint(text, tls, 'etcd').credentials() &&
    Object.keys(parseEndpoint(text, tls, 'etcd').options).length > 0
  t.true(isSecure('127.0.0.1:2379', {}))
  t.false(isSecure('127.0.0.1:2379'))
  t.false(isSecure('http://127.0.0.1:2379', {}))
  t.true(isSecure('https://127.0.0.1:2379'))
})

test('parseEndpoint() names what it cannot use', (t) => {
  for (const text of [
    '',
    'ftp://a',
    'http://',
    'http://a:b',
    'http://a/v3',
    'http://fd00::1:2379',
  ]) {
    const error = t.throws(() => parseEndpoint(text, undefined, 'etcd'), { instanceOf: StoreError })
    t.is(error.reason, 'unsupported')
    t.true(error.message.includes(JSON.stringify(text)))
  }
})

test('prefixRange() ends where the prefix does', (t) => {
  const range = (prefix: string) => {
    const { key, rangeEnd } = prefixRange(prefix)
    return [Buffer.from(key).toString('hex'), Buffer.from(rangeEnd).toString('hex')]
  }
  t.deepEqual(range('a/'), ['612f', '6130'])
  t.deepEqual(range('ü'), ['c3bc', 'c3bd'])
  t.deepEqual(range(''), ['00', '00'])
})

function failure(code: status, details: string): Error {
  return Object.assign(new Error(details), { code, details })
}

test('etcdError() tells reasons apart', (t) => {
  const reason = (code: status, details: string) =>
    etcdError(failure(code, details), 'etcd:x', 'http://x').reason
  t.is(reason(status.UNAVAILABLE, 'etcdserver: no leader'), 'unavailable')
  t.is(reason(status.UNAVAILABLE, 'Connection dropped'), 'unavailable')
  t.is(reason(status.PERMISSION_DENIED, 'etcdserver: permission denied'), 'denied')
  t.is(reason(status.INVALID_ARGUMENT, 'etcdserver: user name is empty'), 'denied')
  t.is(reason(status.UNIMPLEMENTED, 'unknown service etcdserverpb.KV'), 'unsupported')
  t.is(reason(status.RESOURCE_EXHAUSTED, 'etcdserver: mvcc: database space exceeded'), 'full')
  t.is(reason(status.RESOURCE_EXHAUSTED, 'etcdserver: too many requests'), 'unavailable')
  t.is(reason(status.DATA_LOSS, 'etcdserver: corrupt cluster'), 'corrupt')
  t.is(etcdError(new RangeError('varint'), 'etcd:x', 'http://x').reason, 'corrupt')
})

test('etcdError() leaves out the words of the library', (t) => {
  const details =
    'No connection established. Last error: Error: connect ECONNREFUSED 10.0.0.1:2379. Resolution note: '
  const error = etcdError(failure(status.UNAVAILABLE, details), 'etcd:x', 'http://10.0.0.1:2379')
  t.is(
    error.message,
    'Cannot reach etcd at http://10.0.0.1:2379: connection refused (connect ECONNREFUSED 10.0.0.1:2379)',
  )
})

test('combineErrors() hopes for the server that may come back', (t) => {
  const denied = new StoreError('denied', 'etcd', 'a: no')
  const away = new StoreError('unavailable', 'etcd', 'b: away')
  t.is(combineErrors([denied], 'etcd'), denied)
  const both = combineErrors([denied, away], 'etcd')
  t.like(both, { reason: 'unavailable', message: 'a: no; b: away' })
})

test('sqliteError() tells reasons apart', (t) => {
  const reason = (fields: object) =>
    sqliteError(Object.assign(new Error('text'), fields), 'sqlite:/x').reason
  t.is(reason({ errcode: 5 }), 'unavailable')
  t.is(reason({ errcode: 8 | (4 << 8) }), 'denied')
  t.is(reason({ errcode: 11 }), 'corrupt')
  t.is(reason({ errcode: 13 }), 'full')
  t.is(reason({ code: 'EACCES' }), 'denied')
  t.is(reason({}), 'unavailable')
})
