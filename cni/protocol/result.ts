import { CniError, errorCodes } from './error.ts'
import type { CniVersion } from './versions.ts'

/** A link that was made or is used. `sandbox` is its namespace's path, absent for the host's own. */
export interface Interface {
  readonly name: string
  readonly mac?: string
  readonly mtu?: number
  readonly sandbox?: string
  readonly socketPath?: string
  readonly pciID?: string
}

/** An address. `interface` is an index into the result's `interfaces`. */
export interface IpConfig {
  readonly address: string
  readonly gateway?: string
  readonly interface?: number
}

export interface Route {
  readonly dst: string
  readonly gw?: string
  readonly mtu?: number
  readonly advmss?: number
  readonly priority?: number
  readonly table?: number
  readonly scope?: number
}

export interface Dns {
  readonly nameservers?: readonly string[]
  readonly domain?: string
  readonly search?: readonly string[]
  readonly options?: readonly string[]
}

/** A result in the shape of the newest version, whichever version is to be printed. */
export interface CniResult {
  readonly interfaces?: readonly Interface[]
  readonly ips?: readonly IpConfig[]
  readonly routes?: readonly Route[]
  readonly dns?: Dns
}

/** Versions whose results have one shape. Go's decoder reads a result only within one family. */
export type Shape = 'single' | 'versioned' | 'plain'

export const shapeOf: Readonly<Record<CniVersion, Shape>> = {
  '0.1.0': 'single',
  '0.2.0': 'single',
  '0.3.0': 'versioned',
  '0.3.1': 'versioned',
  '0.4.0': 'versioned',
  '1.0.0': 'plain',
  '1.1.0': 'plain',
}

/**
 * Whether a result with no address can be printed in this version. ADD asks before it does
 * anything, since 0.1.0 and 0.2.0 have no form for a container that only has a link.
 * @throws CniError when it cannot.
 */
export function requirePrintable(version: CniVersion, hasAddress: boolean): void {
  if (shapeOf[version] !== 'single' || hasAddress) return
  throw new CniError(errorCodes.invalidConfig, 'cannot convert: no valid IP addresses')
}

/** The JSON text of a result in the form of a version, with a final newline. */
export function renderResult(result: CniResult, version: CniVersion): string {
  return `${JSON.stringify(convertResult(result, version), null, 4)}\n`
}

/** The JSON value of a result in the form of a version; what the version has no place for is left out. */
export function convertResult(result: CniResult, version: CniVersion): object {
  return { cniVersion: version, ...converters[shapeOf[version]](result, version) }
}

const converters: Readonly<
  Record<Shape, (result: CniResult, version: CniVersion) => Record<string, unknown>>
> = {
  single({ ips = [], routes = [], dns = {} }, version) {
    requirePrintable(version, ips.length > 0)
    return { ...familyPart('ip4', ips, routes), ...familyPart('ip6', ips, routes), dns }
  },
  versioned({ interfaces = [], ips = [], routes = [], dns = {} }) {
    return {
      ...unlessEmpty('interfaces', interfaces.map(olderInterface)),
      ...unlessEmpty('ips', ips.map(versionedIp)),
      ...unlessEmpty('routes', routes.map(olderRoute)),
      dns,
    }
  },
  plain({ interfaces = [], ips = [], routes = [], dns = {} }, version) {
    const newest = version === '1.1.0'
    return {
      ...unlessEmpty('interfaces', newest ? interfaces : interfaces.map(olderInterface)),
      ...unlessEmpty('ips', ips),
      ...unlessEmpty('routes', newest ? routes : routes.map(olderRoute)),
      ...(Object.keys(dns).length > 0 ? { dns } : {}),
    }
  },
}

function unlessEmpty(key: string, list: readonly unknown[]): Record<string, unknown> {
  return list.length > 0 ? { [key]: list } : {}
}

function olderInterface({ name, mac, sandbox }: Interface): Interface {
  return {
    name,
    ...(mac === undefined ? {} : { mac }),
    ...(sandbox === undefined ? {} : { sandbox }),
  }
}

function olderRoute({ dst, gw }: Route): Route {
  return { dst, ...(gw === undefined ? {} : { gw }) }
}

function versionedIp(ip: IpConfig): object {
  return { version: String(familyOf(ip.address)), ...ip }
}

/** 0.1.0 and 0.2.0 know one address of each family, and put the family's routes with it. */
function familyPart(
  key: 'ip4' | 'ip6',
  ips: readonly IpConfig[],
  routes: readonly Route[],
): object {
  const family = key === 'ip4' ? 4 : 6
  const first = ips.find((ip) => familyOf(ip.address) === family)
  if (first === undefined) return {}
  const own = routes.filter((route) => familyOf(route.dst) === family).map(olderRoute)
  const gateway = first.gateway === undefined ? {} : { gateway: first.gateway }
  return { [key]: { ip: first.address, ...gateway, ...unlessEmpty('routes', own) } }
}

function familyOf(cidr: string): 4 | 6 {
  return cidr.includes(':') ? 6 : 4
}
