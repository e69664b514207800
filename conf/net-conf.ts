import { DecodeError } from './errors.ts'
import { keys } from './generated/net-conf.keys.ts'
import type { NetConf } from './generated/net-conf.types.ts'
import { validate } from './generated/net-conf.validate.js'
import { canonicalKeys } from './keys.ts'

export type {
  DnsConf,
  IpamConf,
  NetConf,
  RangeConf,
  RouteConf,
} from './generated/net-conf.types.ts'

/**
 * Reads a plugin's configuration: JSON, known keys in the schema's spelling, known values of the
 * right type. `prevResult` and `delegate` stay as they were written, unread.
 * @throws DecodeError with the text callers know, `error unmarshall network config: ...`
 */
export function parseNetConf(text: string): NetConf {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    throw new DecodeError(`error unmarshall network config: ${(error as Error).message}`)
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new DecodeError('error unmarshall network config: a JSON object is needed')
  }
  const conf = canonicalKeys(json, keys)
  if (!validate(conf)) {
    const fault = validate.errors?.[0]
    const key = fault?.instancePath.slice(1).replaceAll('/', '.') ?? ''
    if (key === 'cniVersion') {
      throw new DecodeError(`decoding version from network config: cniVersion ${fault?.message}`)
    }
    const where = key === '' ? '' : `key "${key}" `
    throw new DecodeError(`error unmarshall network config: ${where}${fault?.message}`)
  }
  return conf as NetConf
}
