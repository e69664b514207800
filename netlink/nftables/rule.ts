import { NLM_F_APPEND, NLM_F_CREATE, type Request } from '../codec/message.ts'
import { decodeMessage, describe, message, ruleTable, type TableRef } from './codec.ts'
import { type Expression, normalExpression } from './expression.ts'

export interface Rule {
  readonly expressions: readonly Expression[]
  /** Shown by nft, and by iptables as `-m comment`. */
  readonly comment?: string
  /** Shown by nothing: tells our rule from its like in a chain that is not ours. */
  readonly mark?: string
}

/** A rule and where it is; the handle is its name within the table. */
export interface ListedRule {
  readonly chain: string
  readonly handle: bigint
  readonly rule: Rule
}

/** Appends a rule to a chain. Adding it again makes a second one. */
export function addRule(table: TableRef, chain: string, rule: Rule): Request {
  const { expressions, comment, mark } = rule
  const userdata = {
    ...(comment !== undefined && { comment }),
    ...(mark !== undefined && { mark }),
  }
  const attrs = {
    table: table.name,
    chain,
    expressions,
    ...(Object.keys(userdata).length > 0 && { userdata }),
  }
  const op = describe('add rule to chain', table, chain)
  const flags = NLM_F_CREATE | NLM_F_APPEND
  return message('newRule', table.family, { table: ruleTable, attrs }, { op, flags })
}

/** Removes one rule, or with no handle all rules of the chain. */
export function deleteRule(table: TableRef, chain: string, handle?: bigint): Request {
  const attrs = { table: table.name, chain, ...(handle !== undefined && { handle }) }
  const what = handle === undefined ? 'flush chain' : `delete rule ${handle} of chain`
  const op = describe(what, table, chain)
  return message('deleteRule', table.family, { table: ruleTable, attrs }, { op })
}

/**
 * To be dumped: the rules of a table or of one chain, in their order, without what the kernel adds
 * (counter values, defaults); none when the table or the chain is not there.
 */
export function listRules(table: TableRef, chain?: string): Request<ListedRule> {
  const attrs = { table: table.name, ...(chain !== undefined && { chain }) }
  const op = describe('list rules of', table, chain)
  return message('getRule', table.family, { table: ruleTable, attrs }, { op, decode })
}

function decode(_type: number, payload: Uint8Array): ListedRule {
  const { attrs } = decodeMessage(ruleTable, payload)
  const { chain = '', handle = 0n, expressions = [], userdata } = attrs
  const rule = {
    expressions: expressions.map(normalExpression),
    ...(userdata?.comment !== undefined && { comment: userdata.comment }),
    ...(userdata?.mark !== undefined && { mark: userdata.mark }),
  }
  return { chain, handle, rule }
}
