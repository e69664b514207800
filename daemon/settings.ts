import { type Address, type Family, parseAddress } from '../ip/address.ts'
import { byFamily } from '../ip/by-family.ts'
import type { Level } from '../log/logger.ts'
import type { EtcdOptions } from '../store/etcd.ts'
import { type FlagValues, type ParsedFlags, UsageError } from './flags.ts'
import type { UplinkChoice } from './uplink.ts'

/** Which store, and how to reach it. */
export type StoreChoice =
  | { readonly kind: 'sqlite'; readonly path: string }
  | { readonly kind: 'etcd'; readonly options: EtcdOptions }

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
}

const SQLITE_PATH = '/var/lib/heddle/store.db'
/** Names become paths, and parts of names in the firewall. */
const INSTANCE = /^[a-z\d][a-z\d-]{0,30}$/

/** Makes settings of flags. `program` is the name heddled was started by. Throws UsageError. */
export function settingsOf({ values, given }: ParsedFlags, program: string): Settings {
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
  return {
    store: chooseStore(values, given, program),
    storePrefix: values['etcd-prefix'].replace(/\/+$/, ''),
    netConfigPath: values['net-config-path'],
    uplink: uplinkChoice(values),
    instance,
    subnetFile: values['subnet-file'] ?? `/run/flannel/${usual}.env`,
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
  }
}

/**
 * `--store` decides; else any etcd flag or variable means etcd; else whoever calls the program
 * `flanneld` expects etcd where flannel looks for it; else the file of this machine.
 */
function chooseStore(values: FlagValues, given: ReadonlySet<string>, program: string): StoreChoice {
  const asked = values.store
  const isEtcd = [...given].some((name) => name.startsWith('etcd-'))
  const kind = asked ?? (isEtcd || program === 'flanneld' ? 'etcd' : 'sqlite')
  if (kind === 'etcd') return { kind, options: etcdOptions(values) }
  const match = /^sqlite(?::(.+))?$/.exec(kind)
  if (match) return { kind: 'sqlite', path: match[1] ?? SQLITE_PATH }
  const hint = ['consul', 'zookeeper'].includes(kind)
    ? `${kind} is not built in yet`
    : `"${kind}" is none`
  throw new UsageError(`--store is sqlite, sqlite:FILE or etcd: ${hint}`)
}

function etcdOptions(values: FlagValues): EtcdOptions {
  const endpoints = values['etcd-endpoints'].split(',').map((text) => text.trim())
  for (const endpoint of endpoints) {
    if (!/^https?:\/\/[^/\s]+\/?$/.test(endpoint)) {
      throw new UsageError(`--etcd-endpoints: "${endpoint}" is not like http://10.0.0.1:2379`)
    }
  }
  const caFile = values['etcd-cafile']
  const certFile = values['etcd-certfile']
  const keyFile = values['etcd-keyfile']
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new UsageError('--etcd-certfile and --etcd-keyfile go together')
  }
  const tls = {
    ...(caFile !== undefined && { caFile }),
    ...(certFile !== undefined && { certFile }),
    ...(keyFile !== undefined && { keyFile }),
  }
  const username = values['etcd-username']
  const password = values['etcd-password']
  return {
    endpoints,
    ...(Object.keys(tls).length > 0 && { tls }),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
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
