import { daemonTableRef } from '../../firewall/daemon-table.ts'
import { syncIptablesForward } from '../../firewall/iptables-forward.ts'
import { removeTable } from '../../firewall/sync.ts'
import { families } from '../../ip/by-family.ts'
import { type Prefix, prefixCovers } from '../../ip/prefix.ts'
import { listAddresses } from '../../netlink/address.ts'
import type { Connection } from '../../netlink/connection.ts'
import { deleteLink, type Link, listLinks } from '../../netlink/link.ts'
import { deleteRoute, listRoutes } from '../../netlink/route.ts'
import { ROUTE_PROTOCOL } from '../backend/kernel-state.ts'
import { AlreadyRunningError, claim, deviceLock, type LockFile } from '../host/locks.ts'
import type { Settings } from '../settings/settings.ts'
import { removeFile } from './files.ts'
import type { Known } from './known.ts'
import type { Report } from './report.ts'

const TABLE_MAIN = 254

/**
 * Removes the instance's nftables table and its accepts in iptables' FORWARD. One for these networks
 * that has lost its mark is ours only where the daemon wrote such.
 */
export function removeRules(
  netfilter: Connection,
  { instance, forwardRules }: Pick<Settings, 'instance' | 'forwardRules'>,
  { networks }: Pick<Known, 'networks'>,
  report: Report,
): void {
  const table = daemonTableRef(instance)
  if (removeTable(netfilter, table)) report.removed(`nftables table ${table.family} ${table.name}`)
  const previous = forwardRules ? networks : []
  const forward = syncIptablesForward(netfilter, { instance, networks: [], previous })
  if (forward === 'written') report.removed('accept rules in iptables FORWARD')
}

/** Removes our routes into these networks; those of other instances lead elsewhere. */
export function removeRoutes(route: Connection, networks: readonly Prefix[], report: Report): void {
  const ours = families.flatMap((family) =>
    route
      .dump(listRoutes({ family, table: TABLE_MAIN, protocol: ROUTE_PROTOCOL }))
      .filter(({ destination }) => networks.some((outer) => prefixCovers(outer, destination))),
  )
  const errors = route.batch(ours.map(deleteRoute)).filter((error) => error !== undefined)
  const gone = ours.length - errors.length
  if (gone > 0) report.removed(`routes of protocol ${ROUTE_PROTOCOL}: ${gone}`)
  if (errors[0]) report.stays(`routes: ${errors.length}`, errors[0].message)
}

/**
 * Removes our tunnel devices: those that we noted down, and by flannel's name and an address of the
 * networks one that was not. With a device go its neighbours and forwarding entries.
 */
export function removeDevices(
  route: Connection,
  { devices, networks }: Known,
  tools: { readonly lockFile: LockFile; readonly instance: string; readonly report: Report },
): void {
  for (const link of route.dump(listLinks({ kind: 'vxlan' }))) {
    const isNoted = devices.get(link.name) === link.mac && link.mac !== undefined
    if (isNoted || (isNamedLikeOurs(link) && hasAddressIn(route, link, networks))) {
      removeDevice(route, link, tools)
    }
  }
}

function removeDevice(
  route: Connection,
  { index, name }: Link,
  {
    lockFile,
    instance,
    report,
  }: { readonly lockFile: LockFile; readonly instance: string; readonly report: Report },
): void {
  const what = `interface ${name}`
  try {
    using held = new DisposableStack()
    const lock = deviceLock(name)
    held.use(claim(lock, lockFile, instance))
    route.execute(deleteLink({ index }))
    removeFile(lock.path)
    report.removed(what)
  } catch (error) {
    if (!(error instanceof AlreadyRunningError)) throw error
    report.kept(what, `another daemon has it: ${error.holder}`)
  }
}

function isNamedLikeOurs({ name }: Link): boolean {
  return /^flannel(?:-v6)?\.\d+$/.test(name)
}

function hasAddressIn(route: Connection, { index }: Link, networks: readonly Prefix[]): boolean {
  const addresses = route.dump(listAddresses({ index }))
  return addresses.some(({ prefix }) => networks.some((outer) => prefixCovers(outer, prefix)))
}
