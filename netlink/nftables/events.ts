import { decodeMessages } from '../codec/message.ts'
import { nfgenmsg } from '../codec/nfnetlink.ts'
import { decodeBody } from '../codec/struct.ts'
import { str } from '../codec/wire.ts'
import {
  decodeMessage,
  families,
  generationTable,
  messages,
  NFNL_SUBSYS_NFTABLES,
  type TableFamily,
} from './codec.ts'

/** NFNLGRP_NFTABLES, uapi/linux/netfilter/nfnetlink.h: what a socket joins to be told of changes. */
export const NFTABLES_GROUP = 7

type ObjectKind = 'table' | 'chain' | 'rule' | 'set' | 'element'

/**
 * What a transaction changed, whoever it was of: its objects, and last the generation that it made
 * of the ruleset, which is for a reader to compare with the one it has read.
 */
export type RulesetEvent =
  | { readonly kind: 'generation'; readonly id: number }
  | {
      readonly kind: ObjectKind
      readonly gone: boolean
      /** Undefined for a family unknown here. */
      readonly family: TableFamily | undefined
      readonly table: string
    }

const objects: readonly (readonly [type: number, kind: ObjectKind, gone: boolean])[] = [
  [messages.newTable, 'table', false],
  [messages.deleteTable, 'table', true],
  [messages.newChain, 'chain', false],
  [messages.deleteChain, 'chain', true],
  [messages.newRule, 'rule', false],
  [messages.deleteRule, 'rule', true],
  [messages.newSet, 'set', false],
  [messages.deleteSet, 'set', true],
  [messages.newElement, 'element', false],
  [messages.deleteElement, 'element', true],
]

/** The attribute that holds the table's name is the first one of every object, a table's own too. */
const ownerTable = { name: { type: 1, wire: str } } as const

const familyNames = Object.keys(families) as TableFamily[]

/**
 * Reads one datagram of a socket that has joined `NFTABLES_GROUP`; other objects are left out.
 * Throws `RangeError` on bytes it cannot be: then, as after ENOBUFS, something may have been missed.
 */
export function decodeRulesetEvents(datagram: Uint8Array): RulesetEvent[] {
  const events: RulesetEvent[] = []
  for (const { type, payload } of decodeMessages(datagram)) {
    if (type >> 8 !== NFNL_SUBSYS_NFTABLES) continue
    const event = decodeEvent(type & 0xff, payload)
    if (event) events.push(event)
  }
  return events
}

function decodeEvent(message: number, payload: Uint8Array): RulesetEvent | undefined {
  if (message === messages.newGeneration) {
    return { kind: 'generation', id: decodeMessage(generationTable, payload).attrs.id ?? 0 }
  }
  const [, kind, gone = false] = objects.find(([type]) => type === message) ?? []
  if (!kind) return undefined
  const { header, attrs } = decodeBody(nfgenmsg, ownerTable, payload)
  const family = familyNames.find((name) => families[name] === header.family)
  return { kind, gone, family, table: attrs.name ?? '' }
}
