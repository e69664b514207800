import { readFileSync } from 'node:fs'
import { ConfigError } from '../../conf/errors.ts'
import {
  type BackendConfig,
  type NetworkConfig,
  parseNetworkConfig,
} from '../../conf/network-config.ts'
import type { Store } from '../../store/store.ts'

/** The network configuration as it was found. */
export interface FoundConfig {
  readonly text: string
  readonly config: NetworkConfig & { readonly backend: BackendConfig }
  /** An earlier run knew it; the store does not have it, or not now. */
  readonly isRemembered?: true
  /** The store did not answer when it was asked for it. */
  readonly isStoreAway?: true
}

/** flannel's words for a store without a configuration; we keep asking, as it does. */
export const CONFIG_MISSING =
  'flannel config not found in etcd store. Did you create your config using etcdv3 API?'

const EMBEDDED_DEFAULT = JSON.stringify({ Network: '10.244.0.0/16', Backend: { Type: 'vxlan' } })

/**
 * The text of the network configuration in the store. Written there first when it is absent and
 * there is something to write: the file's, or for a store of this machine alone the usual one.
 * Undefined: there is none yet.
 * @throws ConfigError, DecodeError naming what is wrong with the file; StoreError
 */
export async function findConfig(
  store: Store,
  prefix: string,
  options: { readonly path: string | undefined; readonly local: boolean },
): Promise<string | undefined> {
  const key = `${prefix}/config`
  const entry = await store.get(key)
  if (entry) return entry.value
  const text = options.path === undefined ? undefined : await readConfigFile(options.path)
  const wanted = text ?? (options.local ? EMBEDDED_DEFAULT : undefined)
  if (wanted === undefined) return undefined
  // Nobody else is to stumble over a configuration that we can see is wrong.
  readConfig(wanted, { key: options.path ?? key, local: options.local })
  return ((await store.create(key, wanted)) ?? (await store.get(key)))?.value
}

/** @throws ConfigError, DecodeError */
export function readConfig(
  text: string,
  { key, local }: { readonly key: string; readonly local: boolean },
): FoundConfig['config'] {
  const config = parseNetworkConfig(text)
  if (config.backend) return { ...config, backend: config.backend }
  if (local) return { ...config, backend: { type: 'vxlan', options: {} } }
  throw new ConfigError(
    'Backend',
    `${key} has no Backend: to flannel that means the udp backend, which heddled does not have. Add "Backend": {"Type": "vxlan"} to it`,
  )
}

async function readConfigFile(path: string): Promise<string> {
  return jsonOf(readFileSync(path, 'utf8'), path)
}

/**
 * JSON as it is; YAML is turned into it. `name` is where the text is from.
 * @throws ConfigError for what is neither
 */
export async function jsonOf(text: string, name: string): Promise<string> {
  try {
    JSON.parse(text)
    return text
  } catch {
    // YAML holds JSON, and is loaded only for who writes it.
    const { parse } = await import('yaml')
    try {
      return JSON.stringify(parse(text, { logLevel: 'error' }))
    } catch (error) {
      // The rest shows the place, over several lines.
      const [reason = ''] = (error instanceof Error ? error.message : String(error)).split('\n')
      throw new ConfigError('', `${name} is neither JSON nor YAML: ${reason}`, { cause: error })
    }
  }
}
