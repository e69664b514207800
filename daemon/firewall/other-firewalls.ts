import { readFileSync } from 'node:fs'
import type { Connection } from '../../netlink/connection.ts'
import { NetlinkError } from '../../netlink/errors.ts'
import { listTables } from '../../netlink/nftables/table.ts'

/** Where the kernel names the tables that the older iptables has made in this network namespace. */
const legacyLists = {
  'iptables-legacy': '/proc/net/ip_tables_names',
  'ip6tables-legacy': '/proc/net/ip6_tables_names',
} as const

/**
 * What the operator should know of firewalls on this host whose rules ours can neither see nor
 * outvote.
 */
export function otherFirewalls(
  connection: Connection,
  lists: Readonly<Record<string, string>> = legacyLists,
): string[] {
  const legacy = Object.entries(lists).flatMap(([program, path]) => {
    const names = readNames(path)
    if (names.length === 0) return []
    const tables = names.toSorted().join(', ')
    return `${program} has tables here (${tables}), which nftables cannot see: their rules hold beside heddle's. Chains that flanneld left, ${program}-save shows them as FLANNEL-..., are yours to remove`
  })
  return [...legacy, ...(hasFirewalld(connection) ? [firewalld] : [])]
}

const firewalld =
  "firewalld is at work here and rejects what containers send unless it trusts it: firewall-cmd --permanent --zone=trusted --add-source=NETWORK for each of the cluster's networks, then firewall-cmd --reload"

function hasFirewalld(connection: Connection): boolean {
  try {
    return connection.dump(listTables()).some(({ name }) => name === 'firewalld')
  } catch (error) {
    // Rules of our own fail for the same reason, and say so.
    if (error instanceof NetlinkError) return false
    throw error
  }
}

function readNames(path: string): string[] {
  try {
    return readFileSync(path, 'utf8')
      .split('\n')
      .filter((name) => name !== '')
  } catch {
    // Without the older iptables' modules there is no such file.
    return []
  }
}
