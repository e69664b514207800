import type { Call } from '../call.ts'

/** Limits that the configuration itself may hold, as the reference bandwidth plugin's does. */
export const amountKeys = ['ingressRate', 'ingressBurst', 'egressRate', 'egressBurst'] as const

/**
 * Whether the runtime or the configuration asks for published ports or shaping, which this plugin
 * does itself under `heddle` only: under the other names a plugin further down the chain does, as
 * upstream.
 */
export function wantsFeatures({ role, conf }: Call): boolean {
  if (role !== 'heddle') return false
  if (amountKeys.some((key) => conf[key] !== undefined)) return true
  if (!conf.runtimeConfig) return false
  const { portMappings, bandwidth } = conf.runtimeConfig
  return (portMappings !== undefined && portMappings.length > 0) || bandwidth !== undefined
}

/** Whether an ADD of this configuration may have been asked for them: for a DEL without record. */
export function mayHaveFeatures(call: Call): boolean {
  if (wantsFeatures(call)) return true
  const { capabilities } = call.conf
  if (call.role !== 'heddle' || !capabilities) return false
  return capabilities['portMappings'] === true || capabilities['bandwidth'] === true
}

/**
 * Whether this run only adds to a link that another plugin of the chain makes: by its name, by the
 * configuration, or, for ADD, since there is a result with the container's interface already. Other
 * verbs of a `heddle` that does not say so are told by the record.
 */
export function isChained({ role, conf, invocation }: Call): boolean {
  if (role === 'portmap' || role === 'bandwidth') return true
  if (role !== 'heddle') return false
  if (conf.chained !== undefined) return conf.chained
  const { prevResult } = conf
  return invocation.command === 'ADD' && prevResult !== undefined && isOf(invocation, prevResult)
}

/**
 * Whether a result is about this interface of the container, which loopback's is not. Results of
 * before CNI 0.3.0 name no interface; they are told by their addresses.
 */
function isOf({ ifname }: Call['invocation'], result: Readonly<Record<string, unknown>>): boolean {
  const { interfaces, ips, ip4, ip6 } = result
  if (Array.isArray(interfaces)) {
    const found: readonly unknown[] = interfaces
    return found.some((one) => isObject(one) && one['name'] === ifname && Boolean(one['sandbox']))
  }
  const addresses: readonly unknown[] = Array.isArray(ips) ? ips : [ip4, ip6]
  return addresses.some((one) => isObject(one) && !isLoopback(one['address'] ?? one['ip']))
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function isLoopback(address: unknown): boolean {
  return typeof address === 'string' && (address.startsWith('127.') || address.startsWith('::1/'))
}
