import type { Address } from '../../ip/address.ts'
import { byFamily } from '../../ip/by-family.ts'
import { localMac } from '../../ip/mac.ts'
import { createBackend } from '../backend/create-backend.ts'
import { type FoundConfig, jsonOf, readConfig } from './network-config.ts'

/** A configuration that can be used, and what is odd about it. */
export interface CheckedConfig {
  /** JSON, as it is to be written to the store. */
  readonly text: string
  readonly config: FoundConfig['config']
  readonly warnings: readonly string[]
}

/** Addresses kept for documents (RFC 5737, RFC 3849): they stand for a host that is not known. */
const someAddress: Readonly<Record<4 | 6, Address>> = {
  4: { family: 4, value: 0xc0000201n },
  6: { family: 6, value: 0x20010db8000000000000000000000001n },
}
const USUAL_MTU = 1500

/**
 * Checks a network configuration as a daemon would at its start, its backend's options too, without
 * a host. `key` is where the text is from.
 * @throws ConfigError, DecodeError naming what is wrong with it
 */
export function checkConfig(
  text: string,
  where: { readonly key: string; readonly local: boolean },
): CheckedConfig {
  const config = readConfig(text, where)
  const backend = createBackend({
    config: config.backend,
    uplinks: byFamily(
      (family) =>
        config.pools[family] && {
          index: 1,
          name: 'eth0',
          mtu: USUAL_MTU,
          address: someAddress[family],
          publicIP: someAddress[family],
        },
    ),
    macFor: () => localMac(new Uint8Array(6)),
  })
  return { text, config, warnings: [...config.warnings, ...backend.warnings] }
}

/**
 * The same for what a person wrote, JSON or YAML, for a store that several hosts share.
 * @throws ConfigError, DecodeError
 */
export async function checkWritten(text: string, name: string): Promise<CheckedConfig> {
  return checkConfig(await jsonOf(text, name), { key: name, local: false })
}
