import type { AttachmentRecord } from '../../conf/attachment-record.ts'
import type { Address } from '../../ip/address.ts'
import { families } from '../../ip/by-family.ts'
import { hostPrefix, type Prefix, prefixContains, samePrefix } from '../../ip/prefix.ts'
import { listAddresses } from '../../netlink/address.ts'
import type { Connection } from '../../netlink/connection.ts'
import { listLinks } from '../../netlink/link.ts'
import { listRoutes } from '../../netlink/route.ts'

const TABLE_MAIN = 254

/**
 * Tells whether a container beside those that run with a record may have an address, as far as the
 * host's side shows: one that another plugin attached to a bridge whose network the address is of, or
 * behind a link of its own with a route to the address.
 */
export function usedBeside(
  route: Connection,
  running: readonly AttachmentRecord[],
): (address: Address) => boolean {
  const recorded = new Set(running.map(({ link, ports }) => link?.hostVeth || ports?.hostVeth))
  const links = route.dump(listLinks())
  const strangers = links.filter(({ name }) => !recorded.has(name))
  const bridged: Prefix[] = links
    .filter(({ kind, index }) => kind === 'bridge' && strangers.some((one) => one.master === index))
    .flatMap(({ index }) => route.dump(listAddresses({ index })).map(({ prefix }) => prefix))
  const routed = families.flatMap((family) =>
    route.dump(listRoutes({ family, table: TABLE_MAIN })).map(({ destination }) => destination),
  )
  return (address) =>
    bridged.some((prefix) => prefixContains(prefix, address)) ||
    routed.some((prefix) => samePrefix(prefix, hostPrefix(address)))
}
