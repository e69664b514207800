import test from 'ava'
import { Connection } from '../../netlink/connection.ts'
import { NetlinkError } from '../../netlink/errors.ts'
import { addChain } from '../../netlink/nftables/chain.ts'
import type { TableRef } from '../../netlink/nftables/codec.ts'
import { addElements, flushSet } from '../../netlink/nftables/element.ts'
import { addTable, deleteTable } from '../../netlink/nftables/table.ts'
import { readTable, sameTable } from '../../netlink/nftables/table-spec.ts'
import { applyTransaction, tryTransaction } from '../../netlink/nftables/transaction.ts'
import { daemonSample, pluginSample } from '../vectors/nftables/samples.ts'
import { FakeNftables } from './fake-nftables.ts'

const ref: TableRef = { family: 'inet', name: 'mine' }
const set = { table: ref, set: 'hosts' }

test('applyTransaction: names the first operation that failed, not those that failed for want of it', (t) => {
  const kernel = new FakeNftables()
  kernel.judge = () => [0, 16, 2, 0]
  const operations = [
    addTable(ref),
    addChain(ref, { name: 'way' }),
    flushSet(set),
    addChain(ref, { name: 'other' }),
  ]
  const error = t.throws(() => applyTransaction(new Connection(kernel), operations), {
    instanceOf: NetlinkError,
  })
  t.like(error, { op: 'add chain inet mine way', code: 'EBUSY', source: 'kernel' })
})

test('tryTransaction: tells each operation’s error by its place', (t) => {
  const kernel = new FakeNftables()
  kernel.judge = () => [0, 17, 0]
  const operations = [addTable(ref), deleteTable(ref), addTable(ref)]
  const errors = tryTransaction(new Connection(kernel), operations)
  t.deepEqual(
    errors.map((error) => error?.code),
    [undefined, 'EEXIST', undefined],
  )
})

test('applyTransaction: with an outdated generation nothing is even looked at', (t) => {
  const kernel = new FakeNftables()
  const connection = new Connection(kernel)
  t.throws(() => applyTransaction(connection, [addTable(ref)], { generation: 7 }), {
    message: /nftables transaction.*ERESTART/,
  })
  t.deepEqual(kernel.transactions, [])
  t.notThrows(() => applyTransaction(connection, [addTable(ref)], { generation: 1 }))
})

test('addElements: parts many elements into messages that fit', (t) => {
  const elements = Array.from({ length: 1000 }, (_, index) => ({
    key: Uint8Array.of(10, 0, index >> 8, index & 0xff),
    comment: 'x'.repeat(127),
  }))
  const requests = addElements(set, elements)
  t.true(requests.length > 1)
  for (const { body } of requests) t.true(body.length < 0xffff)
  t.deepEqual(addElements(set, []), [])
})

test('readTable: gives back what createTable makes, of the one table that is asked for', (t) => {
  const connection = new Connection(new FakeNftables(daemonSample, pluginSample))
  for (const sample of [daemonSample, pluginSample]) {
    const { table } = readTable(connection, sample)
    t.true(table !== undefined && sameTable(table, sample))
  }
  t.is(readTable(connection, ref).table, undefined)
})

test('sameTable: sees every difference that matters and no other', (t) => {
  const { sets, chains } = daemonSample
  const [first, ...others] = chains
  if (!first) throw new Error('the sample has no chain')
  const reversed = { ...daemonSample, sets: [...sets].reverse(), chains: [...chains].reverse() }
  t.true(sameTable(daemonSample, reversed))
  t.false(sameTable(daemonSample, { ...daemonSample, comment: 'heddle v=0' }))
  t.false(sameTable(daemonSample, { ...daemonSample, sets: sets.slice(1) }))
  const swapped = { ...first, rules: [...first.rules].reverse() }
  t.false(sameTable(daemonSample, { ...daemonSample, chains: [swapped, ...others] }))
  const emptied = sets.map((set) => ({ ...set, elements: set.elements.slice(1) }))
  t.false(sameTable(daemonSample, { ...daemonSample, sets: emptied }))
})
