/** What the model kernel keeps of nftables: the messages that made each object, as they came. */
import { walkAttrs } from '../../netlink/codec/table.ts'
import { str } from '../../netlink/codec/wire.ts'
import { bytesKey, rawAttrs } from './model-wire.ts'

/** struct nfgenmsg */
export const HEADER = 4

/** A rule's or an element's message, or part of it, as it was sent. */
export interface Held {
  readonly body: Uint8Array
  readonly handle: number
}

/** A chain with its rules or a set with its elements; `family name` of the table is before the name. */
export interface Holder {
  readonly table: string
  readonly name: string
  readonly body: Uint8Array
  readonly held: Map<string, Held>
}

export interface Ruleset {
  generation: number
  nextHandle: number
  readonly tables: Map<string, Uint8Array>
  readonly chains: Map<string, Holder>
  readonly sets: Map<string, Holder>
}

export function newRuleset(): Ruleset {
  return {
    generation: 1,
    nextHandle: 1,
    tables: new Map(),
    chains: new Map(),
    sets: new Map(),
  }
}

export function rulesetLines({ tables, chains, sets }: Ruleset): string[] {
  const lines = [...tables.keys()].map((name) => `table ${name}`)
  for (const [what, holders] of [['chain', chains] as const, ['set', sets] as const]) {
    for (const [name, { body, held }] of holders) {
      lines.push(`${what} ${name} ${bytesKey(body)}`)
      for (const [key, one] of held) {
        const mark = what === 'set' && hasComment(one.body) ? ' owned' : ''
        lines.push(`${what} ${name} holds ${key} ${bytesKey(one.body)}${mark}`)
      }
    }
  }
  return lines
}

/** NFTA_SET_ELEM_USERDATA, and its NFTNL_UDATA_SET_ELEM_COMMENT: an owner's element has one. */
function hasComment(element: Uint8Array): boolean {
  return rawAttrs(element).get(6)?.[0] === 0
}

export function copyOf(ruleset: Ruleset): Ruleset {
  const copy = (holders: ReadonlyMap<string, Holder>) =>
    new Map([...holders].map(([key, one]) => [key, { ...one, held: new Map(one.held) }]))
  const { tables, chains, sets } = ruleset
  return { ...ruleset, tables: new Map(tables), chains: copy(chains), sets: copy(sets) }
}

function text(payload: Uint8Array | undefined): string {
  return payload ? str.read(payload) : ''
}

/** Which table a message is about, and which object in it. */
export interface About {
  readonly family: number
  readonly table: string
  readonly name: string
  readonly attrs: ReadonlyMap<number, Uint8Array>
}

/** Where the name of an object is: tables have it first, sets and chains after the table's. */
export function read(payload: Uint8Array, nameAttr: number): About {
  const attrs = rawAttrs(payload.subarray(HEADER))
  const family = payload[0] ?? 0
  const table = `${family} ${text(attrs.get(1))}`
  return { family, table, name: `${table} ${text(attrs.get(nameAttr))}`, attrs }
}

export function elementsOf(list: Uint8Array | undefined): Uint8Array[] {
  return list ? Array.from(walkAttrs(list), ({ payload }) => payload) : []
}

/** Elements are told apart by their key, its end, and whether they end an interval. */
export function elementKey(element: Uint8Array): string {
  const attrs = rawAttrs(element)
  return [1, 10, 3].map((type) => bytesKey(attrs.get(type) ?? new Uint8Array(0))).join('-')
}
