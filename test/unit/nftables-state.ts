/** A kernel whose tables change by what it is sent: for tests of what comes of it. */
import type { Message, Request } from '../../netlink/codec/message.ts'
import { str } from '../../netlink/codec/wire.ts'
import { getChain } from '../../netlink/nftables/chain.ts'
import {
  decodeMessage,
  elementListTable,
  families,
  type MessageName,
  messages,
  type TableRef,
} from '../../netlink/nftables/codec.ts'
import { listElements, type SetElement } from '../../netlink/nftables/element.ts'
import { listRules } from '../../netlink/nftables/rule.ts'
import { listSets } from '../../netlink/nftables/set.ts'
import { getTable } from '../../netlink/nftables/table.ts'
import type { ChainSpec, SetSpec, TableSpec } from '../../netlink/nftables/table-spec.ts'
import { FakeNftables } from './fake-nftables.ts'

const NLM_F_EXCL = 0x200
const ENOENT = 2
const EEXIST = 17

/** A kernel that carries out what it is sent, all of a transaction or nothing. */
export function livingNftables(...tables: TableSpec[]): FakeNftables {
  const kernel = new FakeNftables(...tables)
  kernel.judge = (operations) => {
    let next = kernel.tables
    const errors = operations.map((operation) => {
      const result = apply(next, operation)
      if (typeof result === 'number') return result
      next = result
      return 0
    })
    if (errors.every((errno) => errno === 0)) kernel.tables = next
    return errors
  }
  return kernel
}

const any: TableRef = { family: 'inet', name: '' }

function read<R>({ decode }: Request<R>, { type, payload }: Message): R {
  const value = decode?.(type, payload)
  if (value === undefined) throw new Error('an operation without content')
  return value
}

/** The tables after one operation, or why it is refused. */
function apply(tables: TableSpec[], operation: Message): TableSpec[] | number {
  const names = Object.keys(messages) as MessageName[]
  const name = names.find((key) => messages[key] === (operation.type & 0xff))
  if (name === 'newTable') {
    const table = read(getTable(any), operation)
    if (tables.some((other) => isSame(other, table))) return tables
    return [...tables, { ...table, sets: [], chains: [] }]
  }
  const ref = tableOf(operation)
  const table = tables.find((other) => isSame(other, ref))
  if (!table) return ENOENT
  if (name === 'deleteTable') return tables.filter((other) => other !== table)
  const changed = changeTable(table, name, operation)
  return typeof changed === 'number'
    ? changed
    : tables.map((other) => (other === table ? changed : other))
}

/** The table's name has the same number in every message. */
const nameTable = { table: { type: 1, wire: str } } as const

function tableOf({ payload }: Message): TableRef {
  const { attrs, family = 'inet' } = decodeMessage(nameTable, payload)
  return { family, name: attrs.table ?? '' }
}

function isSame(a: TableRef, b: TableRef): boolean {
  return families[a.family] === families[b.family] && a.name === b.name
}

function changeTable(
  table: TableSpec,
  name: MessageName | undefined,
  operation: Message,
): TableSpec | number {
  const { sets, chains } = table
  if (name === 'newChain') {
    const { chain } = read(getChain(any, ''), operation)
    if (chains.some((other) => other.name === chain.name)) return table
    return { ...table, chains: [...chains, { ...chain, rules: [] }] }
  }
  if (name === 'newSet') {
    const set = read(listSets(any), operation)
    if (sets.some((other) => other.name === set.name)) return table
    return { ...table, sets: [...sets, { ...set, elements: [] }] }
  }
  if (name === 'newRule') {
    const { chain, rule } = read(listRules(any), operation)
    const known = chains.find((other) => other.name === chain)
    if (!known) return ENOENT
    const changed: ChainSpec = { ...known, rules: [...known.rules, rule] }
    return { ...table, chains: chains.map((other) => (other === known ? changed : other)) }
  }
  if (name !== 'newElement' && name !== 'deleteElement') {
    throw new Error(`the living kernel knows no ${name}`)
  }
  const set = decodeMessage(elementListTable, operation.payload).attrs.set
  const known = sets.find((other) => other.name === set)
  if (!known) return ENOENT
  const changed = changeSet(table, known, operation)
  if (typeof changed === 'number') return changed
  return { ...table, sets: sets.map((other) => (other === known ? changed : other)) }
}

function changeSet(table: TableSpec, set: SetSpec, operation: Message): SetSpec | number {
  const isNew = (operation.type & 0xff) === messages.newElement
  let { elements } = set
  for (const element of read(listElements({ table: any, set: '' }), operation)) {
    const there = elements.find((other) => sameKey(other, element))
    if (isNew && leadsNowhere(table, element)) return ENOENT
    if (isNew && there && operation.flags & NLM_F_EXCL) return EEXIST
    if (!isNew && !there) return ENOENT
    if (isNew && !there) elements = [...elements, element]
    if (!isNew) elements = elements.filter((other) => other !== there)
  }
  return { ...set, elements }
}

/** The two bounds of an interval may be the same key as another one's. */
function sameKey(a: SetElement, b: SetElement): boolean {
  return a.key.join('.') === b.key.join('.') && a.intervalEnd === b.intervalEnd
}

function leadsNowhere({ chains }: TableSpec, { data }: SetElement): boolean {
  if (!data || data instanceof Uint8Array || data.chain === undefined) return false
  const { chain } = data
  return !chains.some(({ name }) => name === chain)
}
