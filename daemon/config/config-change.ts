import type { BackendConfig, Pool } from '../../conf/network-config.ts'
import { poolHas } from '../../conf/network-config.ts'
import { formatAddress, sameAddress } from '../../ip/address.ts'
import { type ByFamily, families } from '../../ip/by-family.ts'
import { formatPrefix, type Prefix, prefixCovers, sameNetwork } from '../../ip/prefix.ts'
import type { FoundConfig } from './network-config.ts'

/** What another network configuration means to a daemon at work. */
export type ConfigVerdict =
  /** It says the same in other words. */
  | { readonly kind: 'same' }
  /** It can be taken now; what is different, for the log. */
  | { readonly kind: 'live'; readonly changes: readonly string[] }
  /** The old one stays in force; a sentence that names the key. */
  | { readonly kind: 'refused'; readonly reason: string }

type Config = FoundConfig['config']

/**
 * The options by which a backend's devices are made, in lower case with their defaults: peers with
 * others cannot talk to each other. All other options can change while the daemon runs.
 */
const fixedOptions: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  vxlan: { vni: 1, port: 8472, gbp: false, learning: false },
}

const prefixOfKeys = { 4: '', 6: 'IPv6' } as const

/** Compares configurations, given the subnets that this host holds. Pure. */
export function judgeChange(before: Config, after: Config, held: ByFamily<Prefix>): ConfigVerdict {
  const backend = judgeBackend(before.backend, after.backend)
  if (backend.kind === 'refused') return backend
  const changes = backend.kind === 'live' ? [...backend.changes] : []
  for (const family of families) {
    const pools = { before: before.pools[family], after: after.pools[family] }
    const pool = judgePool(pools, held[family], prefixOfKeys[family])
    if (pool.kind === 'refused') return pool
    if (pool.kind === 'live') changes.push(...pool.changes)
  }
  return changes.length > 0 ? { kind: 'live', changes } : { kind: 'same' }
}

function judgeBackend(before: BackendConfig, after: BackendConfig): ConfigVerdict {
  if (before.type !== after.type) return refuse('Backend.Type', before.type, after.type)
  const fixed = fixedOptions[before.type] ?? {}
  const changes: string[] = []
  for (const key of new Set([...Object.keys(before.options), ...Object.keys(after.options)])) {
    const [old, now] = [before.options[key], after.options[key]].map((value) =>
      effective(value, fixed[key]),
    )
    if (JSON.stringify(old) === JSON.stringify(now)) continue
    if (Object.hasOwn(fixed, key)) return refuse(`Backend.${key}`, old, now)
    changes.push(`Backend.${key}: ${show(old)} to ${show(now)}`)
  }
  return changes.length > 0 ? { kind: 'live', changes } : { kind: 'same' }
}

/** A port of 0 is the default one. */
function effective(value: unknown, fallback: unknown): unknown {
  return value === undefined || (value === 0 && fallback === 8472) ? fallback : value
}

function judgePool(
  { before, after }: { before: Pool | undefined; after: Pool | undefined },
  held: Prefix | undefined,
  prefix: string,
): ConfigVerdict {
  const key = `${prefix}Network`
  if (!after) return before ? refuse(`Enable${prefix || 'IPv4'}`, true, false) : { kind: 'same' }
  if (!before) return { kind: 'live', changes: [`${key}: none to ${formatPrefix(after.network)}`] }
  if (before.subnetLen !== after.subnetLen) {
    return refuse(`${prefix}SubnetLen`, before.subnetLen, after.subnetLen)
  }
  const [old, now] = [formatPrefix(before.network), formatPrefix(after.network)]
  if (!prefixCovers(after.network, before.network)) return refuse(key, old, now)
  if (held && !poolHas(after, held)) {
    const reason = `${prefix}SubnetMin and ${prefix}SubnetMax leave out ${formatPrefix(held)}, which this host holds`
    return { kind: 'refused', reason: `${reason}: ${mend}` }
  }
  const changes = [
    ...(sameNetwork(before.network, after.network) ? [] : [`${key}: ${old} to ${now}`]),
    ...(['min', 'max'] as const).flatMap((bound) => {
      if (sameAddress(before[bound], after[bound])) return []
      const name = `${prefix}Subnet${bound === 'min' ? 'Min' : 'Max'}`
      return [`${name}: ${formatAddress(before[bound])} to ${formatAddress(after[bound])}`]
    }),
  ]
  return changes.length > 0 ? { kind: 'live', changes } : { kind: 'same' }
}

const mend = 'put the old value back, or restart heddled on every host'

function refuse(key: string, before: unknown, after: unknown): ConfigVerdict {
  const reason = `${key} cannot change from ${show(before)} to ${show(after)} while heddled runs: ${mend}`
  return { kind: 'refused', reason }
}

function show(value: unknown): string {
  if (value === undefined) return 'none'
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}
