import type { ErrorObject } from 'ajv'
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
  RuntimeDns,
} from './generated/net-conf.types.ts'

/**
 * Reads a plugin's configuration: JSON, known keys in the schema's spelling, known values of the
 * right type. `prevResult` and `delegate` stay as they were written, unread.
 * @throws DecodeError with the text callers know, `error unmarshall network config: ...`
 */
export function parseNetConf(text: string): NetConf {
  if (text.length > 2 * maxDepth) refuseDepth(text)
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
  if (!validate(conf)) throw wrongType(validate.errors?.[0])
  return conf as NetConf
}

/** Deeper than any configuration, and not too deep for those who walk through one. */
const maxDepth = 1000

/** A short text cannot be deep: what is opened has to be closed. */
function refuseDepth(text: string): void {
  let depth = 0
  let isInText = false
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (isInText) {
      if (code === 0x5c) at++
      else if (code === 0x22) isInText = false
    } else if (code === 0x22) isInText = true
    else if (code === 0x5b || code === 0x7b) depth++
    else if (code === 0x5d || code === 0x7d) depth--
    if (depth > maxDepth) {
      throw new DecodeError('error unmarshall network config: exceeded max depth')
    }
  }
}

/** What a generated validator finds, in the words of the reference plugins' decoder. */
export function wrongType(fault: ErrorObject | undefined): DecodeError {
  // A JSON pointer (RFC 6901): `~1` is a slash within a key.
  const key = fault?.instancePath.slice(1).replaceAll('/', '.').replaceAll('~1', '/') ?? ''
  if (key === 'cniVersion') {
    return new DecodeError(`decoding version from network config: cniVersion ${fault?.message}`)
  }
  const where = key === '' ? '' : `key "${key}" `
  return new DecodeError(`error unmarshall network config: ${where}${fault?.message}`)
}
