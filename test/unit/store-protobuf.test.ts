import test from 'ava'
import fc from 'fast-check'
import {
  bool,
  bytes,
  decodeMessage,
  encodeMessage,
  id,
  int,
  message,
  text,
} from '../../store/etcd/protobuf.ts'

const inner = { number: { field: 1, wire: int } } as const
const table = {
  number: { field: 1, wire: int },
  name: { field: 2, wire: text },
  nested: { field: 3, wire: message(inner) },
  names: { field: 4, wire: text, repeated: true },
  flag: { field: 5, wire: bool },
  id: { field: 16, wire: id },
  raw: { field: 2047, wire: bytes },
} as const

function hex(data: Uint8Array): string {
  return Buffer.from(data).toString('hex')
}

function unhex(digits: string): Uint8Array {
  return Buffer.from(digits, 'hex')
}

// The examples of protobuf.dev/programming-guides/encoding, and a few more.
const vectors = [
  [{}, ''],
  [{ number: 150 }, '089601'],
  [{ number: 0 }, '0800'],
  [{ number: -1 }, '08ffffffffffffffffff01'],
  [{ number: Number.MAX_SAFE_INTEGER }, '08ffffffffffffff0f'],
  [{ name: 'testing' }, '120774657374696e67'],
  [{ nested: { number: 150 } }, '1a03089601'],
  [{ names: ['a', '', 'ü'] }, '22016122002202c3bc'],
  [{ flag: true }, '2801'],
  [{ id: 0xffff_ffff_ffff_ffffn }, '8001ffffffffffffffffff01'],
  [{ raw: Uint8Array.of(0, 255) }, 'fa7f0200ff'],
] as const

test('encodeMessage() and decodeMessage() agree with the encoding guide', (t) => {
  for (const [values, digits] of vectors) {
    t.is(hex(encodeMessage(table, values)), digits)
    t.deepEqual(decodeMessage(table, unhex(digits)), { ...values })
  }
})

test('decodeMessage() gives back what encodeMessage() was given', (t) => {
  const values = fc.record(
    {
      number: fc.maxSafeInteger(),
      name: fc.string({ unit: 'binary' }),
      nested: fc.record({ number: fc.maxSafeInteger() }, { requiredKeys: [] }),
      names: fc.array(fc.string(), { minLength: 1 }),
      flag: fc.boolean(),
      id: fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
      raw: fc.uint8Array(),
    },
    { requiredKeys: [], noNullPrototype: true },
  )
  fc.assert(
    fc.property(values, (value) => {
      t.deepEqual(decodeMessage(table, encodeMessage(table, value)), value)
    }),
  )
  t.pass()
})

test('decodeMessage() skips fields it does not know, of every form', (t) => {
  const unknown = ['5005', '5201ff', '51' + '00'.repeat(8), '55' + '00'.repeat(4)].join('')
  t.deepEqual(decodeMessage(table, unhex(`${unknown}089601`)), { number: 150 })
})

test('decodeMessage() throws nothing but RangeError, whatever the bytes are', (t) => {
  for (const digits of [
    '08',
    '0880',
    '1205',
    '0b',
    '0a00',
    `08${'ff'.repeat(11)}`,
    '12ffffffff7f',
  ]) {
    t.throws(() => decodeMessage(table, unhex(digits)), { instanceOf: RangeError }, digits)
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (data) => {
      try {
        decodeMessage(table, data)
      } catch (error) {
        if (!(error instanceof RangeError)) throw error
      }
    }),
  )
  t.throws(() => decodeMessage(inner, unhex('08ffffffffffffffff7f')), {
    message: /beyond 2\^53/,
  })
})
