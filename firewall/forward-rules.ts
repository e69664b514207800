/**
 * Accept rules in the chain FORWARD of iptables-nft. An accept in a table of ours cannot outvote a
 * drop in another (Docker sets the policy of FORWARD to DROP), so the rules must stand in that chain
 * itself, in the form iptables writes, or it would refuse to read its own table.
 */
import type { Family } from '../ip/address.ts'
import type { Request } from '../netlink/codec/message.ts'
import type { Connection } from '../netlink/connection.ts'
import { getChain } from '../netlink/nftables/chain.ts'
import type { TableRef } from '../netlink/nftables/codec.ts'
import type { Expression } from '../netlink/nftables/expression.ts'
import { counter, verdict } from '../netlink/nftables/match.ts'
import { renderRule } from '../netlink/nftables/render-rule.ts'
import {
  addRule,
  deleteRule,
  type ListedRule,
  listRules,
  type Rule,
} from '../netlink/nftables/rule.ts'
import { getGeneration } from '../netlink/nftables/table.ts'
import { applyTransaction } from '../netlink/nftables/transaction.ts'
import { orNone } from './or-none.ts'
import { whileUnchanged } from './sync.ts'

/** The accept rules of one owner, each as what it matches. */
export interface ForwardRules {
  /** Kept with each rule, and shown by nothing: tells the owner's rules from all others. */
  readonly mark: string
  readonly wanted: (family: Family) => readonly (readonly Expression[])[]
  /**
   * Rules of an earlier run: they go even if they have lost the mark, as they do when somebody saves
   * and restores them.
   */
  readonly earlier?: (family: Family) => readonly (readonly Expression[])[]
}

const CHAIN = 'FORWARD'
const filterTables = [
  { table: { family: 'ip', name: 'filter' }, family: 4 },
  { table: { family: 'ip6', name: 'filter' }, family: 6 },
] as const

/** A chain FORWARD that is there. */
interface ForwardChain {
  readonly table: TableRef
  readonly family: Family
  readonly policy: 'accept' | 'drop'
}

/**
 * Appends the wanted rules where they are missing, and removes others of this owner, in one
 * transaction. `absent`: iptables-nft is not in use. Throws `NetlinkError` for what the kernel
 * refuses; nothing has changed then.
 */
export function syncForwardRules(
  connection: Connection,
  rules: ForwardRules,
): 'absent' | 'unchanged' | 'written' {
  return whileUnchanged(() => {
    const { generation, chains } = forwardChains(connection)
    if (chains.length === 0) return 'absent'
    const operations = chains.flatMap((chain) => changes(chain, listed(connection, chain), rules))
    if (operations.length === 0) return 'unchanged'
    applyTransaction(connection, operations, { generation })
    return 'written'
  })
}

/**
 * The wanted rules that are missing, as nft would list them. Where the chain lets everything through
 * that it has no rule for, none is: somebody may have made it after these rules were asked for.
 */
export function missingForwardRules(connection: Connection, rules: ForwardRules): string[] {
  return forwardChains(connection).chains.flatMap((chain) => {
    if (chain.policy === 'accept') return []
    const there = new Set(listed(connection, chain).map(({ rule }) => textOf(rule, chain)))
    return rules
      .wanted(chain.family)
      .map((match) => textOf(acceptRule(match, rules.mark), chain))
      .filter((text) => !there.has(text))
      .map((text) => `${chain.table.family} ${chain.table.name} ${CHAIN}: ${text}`)
  })
}

function forwardChains(connection: Connection): {
  generation: number
  chains: readonly ForwardChain[]
} {
  const [generation, ...answers] = connection.exchange([
    getGeneration(),
    ...filterTables.map(({ table }) => orNone(getChain(table, CHAIN))),
  ])
  for (const { error } of [generation, ...answers]) {
    if (error) throw error
  }
  const chains = filterTables.flatMap((where, index) => {
    const chain = answers[index]?.value?.chain
    return chain ? { ...where, policy: chain.base?.policy ?? 'accept' } : []
  })
  return { generation: generation.value ?? 0, chains }
}

function listed(connection: Connection, { table }: ForwardChain): ListedRule[] {
  return connection.dump(listRules(table, CHAIN))
}

function changes(
  chain: ForwardChain,
  rules: readonly ListedRule[],
  { mark, wanted, earlier = () => [] }: ForwardRules,
): Request[] {
  const { table, family } = chain
  const missing = new Map(
    wanted(family).map((match): [string, Rule] => {
      const rule = acceptRule(match, mark)
      return [textOf(rule, chain), rule]
    }),
  )
  const former = new Set(earlier(family).map((match) => textOf(acceptRule(match, mark), chain)))
  const removals = rules.flatMap(({ handle, rule }) => {
    // Whoever wrote it, an equal rule does; a second one of ours is one too many.
    const text = textOf(rule, chain)
    if (missing.delete(text)) return []
    const isAnybodys = rule.mark === undefined && rule.comment === undefined
    const isOurs = rule.mark === mark || (isAnybodys && former.has(text))
    return isOurs ? [deleteRule(table, CHAIN, handle)] : []
  })
  return [...removals, ...[...missing.values()].map((rule) => addRule(table, CHAIN, rule))]
}

function acceptRule(match: readonly Expression[], mark: string): Rule {
  return { expressions: [...match, counter(), verdict('accept')], mark }
}

function textOf({ expressions }: Rule, { table }: ForwardChain): string {
  return renderRule({ expressions }, table.family)
}
