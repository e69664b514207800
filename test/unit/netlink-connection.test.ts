import test from 'ava'
import fc from 'fast-check'
import {
  decodeMessages,
  encodeMessages,
  type Message,
  NLM_F_ACK,
  NLM_F_DUMP,
  type Request,
} from '../../netlink/codec/message.ts'
import { encodeAttrs } from '../../netlink/codec/table.ts'
import { str } from '../../netlink/codec/wire.ts'
import { Connection } from '../../netlink/connection.ts'
import { isErrno, NetlinkError } from '../../netlink/errors.ts'
import type { Socket } from '../../netlink/socket.ts'

const PORT = 4242

/** A kernel made of a function: it gets each datagram's messages and says what to answer. */
class FakeKernel implements Socket {
  readonly fd = -1
  readonly portId = PORT
  readonly sent: (readonly Message[])[] = []
  closed = false
  readonly #answer: (messages: readonly Message[], kernel: FakeKernel) => readonly Uint8Array[]
  readonly #queue: Uint8Array[] = []

  constructor(answer: (messages: readonly Message[], kernel: FakeKernel) => readonly Uint8Array[]) {
    this.#answer = answer
  }

  send(datagram: Uint8Array): void {
    const messages = decodeMessages(datagram)
    this.sent.push(messages)
    this.#queue.push(...this.#answer(messages, this))
  }

  receive(): Uint8Array {
    const datagram = this.#queue.shift()
    if (!datagram) throw Object.assign(new Error('recv: EAGAIN'), { errno: 11, code: 'EAGAIN' })
    return datagram
  }

  [Symbol.dispose](): void {
    this.closed = true
  }
}

interface Reply {
  readonly type?: number
  readonly flags?: number
  readonly portId?: number
  readonly sequence: number
  readonly body?: Uint8Array
}

function reply({ type = 16, flags = 0, portId = PORT, sequence, body }: Reply): Uint8Array {
  const request = { type, flags, body: body ?? new Uint8Array(0), op: '' }
  const datagram = encodeMessages([request], sequence, 0)
  new DataView(datagram.buffer).setUint32(12, portId, true)
  return datagram
}

function ack({ sequence }: Pick<Message, 'sequence'>, errno = 0, text?: string): Uint8Array {
  const words = text === undefined ? [] : encodeAttrs({ text: { type: 1, wire: str } }, { text })
  const body = new Uint8Array([...new Uint8Array(20), ...words])
  new DataView(body.buffer).setInt32(0, -errno, true)
  return reply({ type: 2, flags: text === undefined ? 0x100 : 0x300, sequence, body })
}

function value(sequence: number, text: string, flags = 2): Uint8Array {
  return reply({ sequence, flags, body: Buffer.from(text) })
}

function done(sequence: number, errno = 0, flags = 2): Uint8Array {
  const body = new Uint8Array(Int32Array.of(-errno).buffer)
  return reply({ type: 3, flags, sequence, body })
}

const join = (...datagrams: readonly Uint8Array[]) => Uint8Array.from(Buffer.concat(datagrams))

const change = (op: string, size = 4): Request => ({
  ...{ type: 16, flags: 0, body: new Uint8Array(size), op },
})
const question: Request<string> = {
  ...change('ask'),
  decode(_, payload) {
    const text = Buffer.from(payload).toString()
    if (text === 'bad') throw new RangeError('the object is bad')
    return text === 'other' ? undefined : text
  },
}

function caught(t: { throws: (body: () => unknown) => unknown }, body: () => unknown) {
  const error = t.throws(body)
  if (!(error instanceof NetlinkError)) throw new Error(`not a NetlinkError: ${String(error)}`)
  return error
}

test('execute() sends with ACK and REQUEST and returns when acknowledged', (t) => {
  const kernel = new FakeKernel((messages) => messages.map((message) => ack(message)))
  using connection = new Connection(kernel)
  connection.execute(change('do it'))
  connection.execute(change('do it again'))
  t.deepEqual(
    kernel.sent.map((messages) => messages.map(({ flags, sequence }) => ({ flags, sequence }))),
    [[{ flags: 5, sequence: 1 }], [{ flags: 5, sequence: 2 }]],
  )
})

test('execute() throws what the kernel refuses, with its words', (t) => {
  const kernel = new FakeKernel(([first]) => (first ? [ack(first, 17, 'Device exists')] : []))
  const error = caught(t, () => new Connection(kernel).execute(change('add link veth0')))
  t.like(error, { code: 'EEXIST', errno: 17, source: 'kernel', op: 'add link veth0' })
  t.is(error.extack, 'Device exists')
  t.is(error.message, 'Cannot add link veth0: already exists (EEXIST): Device exists')
  t.true(isErrno(error, 'ENOENT', 'EEXIST'))
  t.false(isErrno(error, 'ENOENT'))
  t.false(isErrno(new Error('EEXIST'), 'EEXIST'))
})

test('execute() gives an errno without a name its number', (t) => {
  const kernel = new FakeKernel(([first]) => (first ? [ack(first, 3999)] : []))
  const error = caught(t, () => new Connection(kernel).execute(change('do it')))
  t.is(error.message, 'Cannot do it: error 3999 (E3999)')
  t.false('extack' in error)
})

test('execute() passes over answers to others and to earlier requests', (t) => {
  const kernel = new FakeKernel(([first]) => {
    if (!first) return []
    const { sequence } = first
    return [
      ack({ sequence: sequence - 1 }, 1),
      ack({ sequence: sequence + 1 }, 1),
      reply({ type: 2, sequence, portId: 7, body: new Uint8Array(20).fill(0xff) }),
      reply({ sequence: 0, portId: 0, body: new Uint8Array(16) }),
      join(ack({ sequence: sequence - 1 }, 2), ack(first)),
    ]
  })
  t.notThrows(() => new Connection(kernel).execute(change('do it')))
})

test('execute() ends when nothing but stray messages come', (t) => {
  const kernel = new FakeKernel(([first]) =>
    Array.from({ length: 2000 }, () => ack({ sequence: (first?.sequence ?? 0) + 9 })),
  )
  const error = caught(t, () => new Connection(kernel).execute(change('do it')))
  t.is(error.code, 'EBADMSG')
})

test('execute() names what was being done when the socket fails', (t) => {
  const error = caught(t, () => new Connection(new FakeKernel(() => [])).execute(change('do it')))
  t.like(error, { code: 'EAGAIN', source: 'syscall', op: 'do it' })
  t.is(error.message, 'Cannot do it: no answer in time (EAGAIN): recv: EAGAIN')
  t.true(error.cause instanceof Error)
})

test('execute() stays usable after a failure, and takes no late answer for its own', (t) => {
  const kernel = new FakeKernel(([first], { sent }) =>
    first && sent.length > 1 ? [ack({ sequence: first.sequence - 1 }, 1), ack(first)] : [],
  )
  using connection = new Connection(kernel)
  t.throws(() => connection.execute(change('do it')))
  t.notThrows(() => connection.execute(change('do it')))
})

test('execute() calls bytes that are no message a malformed reply', (t) => {
  for (const bytes of [[], [1, 2, 3], new Uint8Array(16), new Uint8Array(15).fill(1)]) {
    const kernel = new FakeKernel(() => [Uint8Array.from(bytes)])
    const error = caught(t, () => new Connection(kernel).execute(change('do it')))
    // An empty datagram says nothing, so the wait goes on.
    t.is(error.code, bytes.length === 0 ? 'EAGAIN' : 'EBADMSG')
  }
  const cut = new FakeKernel(([first]) => (first ? [ack(first).slice(0, 20)] : []))
  t.is(caught(t, () => new Connection(cut).execute(change('do it'))).code, 'EBADMSG')
})

test('get() returns the decoded reply that comes before the acknowledgement', (t) => {
  const kernel = new FakeKernel(([first]) =>
    first ? [value(first.sequence, 'it', 0), ack(first)] : [],
  )
  t.is(new Connection(kernel).get(question), 'it')
})

test('get() throws ENOENT when there is nothing, or nothing that was asked for', (t) => {
  const empty = new FakeKernel((messages) => messages.map((message) => ack(message)))
  t.is(caught(t, () => new Connection(empty).get(question)).code, 'ENOENT')
  const other = new FakeKernel(([first]) =>
    first ? [value(first.sequence, 'other', 0), ack(first)] : [],
  )
  t.is(caught(t, () => new Connection(other).get(question)).code, 'ENOENT')
})

test('get() throws EBADMSG for an object it cannot read', (t) => {
  const kernel = new FakeKernel(([first]) =>
    first ? [value(first.sequence, 'bad', 0), ack(first)] : [],
  )
  const error = caught(t, () => new Connection(kernel).get(question))
  t.is(error.message, 'Cannot ask: malformed reply (EBADMSG): the object is bad')
})

test('get() lets a mistake in a decoder through as it is', (t) => {
  const kernel = new FakeKernel(([first]) =>
    first ? [value(first.sequence, 'it', 0), ack(first)] : [],
  )
  const decode = () => {
    throw new TypeError('a mistake')
  }
  t.throws(() => new Connection(kernel).get({ ...question, decode }), { instanceOf: TypeError })
})

test('dump() collects objects from many datagrams until the end', (t) => {
  const kernel = new FakeKernel(([first]) => {
    const { sequence } = first ?? { sequence: 0 }
    return [
      join(value(sequence, 'one'), value(sequence, 'two!'), value(sequence, 'other')),
      value(sequence, 'three'),
      done(sequence),
    ]
  })
  t.deepEqual(new Connection(kernel).dump(question), ['one', 'two!', 'three'])
  t.is(kernel.sent[0]?.[0]?.flags, 1 | NLM_F_DUMP)
})

test('dump() starts again when the objects changed meanwhile', (t) => {
  const kernel = new FakeKernel(([first], { sent }) => {
    const { sequence } = first ?? { sequence: 0 }
    if (sent.length === 1) return [value(sequence, 'old', 2 | 0x10), done(sequence)]
    if (sent.length === 2) return [value(sequence, 'old'), done(sequence, 0, 2 | 0x10)]
    if (sent.length === 3) return [value(sequence, 'old'), done(sequence, 4)]
    return [value(sequence, 'new'), done(sequence)]
  })
  t.deepEqual(new Connection(kernel).dump(question), ['new'])
  t.is(kernel.sent.length, 4)
})

test('dump() gives up after five attempts', (t) => {
  const kernel = new FakeKernel(([first]) => [done(first?.sequence ?? 0, 0, 2 | 0x10)])
  const error = caught(t, () => new Connection(kernel).dump(question))
  t.is(error.code, 'EINTR')
  t.is(kernel.sent.length, 5)
})

test('dump() throws the errno at the end of a dump', (t) => {
  const kernel = new FakeKernel(([first]) => [done(first?.sequence ?? 0, 19)])
  const error = caught(t, () => new Connection(kernel).dump(question))
  t.is(error.message, 'Cannot ask: no such device (ENODEV)')
})

test('dump() throws what is refused at once', (t) => {
  const kernel = new FakeKernel(([first]) => (first ? [ack(first, 22, 'Invalid header')] : []))
  const error = caught(t, () => new Connection(kernel).dump(question))
  t.like(error, { code: 'EINVAL', extack: 'Invalid header' })
})

test('dump() is empty when the kernel says so by the errno that the request names', (t) => {
  const kernel = new FakeKernel(([first]) => (first ? [ack(first, 2)] : []))
  t.deepEqual(new Connection(kernel).dump({ ...question, noneErrno: 2 }), [])
})

test('dump() reads to the end before it complains of a malformed object', (t) => {
  const kernel = new FakeKernel(([first], { sent }) => {
    const { sequence } = first ?? { sequence: 0 }
    const text = sent.length === 1 ? 'bad' : 'good'
    return [value(sequence, text), value(sequence, 'more'), done(sequence)]
  })
  using connection = new Connection(kernel)
  t.is(caught(t, () => connection.dump(question)).code, 'EBADMSG')
  t.deepEqual(connection.dump(question), ['good', 'more'])
})

test('batch() sends one datagram and returns each error by its index', (t) => {
  const kernel = new FakeKernel((messages) =>
    // Answers out of order, and two in one datagram.
    [
      join(...messages.slice(1).map((message, index) => ack(message, index === 0 ? 17 : 0))),
      ...messages.slice(0, 1).map((message) => ack(message, 0, 'a warning')),
    ],
  )
  const errors = new Connection(kernel).batch([change('one'), change('two'), change('three')])
  t.is(kernel.sent.length, 1)
  t.deepEqual(
    errors.map((error) => error?.message),
    [undefined, 'Cannot two: already exists (EEXIST)', undefined],
  )
})

test('batch() of nothing sends nothing', (t) => {
  const kernel = new FakeKernel(() => [])
  t.deepEqual(new Connection(kernel).batch([]), [])
  t.is(kernel.sent.length, 0)
})

test('batch() splits by number and by size, and keeps the order', (t) => {
  const kernel = new FakeKernel((messages) =>
    messages.map((message) => ack(message, message.sequence === 200 ? 1 : 0)),
  )
  const many = Array.from({ length: 301 }, (_, index) => change(`change ${index}`))
  const errors = new Connection(kernel).batch(many)
  t.deepEqual(
    kernel.sent.map(({ length }) => length),
    [150, 150, 1],
  )
  t.deepEqual(
    errors.flatMap((error) => error?.op ?? []),
    ['change 199'],
  )

  const big = new FakeKernel((messages) => messages.map((message) => ack(message)))
  const sizes = [10_000, 10_000, 10_000, 10_000, 60_000, 4]
  new Connection(big).batch(sizes.map((size) => change('big', size)))
  t.deepEqual(
    big.sent.map((messages) => messages.map(({ payload }) => payload.length)),
    [[10_000, 10_000, 10_000], [10_000], [60_000], [4]],
  )
})

test('batch() fails as a whole when answers are lost', (t) => {
  const kernel = new FakeKernel(([first]) => (first ? [ack(first)] : []))
  const error = caught(t, () =>
    new Connection(kernel).batch([change('one'), change('two'), change('three')]),
  )
  t.like(error, { code: 'EAGAIN', source: 'syscall', op: 'one and 2 more' })
})

test('batch() counts each answer once', (t) => {
  const kernel = new FakeKernel(([first, second]) =>
    first && second ? [ack(first), ack(first), ack(second, 1)] : [],
  )
  const errors = new Connection(kernel).batch([change('one'), change('two')])
  t.deepEqual(
    errors.map((error) => error?.code),
    [undefined, 'EPERM'],
  )
})

test('exchange() returns changes and answers side by side', (t) => {
  const kernel = new FakeKernel(([first, second]) =>
    first && second ? [ack(first), value(second.sequence, 'it', 0), ack(second)] : [],
  )
  const [changed, found] = new Connection(kernel).exchange([change('one'), question])
  const text: string | undefined = found.value
  t.is(text, 'it')
  t.deepEqual(changed, {})
})

const [begin, end] = [
  { ...change('begin'), type: 16 },
  { ...change('end'), type: 17 },
]

test('transact() asks for the acknowledgement of the last operation only', (t) => {
  const kernel = new FakeKernel((messages) =>
    messages.filter(({ flags }) => flags & NLM_F_ACK).map((message) => ack(message)),
  )
  const errors = new Connection(kernel).transact(begin, [change('one'), change('two')], end)
  t.deepEqual(errors, [undefined, undefined])
  t.deepEqual(
    kernel.sent.map((messages) => messages.map(({ flags }) => flags)),
    [[1, 1, 5, 1]],
  )
})

test('transact() of nothing sends nothing', (t) => {
  const kernel = new FakeKernel(() => [])
  t.deepEqual(new Connection(kernel).transact(begin, [], end), [])
  t.is(kernel.sent.length, 0)
})

test('transact() returns the error of each operation', (t) => {
  const kernel = new FakeKernel(([, first, , third]) =>
    first && third ? [ack(first, 17), ack(third)] : [],
  )
  const operations = [change('one'), change('two'), change('three')]
  const errors = new Connection(kernel).transact(begin, operations, end)
  t.deepEqual(
    errors.map((error) => error?.message),
    ['Cannot one: already exists (EEXIST)', undefined, undefined],
  )
})

test('transact() throws when the transaction as a whole is refused', (t) => {
  const kernel = new FakeKernel(([first]) => (first ? [ack(first, 85)] : []))
  const error = caught(t, () => new Connection(kernel).transact(begin, [change('one')], end))
  t.like(error, { code: 'ERESTART', op: 'begin' })
})

test('[Symbol.dispose]() closes the socket', (t) => {
  const kernel = new FakeKernel(() => [])
  new Connection(kernel)[Symbol.dispose]()
  t.true(kernel.closed)
})

test('every method ends on whatever comes, with an answer or a NetlinkError', (t) => {
  const noise = fc.oneof(
    fc.uint8Array({ maxLength: 80 }).map((bytes) => () => bytes),
    // Noise in a well-formed message that claims to be for us.
    fc
      .record({
        type: fc.integer({ min: 0, max: 20 }),
        flags: fc.nat({ max: 0xffff }),
        body: fc.uint8Array({ maxLength: 60 }),
      })
      .map((fields) => (sequence: number) => reply({ ...fields, sequence })),
  )
  const methods: readonly ((connection: Connection) => unknown)[] = [
    (connection) => connection.execute(change('do it')),
    (connection) => connection.get(question),
    (connection) => connection.dump(question),
    (connection) => connection.batch([change('one'), question, change('two')]),
    (connection) => connection.transact(begin, [change('one'), change('two')], end),
  ]
  fc.assert(
    fc.property(fc.array(noise, { maxLength: 8 }), fc.constantFrom(...methods), (all, method) => {
      const kernel = new FakeKernel(([first]) =>
        all.map((make, index) => make((first?.sequence ?? 0) + (index % 2))),
      )
      try {
        method(new Connection(kernel))
        return true
      } catch (error) {
        return error instanceof NetlinkError
      }
    }),
    { numRuns: 3000 },
  )
  t.pass()
})
