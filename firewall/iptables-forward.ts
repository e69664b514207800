/** Accepting what is forwarded from and to whole networks, where iptables-nft is in use. */
import type { Prefix } from '../ip/prefix.ts'
import type { Connection } from '../netlink/connection.ts'
import { addressIs } from '../netlink/nftables/match.ts'
import { daemonTableRef } from './daemon-table.ts'
import { type ForwardRules, syncForwardRules } from './forward-rules.ts'

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

const sides = ['source', 'destination'] as const

/**
 * Appends `-s NETWORK -j ACCEPT` and `-d NETWORK -j ACCEPT` to FORWARD where they are missing, and
 * removes ours of other networks. As `syncForwardRules`.
 */
export function syncIptablesForward(
  connection: Connection,
  { instance, networks, previous = [] }: IptablesForward,
): 'absent' | 'unchanged' | 'written' {
  return syncForwardRules(connection, {
    mark: daemonTableRef(instance).name,
    wanted: matches(networks),
    earlier: matches(previous),
  })
}

function matches(networks: readonly Prefix[]): ForwardRules['wanted'] {
  return (family) =>
    networks
      .filter(({ address }) => address.family === family)
      .flatMap((prefix) => sides.map((side) => addressIs(side, prefix)))
}
