import { ConfigError } from '../../conf/errors.ts'
import type { NetConf } from '../../conf/net-conf.ts'

/**
 * The capability `aliases`: other names of the container in this network, undefined when there are
 * none. A list by the conventions of CNI; podman hands over a list for each network by its name.
 * @throws ConfigError for anything else.
 */
export function readAliases({ name = '', runtimeConfig }: NetConf): readonly string[] | undefined {
  const value = runtimeConfig?.['aliases']
  if (value === undefined || value === null) return undefined
  const list = isObject(value) ? (value[name] ?? []) : value
  if (!Array.isArray(list) || !list.every((item): item is string => typeof item === 'string')) {
    throw new ConfigError('runtimeConfig.aliases', 'aliases must be a list of names')
  }
  return list.length > 0 ? list : undefined
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
