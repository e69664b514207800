import type { Call } from '../call.ts'

/**
 * Whether the runtime asks for published ports or shaping, which this plugin does itself under
 * `heddle` only: under the other names a plugin further down the chain does, as upstream.
 */
export function wantsFeatures({ role, conf }: Call): boolean {
  if (role !== 'heddle' || !conf.runtimeConfig) return false
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
 * configuration, or, for ADD, since there is a result already. Other verbs of a `heddle` that does
 * not say so are told by the record.
 */
export function isChained({ role, conf, invocation }: Call): boolean {
  if (role === 'portmap' || role === 'bandwidth') return true
  if (role !== 'heddle') return false
  return conf.chained === true || (invocation.command === 'ADD' && conf.prevResult !== undefined)
}
