import { keys } from './generated/feature-conf.keys.ts'
import type { FeatureConf } from './generated/feature-conf.types.ts'
import { validate } from './generated/feature-conf.validate.js'
import { canonicalKeys } from './keys.ts'
import { type NetConf, wrongType } from './net-conf.ts'

export type {
  BandwidthConf,
  FeatureConf,
  PortMappingConf,
} from './generated/feature-conf.types.ts'

/**
 * Reads the keys of a configuration that only some runs need; their validator is code that the
 * others do without.
 * @throws DecodeError as `parseNetConf` does.
 */
export function parseFeatureConf(conf: NetConf): FeatureConf {
  const read = canonicalKeys(conf, keys)
  if (!validate(read)) throw wrongType(validate.errors?.[0])
  return read as FeatureConf
}
