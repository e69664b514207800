import type { Request } from '../codec/message.ts'
import type { Connection } from '../connection.ts'
import { NetlinkError } from '../errors.ts'
import { addChain, type Chain, listChains } from './chain.ts'
import type { TableRef } from './codec.ts'
import { addElements, listElements, type SetElement } from './element.ts'
import { find } from './find.ts'
import { addRule, listRules, type Rule } from './rule.ts'
import { addSet, listSets, type NftSet } from './set.ts'
import { addTable, getGeneration, getTable, type Table } from './table.ts'

export interface SetSpec extends NftSet {
  readonly elements: readonly SetElement[]
}

export interface ChainSpec extends Chain {
  readonly rules: readonly Rule[]
}

/** A whole table as plain data: what is wanted, or what the kernel has. */
export interface TableSpec extends Table {
  readonly sets: readonly SetSpec[]
  readonly chains: readonly ChainSpec[]
}

/** What was read, and the generation it holds for. */
export interface TableReading {
  readonly table: TableSpec | undefined
  readonly generation: number
}

/** The operations that make the table and all in it, for a transaction in which it is new. */
export function createTable(spec: TableSpec): Request[] {
  const late = spec.sets.filter(({ data }) => data === 'verdict')
  return [
    addTable(spec),
    ...spec.sets.flatMap((set) => (late.includes(set) ? addSet(spec, set) : createSet(spec, set))),
    // Every chain before any rule or element that jumps to it.
    ...spec.chains.map((chain) => addChain(spec, chain)),
    ...late.flatMap(({ name, elements }) => addElements({ table: spec, set: name }, elements)),
    ...spec.chains.flatMap(({ name, rules }) => rules.map((rule) => addRule(spec, name, rule))),
  ]
}

/** The operations that make one set and fill it. */
export function createSet(table: TableRef, set: SetSpec): Request[] {
  return [addSet(table, set), ...addElements({ table, set: set.name }, set.elements)]
}

const READ_ATTEMPTS = 5

/**
 * Reads a whole table, or undefined if it is not there. The parts are of one generation: a reading
 * that was overtaken is done again. Throws `NetlinkError` EINTR if that happens every time.
 */
export function readTable(connection: Connection, { family, name }: TableRef): TableReading {
  for (let attempt = 1; attempt <= READ_ATTEMPTS; attempt++) {
    const generation = connection.get(getGeneration())
    const table = readParts(connection, { family, name })
    if (connection.get(getGeneration()) === generation) return { table, generation }
  }
  const op = `read table ${family} ${name}`
  throw new NetlinkError({ op, errno: 4, source: 'kernel', extack: 'the ruleset keeps changing' })
}

function readParts(connection: Connection, ref: TableRef): TableSpec | undefined {
  const table = find(connection, getTable(ref))
  if (!table) return undefined
  const rules = connection.dump(listRules(ref))
  const chains = connection.dump(listChains(ref.family)).filter((c) => c.table.name === ref.name)
  return {
    ...table,
    sets: connection.dump(listSets(ref)).map((set) => ({
      ...set,
      elements: connection.dump(listElements({ table: ref, set: set.name })).flat(),
    })),
    chains: chains.map(({ chain }) => ({
      ...chain,
      rules: rules.filter((listed) => listed.chain === chain.name).map(({ rule }) => rule),
    })),
  }
}

/** Whether two tables are the same; the order of sets, of elements and of chains means nothing. */
export function sameTable(a: TableSpec, b: TableSpec): boolean {
  return canonicalText(a) === canonicalText(b)
}

function canonicalText(table: TableSpec): string {
  const sets = table.sets.map((set) => ({ ...set, elements: set.elements.map(toText).sort() }))
  return toText({
    ...table,
    sets: sets.map(toText).sort(),
    chains: table.chains.map(toText).sort(),
  })
}

/** JSON with the keys of objects in order, and bytes as a list of numbers. */
function toText(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => {
    if (part instanceof Uint8Array) return Array.from(part)
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}
