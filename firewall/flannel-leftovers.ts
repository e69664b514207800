/** What flannel leaves in the firewall, which it never cleans up itself when it stops. */
import type { Request } from '../netlink/codec/message.ts'
import type { Connection } from '../netlink/connection.ts'
import { deleteChain, type ListedChain, listChains } from '../netlink/nftables/chain.ts'
import type { TableRef } from '../netlink/nftables/codec.ts'
import { deleteRule, listRules } from '../netlink/nftables/rule.ts'
import { deleteTable, listTables } from '../netlink/nftables/table.ts'
import { jumpsTo } from './jumps.ts'

/** The tables of its nftables mode. */
const tables: readonly TableRef[] = [
  { family: 'ip', name: 'flannel-ipv4' },
  { family: 'ip6', name: 'flannel-ipv6' },
]

/** The chains of its iptables mode, and the built-in ones that jump to them. */
const chains = [
  { table: 'nat', from: 'POSTROUTING', chain: 'FLANNEL-POSTRTG' },
  { table: 'filter', from: 'FORWARD', chain: 'FLANNEL-FWD' },
] as const
const chainFamilies = ['ip', 'ip6'] as const

/**
 * The operations that remove flannel's nftables tables and its iptables-nft chains with the jumps
 * to them, none if there are none; for `syncTable`, so that masquerading changes hands in one
 * transaction. What stands in iptables-legacy is out of reach of nftables.
 */
export function flannelLeftovers(connection: Connection): Request[] {
  const known = connection.dump(listTables())
  const present = connection.dump(listChains())
  return [
    ...tables.filter((table) => known.some((other) => sameTable(table, other))).map(deleteTable),
    ...chainFamilies.flatMap((family) =>
      chains.flatMap(({ table, from, chain }) => {
        const ref = { family, name: table }
        return has(present, ref, chain) ? removeChain(connection, ref, from, chain) : []
      }),
    ),
  ]
}

function removeChain(
  connection: Connection,
  table: TableRef,
  from: string,
  chain: string,
): Request[] {
  const jumps = connection
    .dump(listRules(table, from))
    .filter(({ rule }) => jumpsTo(rule, chain))
    .map(({ handle }) => deleteRule(table, from, handle))
  return [...jumps, deleteRule(table, chain), deleteChain(table, chain)]
}

function has(present: readonly ListedChain[], table: TableRef, name: string): boolean {
  return present.some((listed) => sameTable(listed.table, table) && listed.chain.name === name)
}

function sameTable(a: TableRef, b: TableRef): boolean {
  return a.family === b.family && a.name === b.name
}
