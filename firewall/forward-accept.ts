/** Accepting what a bridge's containers send and get, where iptables-nft is in use. */
import type { Connection } from '../netlink/connection.ts'
import { type Expression, NFT_REG_1 } from '../netlink/nftables/expression.ts'
import { type ForwardRules, missingForwardRules, syncForwardRules } from './forward-rules.ts'

/**
 * Appends `-i BRIDGE -j ACCEPT` and `-o BRIDGE -j ACCEPT` to FORWARD where they are missing. As
 * `syncForwardRules`; one round trip where iptables-nft is not in use.
 */
export function ensureForwardAccept(
  connection: Connection,
  bridge: string,
): 'absent' | 'unchanged' | 'written' {
  return syncForwardRules(connection, rulesOf(bridge))
}

/** What FORWARD lacks of that, in words for an operator. For the CNI verb CHECK. */
export function missingForwardAccept(connection: Connection, bridge: string): string | undefined {
  const [missing] = missingForwardRules(connection, rulesOf(bridge))
  return missing === undefined
    ? undefined
    : `nftables chain ${missing.replace(': ', ' has no rule: ')}`
}

/** Removes these rules, marked or not. False when there were none. */
export function removeForwardAccept(connection: Connection, bridge: string): boolean {
  const { mark, wanted } = rulesOf(bridge)
  return syncForwardRules(connection, { mark, wanted: () => [], earlier: wanted }) === 'written'
}

function rulesOf(bridge: string): ForwardRules {
  const matches = (['iifname', 'oifname'] as const).map((key) => nameIs(key, bridge))
  return { mark: `heddle-cni ${bridge}`, wanted: () => matches }
}

/** A match as iptables writes it: with the zero that ends the name, but not padded as nft does. */
function nameIs(key: 'iifname' | 'oifname', name: string): Expression[] {
  const value = new TextEncoder().encode(`${name}\0`)
  return [
    { name: 'meta', attrs: { key, dreg: NFT_REG_1 } },
    { name: 'cmp', attrs: { sreg: NFT_REG_1, op: 'eq', data: { value } } },
  ]
}
