import { ConfigError } from '../../conf/errors.ts'
import { formatAddress, sameAddress } from '../../ip/address.ts'
import { valuesOf } from '../../ip/by-family.ts'
import type { Backend, BackendInput, FindPath, Target, TargetPlan } from './backend.ts'
import { ourRoute } from './kernel-state.ts'
import { BackendOptions } from './options.ts'

/**
 * The `host-gw` backend: a plain route to each peer's subnet through the peer itself, which must be
 * on the same link.
 * @throws ConfigError when this host is known to its peers by an address it does not have.
 */
export function createHostGw({ config, uplinks }: BackendInput): Backend {
  const options = new BackendOptions(config)
  for (const { address, publicIP } of valuesOf(uplinks)) {
    if (sameAddress(address, publicIP)) continue
    const message =
      "your PublicIP differs from interface IP, meaning that probably you're on a NAT, which is not supported by host-gw backend"
    const which = `${formatAddress(publicIP)} is not ${formatAddress(address)}`
    throw new ConfigError('Backend.Type', `${message}: ${which}`)
  }
  return {
    type: 'host-gw',
    leaseType: 'host-gw',
    mtu: Math.min(...valuesOf(uplinks).map((uplink) => uplink.mtu)),
    leaseData: {},
    devices: [],
    usesPaths: true,
    warnings: options.unknown(),
    own: () => [],
    peer: (target, findPath) => plan(target, findPath, uplinks[target.subnet.address.family]?.name),
  }
}

function plan(target: Target, findPath: FindPath, uplink: string | undefined): TargetPlan {
  const { subnet, publicIP } = target
  const path = findPath(publicIP)
  if (path === 'no host') {
    return { state: 'skipped', problem: `${formatAddress(publicIP)} is no other host’s address` }
  }
  if (path && !path.onLink) {
    const problem = `${formatAddress(publicIP)} is behind a router: host-gw reaches only hosts on its own link`
    return { state: 'skipped', problem }
  }
  // While the link is down there is no path at all; the route stays wanted.
  const device = path?.device ?? uplink
  if (device === undefined) return { state: 'skipped', problem: 'this host has no address for it' }
  const via = { gateway: publicIP, device, onlink: false }
  return { state: 'direct', entries: [ourRoute(subnet, via)] }
}
