import type { CniArgs } from '../cni/protocol/args.ts'
import type { Route } from '../cni/protocol/result.ts'
import { networkName } from '../cni/protocol/run.ts'
import { isAtLeast, readVersion } from '../cni/protocol/versions.ts'
import { ConfigError } from '../conf/errors.ts'
import type { IpamConf, NetConf, RangeConf, RouteConf } from '../conf/net-conf.ts'
import { type Address, formatAddress, sameAddress } from '../ip/address.ts'
import { formatPrefix, parsePrefix } from '../ip/prefix.ts'
import type { IpamPlace } from './folder.ts'
import {
  formatRangeSet,
  parseIp,
  type RangeSet,
  rangeFor,
  readRangeSet,
  refuseOverlaps,
} from './ranges.ts'
import { type Candidate, isReserved } from './search.ts'

/** Upstream's. */
const defaultDataDir = '/var/lib/cni/networks'

/** One address to be had: out of `ranges`, and this very one when `requested` is there. */
export interface SetPlan {
  readonly index: number
  readonly ranges: RangeSet
  readonly requested?: Candidate
}

/** What an ADD must reserve and answer: all that can be checked without the data folder is. */
export interface IpamPlan extends IpamPlace {
  readonly sets: readonly SetPlan[]
  readonly routes: readonly Route[]
  /** A resolv.conf file to answer `dns` from. */
  readonly resolvConf?: string
}

/**
 * Where a network's reservations are. Enough for DEL, which must work whatever else is wrong with
 * the configuration.
 * @throws ConfigError when there is no `ipam` or no name, CniError when the name cannot be a folder's.
 */
export function ipamPlace(conf: NetConf): IpamPlace {
  const network = networkName(conf)
  return { dataDir: ipamOf(conf).dataDir || defaultDataDir, network }
}

/**
 * Plans an ADD or CHECK by the `ipam` object of a configuration and the addresses asked for by
 * `args` (key `IP`), `args.cni.ips` and `runtimeConfig.ips`.
 * @throws ConfigError in upstream's words.
 */
export function planIpam(conf: NetConf, args: CniArgs): IpamPlan {
  const place = ipamPlace(conf)
  const ipam = ipamOf(conf)
  const requested = requestedAddresses(conf, args)
  const sets = readRangeSets(conf, ipam)
  if (sets.length === 0) throw new ConfigError('ipam.ranges', 'no IP ranges specified')
  refuseSecondAddress(conf.cniVersion, sets)
  refuseOverlaps(sets)
  return {
    ...place,
    sets: assignRequests(sets, requested),
    routes: (ipam.routes ?? []).map(readRoute),
    ...(ipam.resolvConf && { resolvConf: ipam.resolvConf }),
  }
}

function ipamOf(conf: NetConf): IpamConf {
  if (!conf.ipam) throw new ConfigError('ipam', "IPAM config missing 'ipam' key")
  return conf.ipam
}

/** In the order that numbers them: the runtime's sets, the old style's one range, the listed sets. */
function readRangeSets(conf: NetConf, ipam: IpamConf): RangeSet[] {
  const sets: RangeSet[] = []
  const add = (path: string, ranges: readonly RangeConf[]) =>
    sets.push(readRangeSet({ path, ranges }, sets.length))
  const addAll = (path: string, list: IpamConf['ranges'] = []) => {
    for (let i = 0; i < list.length; i++) add(`${path}.${i}`, list[i] ?? [])
  }
  addAll('runtimeConfig.ipRanges', conf.runtimeConfig?.ipRanges)
  if (ipam.subnet) add('ipam', [ipam])
  addAll('ipam.ranges', ipam.ranges)
  return sets
}

/** Results before 0.3.0 have room for one address of each family. */
function refuseSecondAddress(cniVersion: string | undefined, sets: readonly RangeSet[]): void {
  if (sets.length < 2) return
  const version = readVersion(cniVersion)
  if (isAtLeast(version, '0.3.0')) return
  const families = sets.map((set) => set[0]?.start.family)
  if (new Set(families).size < families.length) {
    throw new ConfigError(
      'cniVersion',
      `CNI version ${version} does not support more than 1 address per family`,
    )
  }
}

/**
 * Each address once, in the order given. CNI_ARGS is ignored beside `args.cni.ips`, as the
 * conventions of CNI have it; upstream takes both and then fails.
 */
function requestedAddresses(conf: NetConf, args: CniArgs): Address[] {
  const texts = [...(conf.args?.cni?.ips ?? [])]
  const fromEnv = args.get('IP')
  if (texts.length === 0 && fromEnv) texts.push(fromEnv)
  texts.push(...(conf.runtimeConfig?.ips ?? []))
  const addresses: Address[] = []
  for (const text of texts) {
    // The range tells the prefix length; one that comes with the address does not count.
    const address = parseIp(text.split('/', 1)[0] ?? '')
    if (!address) throw new ConfigError('ips', `cannot understand ip: invalid IP address ${text}`)
    if (!addresses.some((other) => sameAddress(other, address))) addresses.push(address)
  }
  return addresses
}

/** Gives each set the first requested address that lies in it; none may be left over. */
function assignRequests(sets: readonly RangeSet[], addresses: readonly Address[]): SetPlan[] {
  const open = [...addresses]
  const plans = sets.map((ranges, index): SetPlan => {
    const at = open.findIndex((address) => rangeFor(ranges, address))
    const [address] = at < 0 ? [] : open.splice(at, 1)
    const range = address && rangeFor(ranges, address)
    if (!range) return { index, ranges }
    refuseUnusable({ address, range }, ranges, index)
    return { index, ranges, requested: { address, range } }
  })
  if (open.length > 0) {
    const list = open.map(formatAddress).join(' ')
    throw new ConfigError('ips', `failed to allocate all requested IPs: ${list}`)
  }
  return plans
}

function refuseUnusable({ address, range }: Candidate, ranges: RangeSet, index: number): void {
  const refuse = (text: string): never => {
    throw new ConfigError('ips', `failed to allocate for range ${index}: ${text}`)
  }
  const ip = formatAddress(address)
  if (sameAddress(address, range.gateway)) refuse(`requested ip ${ip} is subnet's gateway`)
  if (isReserved(range, address)) {
    refuse(
      `requested IP address ${ip} is not available in range set ${formatRangeSet(ranges)}: it is the network or broadcast address of ${formatPrefix(range.subnet)}`,
    )
  }
}

function readRoute(conf: RouteConf, index: number): Route {
  const { dst, gw, mtu, advmss, priority, table, scope } = conf
  const path = `ipam.routes.${index}`
  const destination = parsePrefix(dst)
  if (!destination) throw new ConfigError(`${path}.dst`, `invalid CIDR address: ${dst}`)
  const gateway = gw ? parseIp(gw) : undefined
  if (gw && !gateway) throw new ConfigError(`${path}.gw`, `invalid IP address: ${gw}`)
  return {
    dst: formatPrefix(destination),
    ...(gateway && { gw: formatAddress(gateway) }),
    ...(mtu !== undefined && { mtu }),
    ...(advmss !== undefined && { advmss }),
    ...(priority !== undefined && { priority }),
    ...(table !== undefined && { table }),
    ...(scope !== undefined && { scope }),
  }
}
