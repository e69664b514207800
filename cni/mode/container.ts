import { type Address, formatAddress } from '../../ip/address.ts'
import type { Mac } from '../../ip/mac.ts'
import { addAddress, listAddresses } from '../../netlink/address.ts'
import type { Connection } from '../../netlink/connection.ts'
import { setLink } from '../../netlink/link.ts'
import { appendRoute } from '../../netlink/route.ts'
import type { CniDeps } from '../call.ts'
import { CniError, errorCodes } from '../protocol/error.ts'
import { type Sysctl, setLinkSysctl, trySysctl } from '../sysctl.ts'
import type { AttachConf } from '../target/attach-conf.ts'
import type { Endpoint } from './plan.ts'

/** As upstream: three probes of a second each are the longest a host waits (RFC 4862). */
const dadPatienceMs = 10_000
const dadPauseMs = 20

/** Settings of the container's end while it is down. To be called inside its namespace. */
export function prepareInterface(
  sysctl: Sysctl,
  ifname: string,
  conf: AttachConf,
  hasIPv6: boolean,
): void {
  trySysctl(sysctl, `ipv4/conf/${ifname}/arp_notify`, '1')
  trySysctl(sysctl, `ipv6/conf/${ifname}/accept_dad`, conf.detectDuplicates ? '1' : '0')
  if (conf.detectDuplicates) trySysctl(sysctl, `ipv6/conf/${ifname}/enhanced_dad`, '1')
  if (!hasIPv6) return
  setLinkSysctl(sysctl, 'ipv6/conf/lo/disable_ipv6', '0')
  setLinkSysctl(sysctl, `ipv6/conf/${ifname}/disable_ipv6`, '0')
  trySysctl(sysctl, `ipv6/conf/${ifname}/keep_addr_on_down`, '1')
  trySysctl(sysctl, `ipv6/conf/${ifname}/ndisc_notify`, '1')
}

/** Gives the container's end its addresses, brings it up and adds its routes, in one exchange. */
export function configureInterface(
  inside: Connection,
  index: number,
  conf: AttachConf,
  endpoint: Endpoint,
): void {
  const noDad = conf.detectDuplicates ? {} : ({ noDad: true } as const)
  const errors = inside.batch([
    ...endpoint.addresses.map((prefix) => addAddress({ index, prefix, ...noDad })),
    ...(conf.containerUp ? [setLink({ index, up: true })] : []),
    ...endpoint.routes.map((route) => appendRoute({ ...route, oif: index })),
  ])
  const failure = errors.find((error) => error !== undefined)
  if (failure) throw failure
}

/**
 * Tells the neighbours who has the addresses now: setting the MAC address, to what it is, makes
 * the kernel send an ARP announcement (arp_notify) and a neighbour advertisement (ndisc_notify).
 * Those that the kernel sends when the link comes up are lost, since the bridge does not forward yet.
 */
export function announce(inside: Connection, index: number, mac: Mac): void {
  inside.execute(setLink({ index, mac }))
}

/** @throws CniError when an address is somebody else's, or not known to be free in time. */
export function waitForDuplicateDetection(inside: Connection, index: number, deps: CniDeps): void {
  for (let waitedMs = 0; waitedMs < dadPatienceMs; waitedMs += dadPauseMs) {
    const addresses = inside.dump(listAddresses({ index, family: 6 }))
    const duplicate = addresses.find(({ dadFailed }) => dadFailed)
    if (duplicate) throw duplicateAddress(duplicate.prefix.address)
    if (!addresses.some(({ tentative }) => tentative)) return
    deps.sleep(dadPauseMs)
  }
  throw new CniError(
    errorCodes.tryAgain,
    `duplicate address detection did not end in ${dadPatienceMs / 1000} s`,
  )
}

function duplicateAddress(address: Address): CniError {
  const text = `IPv6 address ${formatAddress(address)} is in use by another host on the link`
  return new CniError(errorCodes.conflict, text)
}
