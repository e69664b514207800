import { type Address, type Family, parseAddress } from '../../ip/address.ts'
import { byFamily } from '../../ip/by-family.ts'
import type { Level } from '../../log/logger.ts'
import { chooseStore, type StoreChoice } from '../host/store-choice.ts'
import type { UplinkChoice } from '../uplink/uplink.ts'
import { type FlagValues, type ParsedFlags, UsageError } from './flags.ts'
import { flagsToKeep } from './flags-file.ts'

/** Everything the command line and the environment decide, checked. */
export interface Settings {
  readonly store: StoreChoice
  /** The store's folder for this network, without a slash at its end. */
  readonly storePrefix: string
  readonly netConfigPath: string | undefined
  readonly uplink: UplinkChoice
  readonly instance: string
  readonly subnetFile: string
  readonly stateDir: string
  readonly ttlSeconds: number
  readonly renewMarginSeconds: number
  readonly ipMasq: boolean
  readonly fullyRandom: boolean
  readonly forwardRules: boolean
  readonly firewallSeconds: number
  readonly healthz: { readonly host: string; readonly port: number } | undefined
  readonly logLevel: Level
  readonly logFormat: 'text' | 'json'
  /** The flags it was made of, for who cleans up: see flagsToKeep. */
  readonly kept: Readonly<Record<string, string>>
}

/** Names become paths, and parts of names in the firewall. */
const INSTANCE = /^[a-z\d][a-z\d-]{0,30}$/

/** Makes settings of flags. `program` is the name heddled was started by. Throws UsageError. */
export function settingsOf(flags: ParsedFlags, program: string): Settings {
  const { values, given } = flags
  const { instance } = values
  if (!INSTANCE.test(instance)) {
    throw new UsageError(`--instance "${instance}" is not lower-case letters, digits and dashes`)
  }
  const logFormat = values['log-format']
  if (logFormat !== 'text' && logFormat !== 'json') {
    throw new UsageError(`--log-format is text or json, not "${logFormat}"`)
  }
  const port = values['healthz-port']
  const usual = instance === 'default' ? 'subnet' : instance
  const storePrefix = values['etcd-prefix'].replace(/\/+$/, '')
  const store = chooseStore(values, given, { program, prefix: storePrefix })
  const subnetFile = values['subnet-file'] ?? `/run/flannel/${usual}.env`
  return {
    store,
    storePrefix,
    netConfigPath: values['net-config-path'],
    uplink: uplinkChoice(values),
    instance,
    subnetFile,
    stateDir: values['state-dir'] ?? `/var/lib/heddle/${instance}`,
    ttlSeconds: values['subnet-lease-ttl'],
    renewMarginSeconds: values['subnet-lease-renew-margin'] * 60,
    ipMasq: values['ip-masq'],
    fullyRandom: !values['ip-masq-fully-random-disable'],
    forwardRules: values['iptables-forward-rules'],
    firewallSeconds: values['iptables-resync'],
    healthz: port === 0 ? undefined : { host: values['healthz-ip'], port },
    logLevel: values.v >= 4 ? 'debug' : 'info',
    logFormat,
    kept: flagsToKeep(flags, {
      store: store.kind === 'sqlite' ? `sqlite:${store.path}` : store.kind,
      subnetFile,
    }),
  }
}

function uplinkChoice(values: FlagValues): UplinkChoice {
  const names = { 4: 'public-ip', 6: 'public-ipv6' } as const
  return {
    ifaces: values.iface,
    regexes: values['iface-regex'].map((text) => {
      try {
        return new RegExp(text)
      } catch (error) {
        throw new UsageError(`--iface-regex: ${(error as Error).message}`, { cause: error })
      }
    }),
    canReach: address(values, 'iface-can-reach', undefined),
    publicIP: byFamily((family) => address(values, names[family], family)),
  }
}

function address(
  values: FlagValues,
  name: 'iface-can-reach' | 'public-ip' | 'public-ipv6',
  family: Family | undefined,
): Address | undefined {
  const text = values[name]
  if (text === undefined || text === '') return undefined
  const parsed = parseAddress(text)
  if (parsed && (family === undefined || parsed.family === family)) return parsed
  throw new UsageError(`--${name}: "${text}" is not an IP${family ? `v${family}` : ''} address`)
}
