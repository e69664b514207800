import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import fc from 'fast-check'
import { ifinfomsg } from '../../netlink/codec/ifinfo.ts'
import { linkTable } from '../../netlink/codec/link.ts'
import { decodeMessages, type Message } from '../../netlink/codec/message.ts'
import { u32Options } from '../../netlink/codec/mirred.ts'
import { decodeBody } from '../../netlink/codec/struct.ts'
import {
  fifo,
  fqCodel,
  RTM_NEWQDISC,
  tbf,
  tcmsg,
  trafficTable,
} from '../../netlink/codec/traffic.ts'
import { type Filter, listIngressFilters } from '../../netlink/filter.ts'
import { decodeLink, deleteLinks, type Link, listLinks } from '../../netlink/link.ts'
import {
  handle,
  listQdiscs,
  type Qdisc,
  type QdiscSpec,
  replaceQdisc,
} from '../../netlink/qdisc.ts'
import { trafficCases, trafficUndoCases } from '../vectors/netlink/traffic-cases.ts'

interface Recorded {
  readonly requests: readonly {
    readonly name: string
    readonly theirs: string
    readonly ours: { readonly type: number; readonly flags: number; readonly body: string }
  }[]
  readonly replies: readonly {
    readonly name: string
    readonly received: readonly string[]
    readonly printed: unknown
  }[]
}

const file = join(import.meta.dirname, '../vectors/netlink/recorded.json')
const recorded = JSON.parse(readFileSync(file, 'utf8')) as Recorded

const messagesOf = (...datagrams: readonly string[]): Message[] =>
  datagrams.flatMap((hex) => decodeMessages(Uint8Array.from(Buffer.from(hex, 'hex'))))

const optionsOf: Readonly<Record<string, { read(bytes: Uint8Array): unknown }>> = {
  tbf,
  fq_codel: fqCodel,
  bfifo: fifo,
  u32: u32Options,
}

/** A request by its meaning. The connection, not the builder, sets NLM_F_REQUEST and NLM_F_ACK. */
function meaning({ type, flags, payload }: Pick<Message, 'type' | 'flags' | 'payload'>): object {
  const about = { type, flags: flags & ~5 }
  if (type < RTM_NEWQDISC) return { ...about, ...decodeBody(ifinfomsg, linkTable, payload) }
  const { header, attrs } = decodeBody(tcmsg, trafficTable, payload)
  const { kind = '', options } = attrs
  return { ...about, header, kind, options: options && optionsOf[kind]?.read(options) }
}

/** tc computes a table of times that the kernel no longer asks for, and says by which steps. */
const steps = { cellLog: 3, cellAlign: 0xffff }

/** What iproute2 says beyond what we say, or in other words. */
const differences: Readonly<Record<string, object>> = {
  // The number of the descriptor.
  'macvlan born in another namespace': { attrs: { netnsFd: 4 } },
  tbf: { options: { parameters: steps } },
  // tc counts the bucket in whole microseconds of about a percent.
  'tbf of more than 34 Gbit/s': { options: { parameters: { ...steps, buffer: 0xe29 } } },
  // What is in the place is meant, whatever its name.
  'ingress deleted': { header: { handle: handle(0xffff) }, kind: 'ingress' },
}

function patched(base: unknown, patch: object = {}): unknown {
  const result = { ...(base as Record<string, unknown>) }
  for (const [key, value] of Object.entries(patch)) {
    result[key] = typeof value === 'object' ? patched(result[key], value as object) : value
  }
  return result
}

for (const { name, ours } of [...trafficCases, ...trafficUndoCases]) {
  test(`requests: ${name} is as iproute2 asks for it, and as approved`, (t) => {
    const vector = recorded.requests.find((candidate) => candidate.name === name)
    const [theirs] = messagesOf(vector?.theirs ?? '')
    if (!vector || !theirs) return t.fail('not recorded: run test/vectors/netlink/capture.ts')
    const { type, flags, body } = ours
    const expected = patched(meaning({ type, flags, payload: body }), differences[name])
    t.deepEqual(meaning(theirs), expected)
    t.like(vector.ours, { type, flags, body: Buffer.from(body).toString('hex') })
  })
}

function reply(name: string) {
  const found = recorded.replies.find((each) => each.name === name)
  if (!found) throw new Error(`${name} is not recorded`)
  return { messages: messagesOf(...found.received), printed: found.printed }
}

function answers<T>(name: string, decode: ((type: number, payload: Uint8Array) => T) | undefined) {
  return reply(name).messages.flatMap(({ type, payload }) =>
    type < 16 ? [] : (decode?.(type, payload) ?? []),
  )
}

const links = answers('macvlans and ifbs', (_, payload): Link => decodeLink(payload))
const indexOf = (name: string) => links.find((link) => link.name === name)?.index ?? -1

test('decodeLink: reads kind, alias and group, and how a macvlan works', (t) => {
  t.like(
    links.find(({ name }) => name === 'ifb0'),
    { kind: 'ifb', alias: 'heddle:brnet:c1', group: 7, mtu: 1400 },
  )
  t.like(
    links.find(({ name }) => name === 'mv0'),
    {
      kind: 'macvlan',
      linkIndex: indexOf('br0'),
      macvlan: { mode: 'bridge', bcQueueLength: 2000 },
    },
  )
  const veth = links.find(({ name }) => name === 'veth0')
  t.false(veth && ('alias' in veth || 'group' in veth), 'where there is none')
})

test('listQdiscs: reads qdiscs as tc does', (t) => {
  const found = answers('qdiscs', listQdiscs().decode).filter(({ kind }) => kind !== 'noqueue')
  const [veth, ifb] = [indexOf('veth0'), indexOf('ifb0')]
  t.deepEqual(found, [
    { index: veth, handle: 0x10000, kind: 'tbf', tbf: { rate: 1e6, burst: 20000, limit: 45000 } },
    {
      index: veth,
      handle: 0x100000,
      parent: 0x10001,
      kind: 'bfifo',
      bfifo: { limit: 50000 },
    },
    { index: veth, handle: 0xffff0000, kind: 'ingress' },
    { index: ifb, handle: 0x10000, kind: 'tbf', tbf: { rate: 1e10, burst: 999_680, limit: 2e6 } },
  ] satisfies Qdisc[])
  t.is(answers('qdiscs', listQdiscs({ index: ifb }).decode).length, 1, 'of one link only')
})

test('listIngressFilters: reads where packets are sent, and no tables of filters', (t) => {
  const found = answers('filters', listIngressFilters({ index: indexOf('veth0') }).decode)
  const filter: Filter = {
    index: indexOf('veth0'),
    priority: 1,
    kind: 'u32',
    redirectsTo: indexOf('ifb0'),
  }
  t.deepEqual(found, [filter])
})

test('listLinks: leaves out other kinds, which a kernel without this kind answers', (t) => {
  const names = answers('macvlans and ifbs', listLinks({ kind: 'ifb' }).decode)
  t.deepEqual(
    names.map(({ name }) => name),
    ['ifb0'],
  )
})

test('deleteLinks: refuses the group that every link is in at first', (t) => {
  t.throws(() => deleteLinks({ group: 0 }), { instanceOf: RangeError })
})

test('replaceQdisc: what is asked for is read back, whatever the numbers', (t) => {
  const bytes = fc.integer({ min: 1, max: 0xffffffff })
  const place = { index: 5, parent: handle(1, 1), handle: handle(2) }
  const spec: fc.Arbitrary<QdiscSpec> = fc
    .oneof(
      fc.record({ kind: fc.constant('bfifo' as const), limit: bytes }),
      fc.record(
        {
          kind: fc.constant('fq_codel' as const),
          limit: bytes,
          flows: bytes,
          targetMicroseconds: bytes,
          intervalMicroseconds: bytes,
          quantum: bytes,
          memoryLimit: bytes,
          ecn: fc.boolean(),
        },
        { requiredKeys: ['kind'] },
      ),
    )
    .map((discipline) => ({ ...place, ...discipline }))
  fc.assert(
    fc.property(spec, (wanted) => {
      const { kind, index, parent, handle: own, ...rest } = wanted
      const found = listQdiscs().decode?.(RTM_NEWQDISC, replaceQdisc(wanted).body)
      const key = kind === 'bfifo' ? 'bfifo' : 'fqCodel'
      t.deepEqual<unknown, unknown>(found, { index, parent, handle: own, kind, [key]: rest })
    }),
  )
})

test('replaceQdisc: a tbf keeps its rate to the byte, its burst to a tick of 64 ns', (t) => {
  const rate = fc.integer({ min: 1, max: 2 ** 40 })
  const burst = fc.integer({ min: 1500, max: 2 ** 31 })
  fc.assert(
    fc.property(rate, burst, burst, (bytesPerSecond, size, limit) => {
      // Longer than the kernel's 32 bits of ticks, which it counts for show only.
      fc.pre(size / bytesPerSecond < 270)
      const spec = { kind: 'tbf', index: 5, rate: bytesPerSecond, burst: size, limit } as const
      const found = listQdiscs().decode?.(RTM_NEWQDISC, replaceQdisc(spec).body)?.tbf
      t.is(found?.rate, bytesPerSecond)
      t.is(found?.limit, limit)
      const tick = Math.ceil((bytesPerSecond * 64) / 1e9)
      t.true(Math.abs((found?.burst ?? 0) - size) <= tick)
    }),
  )
})
