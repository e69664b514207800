import test from 'ava'
import fc from 'fast-check'
import {
  codes,
  PacketReader,
  PacketWriter,
  readMultiResults,
  writeMulti,
} from '../../store/zookeeper/zookeeper-codec.ts'
import {
  folderOf,
  formatData,
  keyOf,
  parseData,
  pathOf,
} from '../../store/zookeeper/zookeeper-node.ts'

test('pathOf() leaves keys of leases as they are', (t) => {
  for (const key of [
    '/coreos.com/network/config',
    '/coreos.com/network/subnets/10.5.34.0-24&fc00:0:0:5::-64',
    '/Grüße',
  ]) {
    t.is(pathOf(key), key)
    t.is(keyOf(key), key)
  }
})

test('pathOf() escapes what ZooKeeper refuses in a path', (t) => {
  t.is(pathOf('/a%b'), '/a%25b')
  t.is(pathOf('/a//b/'), '/a/%/b/%')
  t.is(pathOf('/.'), '/%2E')
  t.is(pathOf('/a/../b'), '/a/%2E%2E/b')
  t.is(pathOf('/zookeeper/quota'), '/%7Aookeeper/quota')
  t.is(pathOf('/a/zookeeper'), '/a/zookeeper')
  t.is(pathOf('/\n😀'), '/%0A%F0%9F%98%80')
  t.throws(() => pathOf('a'), { instanceOf: RangeError })
})

test('keyOf() knows no path that pathOf() does not make', (t) => {
  for (const path of ['/zookeeper', '/zookeeper/quota', '/a%zz', '/%41', '/a%2Fb']) {
    t.is(keyOf(path), undefined, path)
  }
})

test('every key comes back from its path', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const key = `/${text}`
      return keyOf(pathOf(key)) === key && !/[\p{Cc}\p{Cs}\ufff0-\uffff]/u.test(pathOf(key))
    }),
  )
  t.pass()
})

test('folderOf() is above every key with the prefix', (t) => {
  t.is(folderOf(''), '/')
  t.is(folderOf('/a'), '/')
  t.is(folderOf('/a/'), '/a')
  t.is(folderOf('/a/b'), '/a')
})

test('parseData() reads what formatData() writes, and what an operator does', (t) => {
  for (const value of ['', '{"PublicIP":"1.2.3.4"}', '#heddle v=1 ttl=5\nx', '#heddle v=1\n']) {
    t.deepEqual(parseData(formatData(value, undefined)), { value })
    t.deepEqual(parseData(formatData(value, 60)), { value, ttlSeconds: 60 })
  }
  t.is(formatData('{}', 86400).toString(), '#heddle v=1 ttl=86400\n{}')
  t.is(formatData('{}', undefined).toString(), '{}')
  const newer = '#heddle v=2 ttl=5\nx'
  t.deepEqual(parseData(Buffer.from(newer)), { value: newer }, 'does not expire, is not understood')
})

test('PacketWriter has the bytes of zookeeper.jute', (t) => {
  const packet = new PacketWriter().int(1).long(-1).bool(true).text('ab').buffer(null).packet()
  const fields = ['00000017', '00000001', 'ffffffffffffffff', '01', '000000026162', 'ffffffff']
  t.is(packet.toString('hex'), fields.join(''))
})

test('writeMulti() puts a header before each change and one at the end', (t) => {
  const change = { op: 'check', path: '/a', version: 3 } as const
  const packet = writeMulti([change]).packet().subarray(4)
  t.is(packet.toString('hex'), '0000000d00ffffffff000000022f6100000003ffffffff01ffffffff')
})

test('readMultiResults() tells which change failed', (t) => {
  const writer = new PacketWriter()
  for (const error of [codes.ok, codes.badVersion, codes.otherFailed]) {
    writer.int(-1).bool(false).int(error).int(error)
  }
  const packet = writer.int(-1).bool(true).int(-1).packet().subarray(4)
  t.deepEqual(
    readMultiResults(new PacketReader(packet), 3).map(({ error }) => error),
    [codes.ok, codes.badVersion, codes.otherFailed],
  )
  for (const count of [2, 4]) {
    t.throws(() => readMultiResults(new PacketReader(packet), count), { instanceOf: RangeError })
  }
})

test('PacketReader throws RangeError at the end of a packet, never another error', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      try {
        const reader = new PacketReader(Buffer.from(bytes))
        reader.texts()
        readMultiResults(reader, 2)
      } catch (error) {
        return error instanceof RangeError
      }
      return true
    }),
  )
  t.pass()
})
