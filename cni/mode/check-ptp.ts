import { formatAddress, parseAddress, sameAddress } from '../../ip/address.ts'
import { formatPrefix, hostPrefix, parsePrefix, samePrefix } from '../../ip/prefix.ts'
import { listAddresses } from '../../netlink/address.ts'
import type { Connection } from '../../netlink/connection.ts'
import type { Link } from '../../netlink/link.ts'
import { listRoutes } from '../../netlink/route.ts'
import { CheckFailed } from '../errors.ts'
import {
  checkContainerLink,
  checkForwarding,
  checkHostEnd,
  checkMtu,
  gatewaysOf,
  ownIps,
  RT_TABLE_MAIN,
  type Sides,
  type Subject,
} from './check-link.ts'

/** Checks the links of mode ptp, and the ways between their ends. Returns the container's. */
export function checkPtp({ host, inside }: Sides, subject: Subject): Link {
  const link = checkContainerLink(inside, subject, 'veth')
  const end = checkHostEnd(host, subject, link)
  checkMtu(subject, link, end.mtu)
  const present = host.dump(listAddresses({ index: end.index }))
  for (const ip of ownIps(subject)) {
    const address = parsePrefix(ip.address)?.address
    const gateway = parseAddress(ip.gateway ?? '')
    if (gateway && !present.some(({ prefix }) => sameAddress(prefix.address, gateway))) {
      throw new CheckFailed(`${end.name} does not have address ${formatAddress(gateway)}`)
    }
    if (gateway) checkRoute(inside, link, gateway)
    if (address) checkRoute(host, end, address)
  }
  checkForwarding(subject, gatewaysOf(subject))
  return link
}

/** A route to exactly this address by the link. */
function checkRoute(
  connection: Connection,
  { index, name }: Link,
  address: ReturnType<typeof hostPrefix>['address'],
): void {
  const wanted = hostPrefix(address)
  const routes = connection.dump(
    listRoutes({ family: address.family, table: RT_TABLE_MAIN, oif: index }),
  )
  if (routes.some(({ destination }) => samePrefix(destination, wanted))) return
  throw new CheckFailed(`Expected Route ${formatPrefix(wanted)} not found on ${name}`)
}
