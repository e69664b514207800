import test from 'ava'
import fc from 'fast-check'
import type { Address } from '../../ip/address.ts'
import { localMac } from '../../ip/mac.ts'
import {
  decodeDone,
  decodeError,
  decodeMessages,
  encodeMessages,
  type Message,
} from '../../netlink/codec/message.ts'
import { decodeBody, encodeBody, struct } from '../../netlink/codec/struct.ts'
import {
  decodeAttrs,
  encodeAttrs,
  listOf,
  nested,
  walkAttrs,
  writeAttr,
} from '../../netlink/codec/table.ts'
import {
  bool,
  bytes,
  flag,
  ip,
  mac,
  s32,
  s32be,
  str,
  u8,
  u16,
  u16be,
  u32,
  u32be,
  u64,
  u64be,
  type Wire,
} from '../../netlink/codec/wire.ts'
import { encode } from '../../netlink/codec/writer.ts'
import { decodeEvents } from '../../netlink/events.ts'

const hex = (data: Uint8Array) => Buffer.from(data).toString('hex')
const uint = (bits: number) => fc.integer({ min: 0, max: 2 ** bits - 1 })
const sint32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const blob = fc.uint8Array({ maxLength: 40 })
const address: fc.Arbitrary<Address> = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map((value) => ({ family: 4 as const, value })),
  fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((value) => ({ family: 6 as const, value })),
)
const text = fc.string({ unit: 'binary' }).filter((value) => !value.includes('\0'))
const macAddress = fc.uint8Array({ minLength: 6, maxLength: 6 }).map(localMac)

const inner = { small: { type: 1, wire: u8 }, name: { type: 2, wire: str } } as const
const table = {
  u8: { type: 1, wire: u8 },
  u16: { type: 2, wire: u16 },
  u32: { type: 3, wire: u32 },
  s32: { type: 4, wire: s32 },
  u64: { type: 5, wire: u64 },
  u16be: { type: 6, wire: u16be },
  u32be: { type: 7, wire: u32be },
  s32be: { type: 8, wire: s32be },
  u64be: { type: 9, wire: u64be },
  bool: { type: 10, wire: bool },
  flag: { type: 11, wire: flag },
  bytes: { type: 12, wire: bytes },
  str: { type: 13, wire: str },
  mac: { type: 14, wire: mac },
  ip: { type: 15, wire: ip },
  inner: { type: 16, wire: nested(inner) },
  list: { type: 17, wire: listOf(1, nested(inner)) },
} as const
const innerValues = fc.record({ small: uint(8), name: text }, { requiredKeys: [] })
const values = fc.record(
  {
    u8: uint(8),
    u16: uint(16),
    u32: uint(32),
    s32: sint32,
    u64: uint64,
    u16be: uint(16),
    u32be: uint(32),
    s32be: sint32,
    u64be: uint64,
    bool: fc.boolean(),
    flag: fc.constant(true as const),
    bytes: blob,
    str: text,
    mac: macAddress,
    ip: address,
    inner: innerValues,
    list: fc.array(innerValues, { maxLength: 4 }),
  },
  { requiredKeys: [], noNullPrototype: true },
)

test('decodeAttrs() gives back what encodeAttrs() was given', (t) => {
  fc.assert(
    fc.property(values, (given) => {
      // JSON would lose the bigints; ava's comparison does not care for the order of keys.
      t.deepEqual(decodeAttrs(table, encodeAttrs(table, given)), given)
    }),
  )
  t.pass()
})

test('encodeAttrs() writes each width and byte order as its wire is called', (t) => {
  const written = encodeAttrs(table, { u16: 0x0102, u16be: 0x0102, u32be: 1, s32: -2, u8: 7 })
  t.is(
    hex(written),
    [
      '0600020002010000',
      '0600060001020000',
      '0800070000000001',
      '08000400feffffff',
      '0500010007000000',
    ].join(''),
  )
})

test('encodeAttrs() marks nests and pads them', (t) => {
  const written = encodeAttrs(table, { inner: { name: 'ab' }, flag: true })
  t.is(hex(written), '0c001080070002006162000004000b00')
})

test('encodeAttrs() leaves out what is undefined or unknown', (t) => {
  const given = { u8: undefined, other: 1, u16: 5 }
  t.is(hex(encodeAttrs(table, given)), '0600020005000000')
})

test('encodeAttrs() refuses an attribute that 16 bits cannot measure, and stays usable', (t) => {
  t.throws(() => encodeAttrs(table, { bytes: new Uint8Array(65_532) }), {
    instanceOf: RangeError,
    message: 'attribute 12 is too long: 65536 bytes',
  })
  t.is(encodeAttrs(table, { bytes: new Uint8Array(65_531) }).length, 65_536)
  t.is(hex(encodeAttrs(table, { u8: 1 })), '0500010001000000')
})

test('encode() may be used inside itself', (t) => {
  const wire: Wire<number> = {
    write(out, value) {
      out.u8(value)
      out.bytes(encode((other) => other.u16be(0x0a0b)))
      out.u8(value)
    },
    read: () => 0,
  }
  t.is(hex(encode((out) => writeAttr(out, { type: 1, wire }, 1))), '08000100010a0b01')
})

test('decodeAttrs() skips attributes it does not know and takes the last of a kind', (t) => {
  const data = Buffer.from('050001000100000008006300ffffffff0500010002000000', 'hex')
  t.deepEqual(decodeAttrs(table, data), { u8: 2 })
})

test('decodeAttrs() does not mind the nested and byte-order bits', (t) => {
  t.deepEqual(decodeAttrs(table, Buffer.from('0500018001000000', 'hex')), { u8: 1 })
  t.deepEqual(decodeAttrs(table, Buffer.from('0500014001000000', 'hex')), { u8: 1 })
})

test('decodeAttrs() refuses lengths that cannot be', (t) => {
  for (const [data, message] of [
    ['0300010000000000', 'attribute at byte 0 claims 3 of 8 bytes'],
    ['0900010000000000', 'attribute at byte 0 claims 9 of 8 bytes'],
    ['0500030001000000', 'attribute payload has 1 bytes, 4 needed'],
    ['08000e0001020304', 'MAC address has 4 bytes, 6 needed'],
    ['05000f0001000000', 'IP address has 1 bytes, 4 or 16 needed'],
  ] as const) {
    t.throws(() => decodeAttrs(table, Buffer.from(data, 'hex')), {
      instanceOf: RangeError,
      message,
    })
  }
})

test('decodeAttrs() keeps no view of what it read', (t) => {
  const data = encodeAttrs(table, { bytes: Uint8Array.of(1, 2, 3), str: 'abc' })
  const read = decodeAttrs(table, data)
  data.fill(0xff)
  t.deepEqual(read, { bytes: Uint8Array.of(1, 2, 3), str: 'abc' })
})

const header = struct({ family: u8, index: s32, state: u16, flags: u8, type: u8 })

test('struct() lays fields out as C does', (t) => {
  t.is(header.size, 12)
  const written = encode((out) => header.write(out, { family: 7, index: -1, type: 9 }))
  t.is(hex(written), '07000000ffffffff00000009')
  t.deepEqual(header.read(written), { family: 7, index: -1, state: 0, flags: 0, type: 9 })
  t.throws(() => header.read(new Uint8Array(11)), { instanceOf: RangeError })
  t.is(struct({ a: u8, b: u16, c: u8 }).size, 8)
})

test('decodeBody() gives back what encodeBody() was given', (t) => {
  const given = { family: uint(8), index: sint32, state: uint(16), flags: uint(8), type: uint(8) }
  fc.assert(
    fc.property(fc.record(given, { noNullPrototype: true }), values, (fields, attrs) => {
      const body = encodeBody(header, fields, table, attrs)
      t.deepEqual(decodeBody(header, table, body), { header: fields, attrs })
    }),
    { numRuns: 50 },
  )
  t.pass()
})

function request(type: number, body: Uint8Array) {
  return { type, flags: 0, body, op: 'do something' }
}

test('decodeMessages() gives back what encodeMessages() was given', (t) => {
  const requests = fc.array(fc.tuple(uint(16), blob), { maxLength: 5 })
  fc.assert(
    fc.property(requests, uint(31), (all, sequence) => {
      const datagram = encodeMessages(
        all.map(([type, body]) => request(type, body)),
        sequence,
        5,
      )
      t.is(datagram.length % 4, 0)
      t.deepEqual(
        decodeMessages(datagram),
        all.map(([type, payload], index) => ({
          ...{ type, payload, flags: 5, portId: 0, sequence: sequence + index },
        })),
      )
    }),
  )
})

test('decodeMessages() refuses messages that do not fit', (t) => {
  const whole = encodeMessages([request(16, new Uint8Array(8))], 1, 0)
  for (let length = 1; length < whole.length; length++) {
    t.throws(() => decodeMessages(whole.subarray(0, length)), { instanceOf: RangeError })
  }
  const tooShort = whole.slice()
  tooShort[0] = 15
  t.throws(() => decodeMessages(tooShort), {
    message: 'message at byte 0 claims 15 of 24 bytes',
  })
})

function message(type: number, flags: number, payload: string): Message {
  return { type, flags, sequence: 1, portId: 1, payload: Buffer.from(payload, 'hex') }
}

const echo = '20000000100005000100000000000000'
const words = encodeAttrs(
  { text: { type: 1, wire: str }, offset: { type: 2, wire: u32 } },
  { text: 'no way', offset: 36 },
)

test('decodeError() finds the words behind a whole or a capped request', (t) => {
  const expected = { errno: 22, text: 'no way', offset: 36 }
  const capped = message(2, 0x300, `eaffffff${echo}${hex(words)}`)
  t.deepEqual(decodeError(capped), expected)
  const whole = message(2, 0x200, `eaffffff${echo}${'00'.repeat(16)}${hex(words)}`)
  t.deepEqual(decodeError(whole), expected)
})

test('decodeError() reads success, with a warning or without', (t) => {
  t.deepEqual(decodeError(message(2, 0x100, `00000000${echo}`)), { errno: 0 })
  t.deepEqual(decodeError(message(2, 0x300, `00000000${echo}${hex(words)}`)), {
    errno: 0,
    text: 'no way',
    offset: 36,
  })
})

test('decodeError() refuses a reply that is too short', (t) => {
  t.throws(() => decodeError(message(2, 0, 'eaffffff')), {
    instanceOf: RangeError,
    message: 'reply has 4 bytes, 20 needed',
  })
})

test('decodeDone() reads how a dump ended', (t) => {
  t.deepEqual(decodeDone(message(3, 2, '')), { errno: 0 })
  t.deepEqual(decodeDone(message(3, 2, '00000000')), { errno: 0 })
  t.deepEqual(decodeDone(message(3, 2, '05000000')), { errno: 0 })
  t.deepEqual(decodeDone(message(3, 0x202, `edffffff${hex(words)}`)), {
    errno: 19,
    text: 'no way',
    offset: 36,
  })
  t.throws(() => decodeDone(message(3, 2, 'ffff')), { instanceOf: RangeError })
})

/** Runs a decoder on noise: it may refuse it, but only in the one way. */
function onlyRangeErrors(decode: () => unknown): boolean {
  try {
    decode()
    return true
  } catch (error) {
    return error instanceof RangeError
  }
}

test('the decoders answer noise with a value or a RangeError', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), uint(16), (data, flags) => {
      const noise = { type: 2, flags, sequence: 0, portId: 0, payload: data }
      return (
        onlyRangeErrors(() => decodeAttrs(table, data)) &&
        onlyRangeErrors(() => [...walkAttrs(data)]) &&
        onlyRangeErrors(() => decodeMessages(data)) &&
        onlyRangeErrors(() => decodeError(noise)) &&
        onlyRangeErrors(() => decodeDone(noise))
      )
    }),
    { numRuns: 2000 },
  )
  t.pass()
})

test('decodeEvents() answers noise in every type of message with events or a RangeError', (t) => {
  // Half of the noise is shaped as attributes, so that it gets past the first length.
  const shaped = fc.array(fc.tuple(uint(6), blob), { maxLength: 8 }).map((attrs) =>
    encode((out) => {
      out.bytes(new Uint8Array(16).fill(2))
      for (const [type, value] of attrs) writeAttr(out, { type, wire: bytes }, value)
    }),
  )
  const body = fc.oneof(shaped, fc.uint8Array({ maxLength: 120 }))
  fc.assert(
    fc.property(fc.integer({ min: 16, max: 31 }), body, (type, data) =>
      onlyRangeErrors(() => decodeEvents(encodeMessages([request(type, data)], 0, 0))),
    ),
    { numRuns: 3000 },
  )
  t.pass()
})
