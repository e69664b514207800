import { formatPrefix, type Prefix, parsePrefix } from '../ip/prefix.ts'

/**
 * What the subnet file says (flannel's `/run/flannel/subnet.env`). The subnets are interface
 * addresses: the gateway's address with the subnet's length, `10.5.72.1/24`.
 */
export interface SubnetEnv {
  readonly networks: readonly Prefix[]
  readonly subnet?: Prefix
  readonly ipv6Networks: readonly Prefix[]
  readonly ipv6Subnet?: Prefix
  readonly mtu: number
  readonly ipMasq: boolean
}

/** A subnet file that lacks keys or holds a value that cannot be. */
export class SubnetEnvError extends Error {
  override readonly name = 'SubnetEnvError'
  readonly path: string
  /** The keys that are not there; empty when a value is wrong. */
  readonly missing: readonly string[]

  constructor(path: string, message: string, missing: readonly string[] = []) {
    super(`${path} ${message}`)
    this.path = path
    this.missing = missing
  }
}

/**
 * Reads a subnet file as flannel's CNI plugin does: `KEY=VALUE` lines, unknown keys skipped, comma
 * lists for the networks, only the literal `true` turns masquerading on. `path` is for messages.
 * Throws `SubnetEnvError`, with flannel's words for missing keys.
 */
export function parseSubnetEnv(text: string, path: string): SubnetEnv {
  const values = readLines(text)
  const networks = prefixes(values, 'FLANNEL_NETWORK', path)
  const ipv6Networks = prefixes(values, 'FLANNEL_IPV6_NETWORK', path)
  const [subnet] = prefixes(values, 'FLANNEL_SUBNET', path)
  const [ipv6Subnet] = prefixes(values, 'FLANNEL_IPV6_SUBNET', path)
  const mtu = values.get('FLANNEL_MTU')
  const ipMasq = values.get('FLANNEL_IPMASQ')
  const missing = [
    ...(networks[0] || ipv6Networks[0] ? [] : ['FLANNEL_NETWORK', 'FLANNEL_IPV6_NETWORK']),
    ...(subnet || ipv6Subnet ? [] : ['FLANNEL_SUBNET', 'FLANNEL_IPV6_SUBNET']),
    ...(mtu === undefined ? ['FLANNEL_MTU'] : []),
    ...(ipMasq === undefined ? ['FLANNEL_IPMASQ'] : []),
  ]
  if (missing.length > 0 || mtu === undefined) {
    throw new SubnetEnvError(path, `is missing ${missing.join(', ')}`, missing)
  }
  if (!/^\d{1,5}$/.test(mtu)) {
    throw new SubnetEnvError(path, `has FLANNEL_MTU="${mtu}", which is not a number`)
  }
  return {
    networks,
    ...(subnet && { subnet }),
    ipv6Networks,
    ...(ipv6Subnet && { ipv6Subnet }),
    mtu: Number(mtu),
    ipMasq: ipMasq === 'true',
  }
}

function readLines(text: string): Map<string, string> {
  const values = new Map<string, string>()
  for (const line of text.split('\n')) {
    const match = /^\s*(?:export\s+)?(\w+)=(["']?)(.*?)\2\s*$/.exec(line)
    if (match?.[1] !== undefined && match[3] !== undefined) values.set(match[1], match[3])
  }
  return values
}

function prefixes(values: Map<string, string>, key: string, path: string): Prefix[] {
  const found = new Map<string, Prefix>()
  for (const word of (values.get(key) ?? '').split(',')) {
    if (word.trim() === '') continue
    const prefix = parsePrefix(word.trim())
    const family = key.includes('IPV6') ? 6 : 4
    if (prefix?.address.family !== family) {
      throw new SubnetEnvError(path, `has ${key}="${word}", which is not an IPv${family} CIDR`)
    }
    found.set(formatPrefix(prefix), prefix)
  }
  return [...found.values()]
}

/** The file's text: flannel's keys in flannel's order, a line break after each. */
export function formatSubnetEnv(env: SubnetEnv): string {
  const lines: string[] = []
  const add = (family: string, networks: readonly Prefix[], subnet: Prefix | undefined): void => {
    if (!subnet) return
    lines.push(`FLANNEL_${family}NETWORK=${networks.map(formatPrefix).join(',')}`)
    lines.push(`FLANNEL_${family}SUBNET=${formatPrefix(subnet)}`)
  }
  add('', env.networks, env.subnet)
  add('IPV6_', env.ipv6Networks, env.ipv6Subnet)
  lines.push(`FLANNEL_MTU=${env.mtu}`, `FLANNEL_IPMASQ=${env.ipMasq}`)
  return `${lines.join('\n')}\n`
}
