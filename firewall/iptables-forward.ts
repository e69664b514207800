/**
 * Accepting forwarded packets where iptables-nft is in use. An accept in a table of ours cannot
 * outvote a drop in another (Docker sets the policy of FORWARD to DROP), so the rules must stand
 * in that chain itself, in the form iptables writes, or it would refuse to read its own table.
 */
import type { Prefix } from '../ip/prefix.ts'
import type { Request } from '../netlink/codec/message.ts'
import type { Connection } from '../netlink/connection.ts'
import { getChain } from '../netlink/nftables/chain.ts'
import type { TableRef } from '../netlink/nftables/codec.ts'
import { find } from '../netlink/nftables/find.ts'
import { addressIs, counter, type Side, verdict } from '../netlink/nftables/match.ts'
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
import { daemonTableRef } from './daemon-table.ts'
import { whileUnchanged } from './sync.ts'

export interface IptablesForward {
  readonly instance: string
  /** What to accept from and to, both families. None removes our rules. */
  readonly networks: readonly Prefix[]
  /**
   * Networks of an earlier run: their rules go, even if they have lost our mark, as they do when
   * somebody saves and restores them.
   */
  readonly previous?: readonly Prefix[]
}

const CHAIN = 'FORWARD'
const filterTables = [
  { table: { family: 'ip', name: 'filter' }, family: 4 },
  { table: { family: 'ip6', name: 'filter' }, family: 6 },
] as const
const sides = ['source', 'destination'] as const

/**
 * Appends `-s NETWORK -j ACCEPT` and `-d NETWORK -j ACCEPT` to FORWARD where they are missing, and
 * removes ours of other networks, in one transaction. `absent`: iptables-nft is not in use.
 * Throws `NetlinkError` for what the kernel refuses; nothing has changed then.
 */
export function syncIptablesForward(
  connection: Connection,
  wanted: IptablesForward,
): 'absent' | 'unchanged' | 'written' {
  return whileUnchanged(() => {
    const generation = connection.get(getGeneration())
    const present = filterTables.filter(({ table }) => find(connection, getChain(table, CHAIN)))
    const operations = present.flatMap(({ table, family }) =>
      forwardChanges(table, connection.dump(listRules(table, CHAIN)), {
        ...wanted,
        networks: wanted.networks.filter(({ address }) => address.family === family),
      }),
    )
    if (operations.length > 0) applyTransaction(connection, operations, { generation })
    if (present.length === 0) return 'absent'
    return operations.length > 0 ? 'written' : 'unchanged'
  })
}

function forwardChanges(
  table: TableRef,
  rules: readonly ListedRule[],
  { instance, networks, previous = [] }: IptablesForward,
): Request[] {
  const { name: mark } = daemonTableRef(instance)
  const text = (rule: Rule) => renderRule({ expressions: rule.expressions }, table.family)
  const missing = new Map(
    acceptRules(networks, mark).map((rule): [string, Rule] => [text(rule), rule]),
  )
  const earlier = new Set(acceptRules(previous, mark).map(text))
  const removals = rules.flatMap(({ handle, rule }) => {
    // Whoever wrote it, an equal rule does; a second one of ours is one too many.
    if (missing.delete(text(rule))) return []
    const isAnybodys = rule.mark === undefined && rule.comment === undefined
    const isOurs = rule.mark === mark || (isAnybodys && earlier.has(text(rule)))
    return isOurs ? [deleteRule(table, CHAIN, handle)] : []
  })
  return [...removals, ...[...missing.values()].map((rule) => addRule(table, CHAIN, rule))]
}

function acceptRules(networks: readonly Prefix[], mark: string): Rule[] {
  return networks.flatMap((prefix) => sides.map((side) => acceptRule(side, prefix, mark)))
}

function acceptRule(side: Side, prefix: Prefix, mark: string): Rule {
  return { expressions: [...addressIs(side, prefix), counter(), verdict('accept')], mark }
}
