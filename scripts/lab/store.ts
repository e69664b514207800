import { writeFileSync } from 'node:fs'
import type { Lab } from './lab.ts'
import { attemptAt, runAt, startAt } from './place.ts'
import { until } from './run.ts'

/** The network configuration: what the key `config` in the store holds. */
export interface NetworkConfig {
  readonly EnableIPv4?: boolean
  readonly Network?: string
  readonly EnableIPv6?: boolean
  readonly IPv6Network?: string
  /** That flanneld writes its rules by nft, not by iptables. */
  readonly EnableNFTables?: boolean
  readonly Backend: Readonly<Record<string, unknown>> & { readonly Type: string }
}

/** A network configuration with flannel's usual networks; `ipv6` adds the second family. */
export function networkConfig(
  backend: NetworkConfig['Backend'],
  options: { ipv6?: boolean } = {},
): NetworkConfig {
  return {
    Network: '10.244.0.0/16',
    ...(options.ipv6 ? { EnableIPv6: true, IPv6Network: 'fd00:10:244::/48' } : {}),
    Backend: backend,
  }
}

export const storeKinds = ['sqlite', 'etcd'] as const
export type StoreKind = (typeof storeKinds)[number]

/** A store that the daemons of a lab share, the network configuration given to it. */
export interface LabStore {
  readonly kind: StoreKind
  /** The flags by which `heddled` finds it. */
  readonly flags: readonly string[]
}

/** Opens a store of either kind in the lab; it ends with the lab. */
export function openStore(lab: Lab, kind: StoreKind, config: NetworkConfig): Promise<LabStore> {
  return kind === 'etcd' ? openEtcd(lab, config) : openSqlite(lab, config)
}

/** One file for all hosts; the first daemon writes the configuration into it. */
async function openSqlite(lab: Lab, config: NetworkConfig): Promise<LabStore> {
  const configFile = `${lab.directory}/net-conf.json`
  writeFileSync(configFile, `${JSON.stringify(config, undefined, 2)}\n`)
  const store = `sqlite:${lab.directory}/store.db`
  return { kind: 'sqlite', flags: ['--store', store, '--net-config-path', configFile] }
}

/** Where the lab's etcd answers, from any host. */
export const etcdUrl = 'http://10.100.0.254:2379'

/** A real etcd server beyond the switch, the configuration put into it as an operator would. */
async function openEtcd(lab: Lab, config: NetworkConfig): Promise<LabStore> {
  const flags = {
    name: lab.name,
    'data-dir': `${lab.directory}/etcd`,
    'listen-client-urls': etcdUrl,
    'advertise-client-urls': etcdUrl,
    'listen-peer-urls': 'http://127.0.0.1:2380',
    logger: 'zap',
    'log-level': 'warn',
  }
  const words = Object.entries(flags).map(([name, value]) => `--${name}=${value}`)
  const server = startAt(lab.switch, ['etcd', ...words], { logFile: `${lab.directory}/etcd.log` })
  const isHealthy = async () => {
    if (!server.running()) throw new Error(`etcd does not start: ${server.log()}`)
    return (await attemptAt(lab.switch, etcdctl('endpoint', 'health'))).code === 0
  }
  await until('etcd to be healthy', isHealthy, { timeoutMs: 20_000, everyMs: 100 })
  await runAt(lab.switch, etcdctl('put', '/coreos.com/network/config', JSON.stringify(config)))
  return { kind: 'etcd', flags: ['--store', 'etcd', '--etcd-endpoints', etcdUrl] }
}

/** An etcdctl command against the lab's server; runs on any host and on the switch. */
export function etcdctl(...args: readonly string[]): [string, ...string[]] {
  return ['env', 'ETCDCTL_API=3', 'etcdctl', `--endpoints=${etcdUrl}`, ...args]
}
