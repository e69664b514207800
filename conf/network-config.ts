import {
  type Address,
  type Family,
  formatAddress,
  offsetAddress,
  parseAddress,
} from '../ip/address.ts'
import { type ByFamily, byFamily } from '../ip/by-family.ts'
import {
  firstAddress,
  lastAddress,
  network,
  type Prefix,
  parsePrefix,
  prefixContains,
  prefixSize,
} from '../ip/prefix.ts'
import { ConfigError, DecodeError } from './errors.ts'
import { parseForeignJson } from './json.ts'
import { canonicalKeys } from './keys.ts'

/** The subnets of one family that nodes may take. */
export interface Pool {
  readonly network: Prefix
  /** The prefix length of each node's subnet. */
  readonly subnetLen: number
  /** The first address of the first and of the last subnet that may be taken. */
  readonly min: Address
  readonly max: Address
}

/** `Backend` of the network configuration. */
export interface BackendConfig {
  /** Lower-case, as flannel compares it; empty if the configuration has `Backend` without `Type`. */
  readonly type: string
  /** The other keys, in lower case, not checked yet: each backend has its own. */
  readonly options: Readonly<Record<string, unknown>>
}

/** The cluster's network, the store's `config` key. */
export interface NetworkConfig {
  readonly pools: ByFamily<Pool>
  /** Absent where the configuration has none: to flannel that means `udp`. */
  readonly backend?: BackendConfig
  /** What is odd but does not stop us: keys nobody knows. */
  readonly warnings: readonly string[]
}

const knownKeys = {
  EnableIPv4: {},
  EnableIPv6: {},
  EnableNFTables: {},
  Network: {},
  IPv6Network: {},
  SubnetLen: {},
  SubnetMin: {},
  SubnetMax: {},
  IPv6SubnetLen: {},
  IPv6SubnetMin: {},
  IPv6SubnetMax: {},
  Backend: {},
}

/** What differs between the families; flannel's limits (its `pkg/subnet/config.go`). */
const rules = {
  4: { key: '', wide: 22, usual: 24, smallest: 28, longest: 30 },
  6: { key: 'IPv6', wide: 62, usual: 64, smallest: 124, longest: 126 },
} as const

type Values = Readonly<Record<string, unknown>>

/**
 * Reads flannel's network configuration with flannel's defaults, rules and messages. Keys match
 * without regard to case, host bits of the networks are cleared.
 * @throws DecodeError for text that is not a JSON object, ConfigError naming the key otherwise.
 */
export function parseNetworkConfig(text: string): NetworkConfig {
  const values = readObject(text)
  const enabled = { 4: flag(values, 'EnableIPv4', true), 6: flag(values, 'EnableIPv6', false) }
  if (!enabled[4] && !enabled[6]) {
    throw new ConfigError(
      'EnableIPv4',
      'none defined stack: EnableIPv4 and EnableIPv6 are both false',
    )
  }
  const backend = readBackend(values['Backend'])
  const warnings = Object.keys(values)
    .filter((key) => !Object.hasOwn(knownKeys, key))
    .map((key) => `unknown key "${key}" in the network configuration`)
  return {
    pools: byFamily((family) => (enabled[family] ? readPool(values, family) : undefined)),
    ...(backend && { backend }),
    warnings,
  }
}

function readObject(text: string): Values {
  const json = parseForeignJson(text, 'the network configuration')
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new DecodeError('the network configuration is not a JSON object')
  }
  return canonicalKeys(json, knownKeys) as Values
}

function readPool(values: Values, family: Family): Pool {
  const { key } = rules[family]
  const raw = text(values, `${key}Network`)
  const range = raw === undefined ? undefined : parsePrefix(raw)
  if (raw !== undefined && range?.address.family !== family) {
    throw new ConfigError(`${key}Network`, `${key}Network is not an IPv${family} CIDR: ${raw}`)
  }
  // flannel takes 0.0.0.0/0 for "not set".
  if (!range || range.length === 0) {
    const message = `please define a correct ${key}Network parameter in the flannel config`
    throw new ConfigError(`${key}Network`, message)
  }
  const whole = network(range)
  const subnetLen = readSubnetLen(values, whole)
  const size = prefixSize({ address: whole.address, length: subnetLen })
  const first = firstAddress(whole)
  const last = offsetAddress(lastAddress(whole), 1n - size)
  const bound = (name: string, fallback: Address): Address =>
    readBound(values, `${key}${name}`, { whole, subnetLen }) ?? fallback
  // The first subnet is left out by default, as in flannel.
  const min = bound('SubnetMin', offsetAddress(first, size))
  const max = bound('SubnetMax', last)
  if (min.value > max.value) {
    throw new ConfigError(`${key}SubnetMin`, `${key}SubnetMin is greater than ${key}SubnetMax`)
  }
  return { network: whole, subnetLen, min, max }
}

function readSubnetLen(values: Values, { address: { family }, length }: Prefix): number {
  const { key, wide, usual, smallest, longest } = rules[family]
  const name = `${key}SubnetLen`
  const given = values[name]
  // 0 is Go's "not set".
  if (given === undefined || given === 0) {
    if (length > smallest) {
      const which = family === 4 ? 'network' : 'IPv6Network'
      const message = `${which} is too small. Minimum useful network prefix is /${smallest}`
      throw new ConfigError(`${key}Network`, message)
    }
    return length <= wide ? usual : length + 2
  }
  if (typeof given !== 'number' || !Number.isInteger(given) || given < 0) {
    throw new ConfigError(name, `${name} is not a whole number: ${JSON.stringify(given)}`)
  }
  if (given > longest) throw new ConfigError(name, `SubnetLen must be less than /${longest + 1}`)
  if (given < length + 2) {
    throw new ConfigError(name, 'network must be able to accommodate at least four subnets')
  }
  return given
}

function readBound(
  values: Values,
  name: string,
  { whole, subnetLen }: { whole: Prefix; subnetLen: number },
): Address | undefined {
  const raw = text(values, name)
  if (raw === undefined) return undefined
  const address = parseAddress(raw)
  const { family } = whole.address
  if (address?.family !== family) {
    throw new ConfigError(name, `${name} is not an IPv${family} address: ${raw}`)
  }
  if (!prefixContains(whole, address)) {
    const key = `${rules[family].key}Network`
    throw new ConfigError(name, `${name} is not in the range of the ${key}`)
  }
  const subnet = { address, length: subnetLen }
  if (firstAddress(subnet).value !== address.value) {
    throw new ConfigError(name, `${name} is not on a SubnetLen boundary: ${formatAddress(address)}`)
  }
  return address
}

function readBackend(value: unknown): BackendConfig | undefined {
  if (value === undefined) return undefined
  const fail = (reason: string): never => {
    throw new ConfigError('Backend', `error decoding Backend property of config: ${reason}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return fail('it is not a JSON object')
  }
  const options: Record<string, unknown> = {}
  for (const [key, item] of Object.entries(value)) options[key.toLowerCase()] = item
  const { type = '', ...rest } = options
  if (typeof type !== 'string') return fail('Type is not a string')
  return { type: type.toLowerCase(), options: rest }
}

function flag(values: Values, key: string, fallback: boolean): boolean {
  const value = values[key]
  if (value === undefined) return fallback
  if (typeof value === 'boolean') return value
  throw new ConfigError(key, `${key} is neither true nor false: ${JSON.stringify(value)}`)
}

function text(values: Values, key: string): string | undefined {
  const value = values[key]
  if (value === undefined || value === '') return undefined
  if (typeof value === 'string') return value
  throw new ConfigError(key, `${key} is not a string: ${JSON.stringify(value)}`)
}

/** Whether a node may hold this subnet under the configuration: right length, between min and max. */
export function poolHas(pool: Pool, subnet: Prefix): boolean {
  const { family, value } = subnet.address
  return (
    family === pool.network.address.family &&
    subnet.length === pool.subnetLen &&
    value >= pool.min.value &&
    value <= pool.max.value
  )
}
