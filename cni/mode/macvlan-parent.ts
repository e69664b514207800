import { ConfigError } from '../../conf/errors.ts'
import { families } from '../../ip/by-family.ts'
import type { Connection } from '../../netlink/connection.ts'
import type { Link } from '../../netlink/link.ts'
import { listRoutes, type Route } from '../../netlink/route.ts'
import { ConflictError } from '../errors.ts'
import { findLink } from '../link.ts'

const RT_TABLE_MAIN = 254

/**
 * The host's link that macvlans are put on: the named one, else that of the default route.
 * @throws ConfigError when there is none.
 */
export function findParent(host: Connection, master: string | undefined): Link {
  const link = parentOf(host, master)
  if (link) return link
  throw master === undefined
    ? new ConfigError('master', 'no default route interface found: set "master"')
    : new ConfigError('master', `failed to lookup master ${JSON.stringify(master)}: Link not found`)
}

/** The same, or undefined when there is none. */
export function parentOf(host: Connection, master: string | undefined): Link | undefined {
  return master === undefined ? defaultLink(host) : findLink(host, master)
}

/** @throws ConflictError for one that is down, which nothing could be brought up on. */
export function requireUp({ name, up }: Link): void {
  if (up) return
  throw new ConflictError(name, `master "${name}" is down`, `bring it up: ip link set ${name} up`)
}

/** The kernel's choice: the lowest metric, IPv4 before IPv6. */
function defaultLink(host: Connection): Link | undefined {
  for (const family of families) {
    const routes = host.dump(listRoutes({ family, table: RT_TABLE_MAIN }))
    const [best] = routes
      .filter((route) => route.destination.length === 0 && leavesBy(route) !== undefined)
      .sort((a, b) => (a.priority ?? 0) - (b.priority ?? 0))
    const index = best && leavesBy(best)
    if (index !== undefined) return findLink(host, { index })
  }
  return undefined
}

function leavesBy({ oif, hops }: Route): number | undefined {
  return oif ?? hops?.[0]?.oif
}
