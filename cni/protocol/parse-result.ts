import { parseAddress } from '../../ip/address.ts'
import { parsePrefix } from '../../ip/prefix.ts'
import { CniError, errorCodes } from './error.ts'
import {
  type CniResult,
  type Dns,
  type Interface,
  type IpConfig,
  type Route,
  shapeOf,
} from './result.ts'
import type { CniVersion } from './versions.ts'

/**
 * Reads a result that another plugin printed, or `prevResult`, in the version it says it is; one
 * that does not say is taken as `confVersion` (cni.md R7, R8). Fields it does not know are dropped.
 * @throws CniError when the version is of another family than the configuration's, a field has a
 * wrong type or an address cannot be read. `what` names the value in the message.
 */
export function parseResult(value: unknown, confVersion: CniVersion, what: string): CniResult {
  try {
    const raw = isRecord(value) ? value : fail('not a JSON object')
    requireSameFamily(raw['cniVersion'], confVersion)
    return shapeOf[confVersion] === 'single' ? readSingle(raw) : readPlain(raw)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw new CniError(errorCodes.decode, `could not parse ${what}: ${error.message}`)
  }
}

type Raw = Readonly<Record<string, unknown>>

function fail(reason: string): never {
  throw new SyntaxError(reason)
}

function isRecord(value: unknown): value is Raw {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function requireSameFamily(own: unknown, confVersion: CniVersion): void {
  if (own === undefined || own === null || own === '') return
  const family = Object.entries(shapeOf)
    .filter(([, shape]) => shape === shapeOf[confVersion])
    .map(([version]) => version)
  if (family.some((version) => version === own)) return
  fail(
    `result type supports [${family.join(' ')}] but unmarshalled CNIVersion is ${JSON.stringify(own)}`,
  )
}

function readPlain(raw: Raw): CniResult {
  const interfaces = listOf(raw, 'interfaces').map(readInterface)
  const ips = listOf(raw, 'ips').map((one) => readIp(one, interfaces.length))
  return { interfaces, ips, routes: listOf(raw, 'routes').map(readRoute), dns: readDns(raw) }
}

function readSingle(raw: Raw): CniResult {
  const parts = [recordOf(raw, 'ip4'), recordOf(raw, 'ip6')].filter((part) => part !== undefined)
  const ips = parts.map((part) => readIp({ address: part['ip'], gateway: part['gateway'] }, 0))
  const routes = parts.flatMap((part) => listOf(part, 'routes').map(readRoute))
  return { ips, routes, dns: readDns(raw) }
}

function readInterface(raw: Raw): Interface {
  return {
    name: textOf(raw, 'name') ?? fail('an interface has no name'),
    ...present('mac', textOf(raw, 'mac')),
    ...present('mtu', countOf(raw, 'mtu')),
    ...present('sandbox', textOf(raw, 'sandbox')),
    ...present('socketPath', textOf(raw, 'socketPath')),
    ...present('pciID', textOf(raw, 'pciID')),
  }
}

function readIp(raw: Raw, interfaces: number): IpConfig {
  const address = textOf(raw, 'address') ?? ''
  if (!parsePrefix(address)) fail(`"${address}" is not an address with a prefix length`)
  const index = countOf(raw, 'interface')
  if (index !== undefined && index >= interfaces) {
    fail(`interface ${index} of ${address} is not one of the ${interfaces} interfaces`)
  }
  return {
    address,
    ...present('gateway', addressOf(raw, 'gateway')),
    ...present('interface', index),
  }
}

function readRoute(raw: Raw): Route {
  const dst = textOf(raw, 'dst') ?? ''
  if (!parsePrefix(dst)) fail(`route destination "${dst}" is not a prefix`)
  return {
    dst,
    ...present('gw', addressOf(raw, 'gw')),
    ...present('mtu', countOf(raw, 'mtu')),
    ...present('advmss', countOf(raw, 'advmss')),
    ...present('priority', countOf(raw, 'priority')),
    ...present('table', countOf(raw, 'table')),
    ...present('scope', countOf(raw, 'scope')),
  }
}

function readDns(raw: Raw): Dns {
  const dns = recordOf(raw, 'dns') ?? {}
  return {
    ...present('nameservers', textsOf(dns, 'nameservers')),
    ...present('domain', textOf(dns, 'domain')),
    ...present('search', textsOf(dns, 'search')),
    ...present('options', textsOf(dns, 'options')),
  }
}

/** `{ key: value }`, or nothing: an absent field is not a field of `undefined`. */
function present<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]?: V })
}

// Go prints an unset text as "" and an unset list as null now and then: both count as absent.

function recordOf(raw: Raw, key: string): Raw | undefined {
  const value = raw[key] ?? undefined
  return value === undefined || isRecord(value) ? value : fail(`${key} is not an object`)
}

function listOf(raw: Raw, key: string): readonly Raw[] {
  const list: unknown = raw[key] ?? []
  return Array.isArray(list) && list.every(isRecord)
    ? list
    : fail(`${key} is not a list of objects`)
}

function textsOf(raw: Raw, key: string): readonly string[] | undefined {
  const list: unknown = raw[key] ?? []
  const isTexts = Array.isArray(list) && list.every((one) => typeof one === 'string')
  if (!isTexts) return fail(`${key} is not a list of texts`)
  return list.length > 0 ? list : undefined
}

function textOf(raw: Raw, key: string): string | undefined {
  const text = raw[key] ?? ''
  if (typeof text !== 'string') return fail(`${key} is not a text`)
  return text === '' ? undefined : text
}

function addressOf(raw: Raw, key: string): string | undefined {
  const text = textOf(raw, key)
  return text === undefined || parseAddress(text)
    ? text
    : fail(`${key} "${text}" is not an address`)
}

function countOf(raw: Raw, key: string): number | undefined {
  const count = raw[key] ?? undefined
  if (count === undefined) return undefined
  const isCount = typeof count === 'number' && Number.isSafeInteger(count) && count >= 0
  return isCount ? count : fail(`${key} is not a whole number`)
}
