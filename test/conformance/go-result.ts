import { isIP } from 'node:net'

/** What a plugin printed on ADD, as libcni's types hold it: known fields only, in their order. */
export type GoResult = Readonly<Record<string, unknown>> & { readonly cniVersion: string }

type Raw = Readonly<Record<string, unknown>>

/**
 * Reads a plugin's answer to ADD as libcni 1.3 does: `null` is an empty result, an answer without a
 * version has the configuration's, and everything must be of its Go type. Throws what would make
 * libcni fail.
 */
export function readGoResult(stdout: string, confVersion: string): GoResult {
  const raw = (JSON.parse(stdout) as Raw | null) ?? {}
  const version =
    typeof raw['cniVersion'] === 'string' && raw['cniVersion'] !== ''
      ? raw['cniVersion']
      : confVersion
  const dns = readDns(raw)
  if (version === '0.1.0' || version === '0.2.0') {
    return { cniVersion: version, ...readSingle(raw, 'ip4'), ...readSingle(raw, 'ip6'), dns }
  }
  const isOld = version.startsWith('0.')
  return {
    cniVersion: version,
    ...some(
      'interfaces',
      list(raw, 'interfaces').map((one) => readInterface(one, isOld)),
    ),
    ...some(
      'ips',
      list(raw, 'ips').map((one) => readIp(one, isOld)),
    ),
    ...some('routes', list(raw, 'routes').map(readRoute)),
    ...(isOld || Object.keys(dns).length > 0 ? { dns } : {}),
  }
}

function readSingle(raw: Raw, key: string): object {
  const one = object(raw, key)
  if (one === undefined) return {}
  const routes = list(one, 'routes').map(readRoute)
  return { [key]: { ip: cidr(one, 'ip'), ...address(one, 'gateway'), ...some('routes', routes) } }
}

function readInterface(raw: Raw, isOld: boolean): object {
  return {
    ...text(raw, 'name'),
    ...text(raw, 'mac'),
    ...(isOld ? {} : count(raw, 'mtu')),
    ...text(raw, 'sandbox'),
    ...(isOld ? {} : { ...text(raw, 'socketPath'), ...text(raw, 'pciID') }),
  }
}

function readIp(raw: Raw, isOld: boolean): object {
  const version = isOld ? text(raw, 'version') : {}
  return {
    ...version,
    ...count(raw, 'interface'),
    address: cidr(raw, 'address'),
    ...address(raw, 'gateway'),
  }
}

/** One Go type for all versions: what came with 1.1.0 is kept in older results too. */
function readRoute(raw: Raw): object {
  const plain = { dst: cidr(raw, 'dst'), ...address(raw, 'gw') }
  const numbers = ['mtu', 'advmss', 'priority', 'table', 'scope'].map((key) => count(raw, key))
  return Object.assign(plain, ...numbers) as object
}

function readDns(raw: Raw): object {
  const dns = object(raw, 'dns') ?? {}
  const texts = (key: string) => some(key, (dns[key] ?? []) as unknown[])
  return {
    ...texts('nameservers'),
    ...text(dns, 'domain'),
    ...texts('search'),
    ...texts('options'),
  }
}

function some(key: string, values: readonly unknown[]): object {
  return values.length > 0 ? { [key]: values } : {}
}

function fail(raw: Raw, key: string): never {
  throw new TypeError(`libcni cannot read "${key}" of ${JSON.stringify(raw)}`)
}

function object(raw: Raw, key: string): Raw | undefined {
  const value = raw[key] ?? undefined
  if (value === undefined) return undefined
  return typeof value === 'object' && !Array.isArray(value) ? (value as Raw) : fail(raw, key)
}

function list(raw: Raw, key: string): readonly Raw[] {
  const value = raw[key] ?? []
  return Array.isArray(value) ? (value as Raw[]) : fail(raw, key)
}

function text(raw: Raw, key: string): object {
  const value = raw[key] ?? ''
  if (typeof value !== 'string') return fail(raw, key)
  return value === '' ? {} : { [key]: value }
}

function count(raw: Raw, key: string): object {
  const value = raw[key] ?? undefined
  if (value === undefined) return {}
  return Number.isInteger(value) ? { [key]: value } : fail(raw, key)
}

function cidr(raw: Raw, key: string): string {
  const value = raw[key]
  if (typeof value !== 'string') return fail(raw, key)
  const [ip = '', length = '', ...rest] = value.split('/')
  const most = isIP(ip) === 4 ? 32 : 128
  const isRight =
    isIP(ip) > 0 && /^\d+$/.test(length) && Number(length) <= most && rest.length === 0
  return isRight ? value : fail(raw, key)
}

function address(raw: Raw, key: string): object {
  const value = raw[key] ?? ''
  if (value === '') return {}
  return typeof value === 'string' && isIP(value) > 0 ? { [key]: value } : fail(raw, key)
}
