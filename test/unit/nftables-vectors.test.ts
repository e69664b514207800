import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import {
  decodeMessages,
  encodeMessages,
  type Message,
  type Request,
} from '../../netlink/codec/message.ts'
import { listChains } from '../../netlink/nftables/chain.ts'
import {
  batchMessage,
  decodeMessage,
  elementListTable,
  type MessageName,
  messages,
  NFNL_SUBSYS_NFTABLES,
  type TableRef,
} from '../../netlink/nftables/codec.ts'
import { listElements } from '../../netlink/nftables/element.ts'
import { decodeRulesetEvents } from '../../netlink/nftables/events.ts'
import { renderTable } from '../../netlink/nftables/render.ts'
import { renderRule } from '../../netlink/nftables/render-rule.ts'
import { addRule, deleteRule, listRules } from '../../netlink/nftables/rule.ts'
import { listSets } from '../../netlink/nftables/set.ts'
import { deleteTable, listTables } from '../../netlink/nftables/table.ts'
import { createTable, sameTable, type TableSpec } from '../../netlink/nftables/table-spec.ts'
import { daemonSample, pluginSample, portsSample } from '../vectors/nftables/samples.ts'

interface Vector {
  readonly sent: readonly string[]
  readonly received?: readonly string[]
}

const folder = join(import.meta.dirname, '../vectors/nftables')
const vector = (name: string) =>
  JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')) as Vector
const rules = (name: string) => readFileSync(join(folder, `${name}.nft`), 'utf8')

function messagesOf(datagrams: readonly string[] = []): Message[] {
  return datagrams
    .flatMap((hex) => decodeMessages(Uint8Array.from(Buffer.from(hex, 'hex'))))
    .filter(({ type }) => type >> 8 === NFNL_SUBSYS_NFTABLES)
}

/** Reads a message as the reply to this request. */
function read<R>({ decode, op }: Request<R>, { type, payload }: Message): R {
  if (!decode) throw new Error(`nothing is read of: ${op}`)
  const value = decode(type, payload)
  if (value === undefined) throw new Error(`not a reply to: ${op}`)
  return value
}

const ref: TableRef = { family: 'inet', name: 'any' }

/** Puts a table together from the messages that make it, or that a dump tells of it. */
function tableOf(datagrams: readonly string[] = []): TableSpec {
  const found = messagesOf(datagrams)
  const named = (name: MessageName) => found.filter(({ type }) => (type & 0xff) === messages[name])
  const [table] = named('newTable').map((message) => read(listTables(), message))
  if (!table) throw new Error('no table among the messages')
  // The decoder of elements leaves the set's name out: who asks knows it.
  const elements = named('newElement').map((message) => ({
    set: decodeMessage(elementListTable, message.payload).attrs.set,
    elements: read(listElements({ table: ref, set: 'any' }), message),
  }))
  const rules = named('newRule').map((message) => read(listRules(ref), message))
  return {
    ...table,
    sets: named('newSet')
      .map((message) => read(listSets(ref), message))
      .map((set) => ({
        ...set,
        elements: elements.filter((e) => e.set === set.name).flatMap((e) => e.elements),
      })),
    chains: named('newChain')
      .map((message) => read(listChains(), message).chain)
      .map((chain) => ({
        ...chain,
        rules: rules.filter((rule) => rule.chain === chain.name).map(({ rule }) => rule),
      })),
  }
}

for (const [name, sample] of [
  ['daemon', daemonSample],
  ['plugin', pluginSample],
  ['ports', portsSample],
] as const) {
  test(`renderTable: the ${name}'s table reads as the approved text`, (t) => {
    t.is(`${renderTable(sample)}\n`, rules(name))
  })

  test(`createTable: nft sends the same for the text of the ${name}'s table`, (t) => {
    const theirs = tableOf(vector(name).sent)
    t.true(sameTable(theirs, sample))
  })

  test(`sameTable: what the kernel tells of the ${name}'s table equals what was wanted`, (t) => {
    t.true(sameTable(tableOf(vector(name).received), sample))
  })
}

test('createTable: the bytes of the samples are the approved ones', (t) => {
  const ours = [daemonSample, pluginSample, portsSample].map((sample) =>
    Buffer.from(encodeMessages(createTable(sample), 1, 0)).toString('hex'),
  )
  t.deepEqual(ours, vector('approved').sent as string[])
})

test('decode: reads maps, verdicts, concatenations and comments as nft and the kernel write them', (t) => {
  for (const datagrams of [vector('rich').sent, vector('rich').received]) {
    const table = tableOf(datagrams)
    t.like(table, { family: 'inet', name: 'rich', comment: 'all kinds' })
    const [fixed, ports, places, strangers] = ['fixed6', 'ports', 'places', 'strangers'].map(
      (name) => table.sets.find((set) => set.name === name),
    )
    t.like(fixed, { key: ['ipv6_addr'], flags: ['constant', 'interval'] })
    t.like(ports, { key: ['inet_proto', 'inet_service'], data: ['ipv4_addr', 'inet_service'] })
    const tcp = ports?.elements.find(({ comment }) => comment === 'ctr1')
    t.deepEqual(tcp, {
      key: Uint8Array.of(6, 0, 0, 0, 0x1f, 0x90, 0, 0),
      data: Uint8Array.of(10, 1, 1, 1, 0, 80, 0, 0),
      comment: 'ctr1',
    })
    t.like(places, { key: ['ipv4_addr', 'inet_service'], data: 'verdict', flags: ['interval'] })
    const jump = places?.elements.find(({ key }) => key[5] === 22)
    t.deepEqual(jump, {
      key: Uint8Array.of(10, 1, 0, 0, 0, 22, 0, 0),
      keyEnd: Uint8Array.of(10, 1, 0, 9, 0, 22, 0, 0),
      data: { code: 'jump', chain: 'other' },
    })
    t.like(strangers, { key: ['ether_addr'] })
    const pre = table.chains.find(({ name }) => name === 'pre')
    t.like(pre, {
      comment: 'the way in',
      base: { type: 'nat', hook: 'prerouting', priority: -100, policy: 'accept' },
    })
    t.is(pre?.rules[2]?.comment, 'known')
  }
})

test('decodeRulesetEvents: reads of each object what it is and in which table', (t) => {
  // What the kernel tells of a change has the form of what it answers when asked.
  const events = (vector('ports').received ?? []).flatMap((hex) =>
    decodeRulesetEvents(Uint8Array.from(Buffer.from(hex, 'hex'))),
  )
  const objects = events.flatMap((event) => (event.kind === 'generation' ? [] : event))
  t.true(objects.every(({ table, family }) => table === 'ports' && family === 'inet'))
  t.true(objects.every(({ gone }) => !gone))
  const kinds = new Set(objects.map(({ kind }) => kind))
  t.deepEqual([...kinds].toSorted(), ['chain', 'element', 'rule', 'set', 'table'])
  const [generation] = events.flatMap((event) => (event.kind === 'generation' ? event.id : []))
  t.true(generation !== undefined && generation > 0)
})

test('decodeRulesetEvents: what goes is told apart, what is unknown left out', (t) => {
  const remove = (request: Request) => decodeRulesetEvents(encodeMessages([request], 0, 0))
  t.deepEqual(remove(deleteTable({ family: 'ip6', name: 'x' })), [
    { kind: 'table', gone: true, family: 'ip6', table: 'x' },
  ])
  t.deepEqual(remove(deleteRule(ref, 'any')), [
    { kind: 'rule', gone: true, family: 'inet', table: 'any' },
  ])
  t.deepEqual(remove(batchMessage('begin')), [])
  t.throws(() => decodeRulesetEvents(Uint8Array.of(1, 2, 3)), { instanceOf: RangeError })
})

test('renderRule: names in brackets what it does not know how to print', (t) => {
  const chain = tableOf(vector('rich').sent).chains.find(({ name }) => name === 'pre')
  t.deepEqual(
    chain?.rules.map((rule) => renderRule(rule, 'inet')),
    [
      'fib daddr type local dnat ip to meta l4proto . th dport map @ports',
      'ct status dnat [meta]',
      'meta l4proto tcp th dport >= 80 th dport <= 90 ct state & 0x06000000 != 0x00000000 accept comment "known"',
      'iifname "cni0" jump other',
      'meta l4proto tcp ip daddr . th dport vmap @places',
      'ip6 daddr fc00::1 meta l4proto tcp [range] [immediate] [immediate] [dnat ip6]',
      'meta 8 0x0100 @link,6,6 @strangers [limit] [log]',
    ],
  )
})

test('addRule: a rule that nft wrote survives decoding and encoding, unknown parts too', (t) => {
  for (const name of ['daemon', 'plugin', 'ports', 'rich']) {
    for (const { rules } of tableOf(vector(name).received).chains) {
      for (const rule of rules) {
        const { type, body } = addRule(ref, 'any', rule)
        const message = { type, flags: 0, sequence: 0, portId: 0, payload: body }
        t.deepEqual(read(listRules(ref), message).rule, rule)
      }
    }
  }
})
