import type { AttachmentMode } from '../../conf/attachment-record.ts'
import { ConfigError } from '../../conf/errors.ts'
import { type IpamConf, type NetConf, parseNetConf } from '../../conf/net-conf.ts'
import type { SubnetEnv } from '../../conf/subnet-env.ts'
import { formatPrefix, network, type Prefix } from '../../ip/prefix.ts'
import type { Role } from '../call.ts'

/** The plugin that attaches the container, and the configuration it does that by. */
export interface Target {
  /** `bridge` is ours; any other is run from CNI_PATH. */
  readonly type: string
  readonly conf: NetConf
  /** `conf` as text, the way another plugin gets it. */
  readonly text: string
  /** Every network of the cluster, which masquerading leaves alone. */
  readonly clusterNetworks: readonly Prefix[]
}

/** IPAM plugins that are this executable under another name, and so are called in process. */
const ownIpam: readonly string[] = ['host-local', 'heddle-ipam']

export function isOwnIpam(type: string): boolean {
  return ownIpam.includes(type)
}

/**
 * Whether the addresses come out of the subnet file. Under `heddle` that is so unless the
 * configuration has a range of its own, or another IPAM plugin and no subnet file.
 */
export function usesSubnetFile(role: Role, conf: NetConf): boolean {
  if (role !== 'heddle') return role === 'flannel'
  if (conf.subnetFile !== undefined) return true
  const foreign = conf.ipam?.type !== undefined && !isOwnIpam(conf.ipam.type)
  return !foreign && !hasRange(conf)
}

/**
 * Under `flannel` the subnet file overrides a range, as upstream.
 * @throws ConfigError when a configuration for `heddle` has both.
 */
export function refuseTwoSources(role: Role, conf: NetConf): void {
  if (role !== 'heddle' || conf.subnetFile === undefined || !hasRange(conf)) return
  const both = '"subnetFile" and a range in "ipam" cannot both be set: the subnet file is the range'
  throw new ConfigError('subnetFile', both)
}

function hasRange({ ipam }: NetConf): boolean {
  return Boolean(ipam?.subnet) || (ipam?.ranges ?? []).length > 0
}

/** How a container is attached: in one of heddle's modes, or by another plugin. */
export function modeOf(role: Role, { type, conf }: Target): AttachmentMode | 'elsewhere' {
  if (type !== 'bridge') return 'elsewhere'
  if (role === 'heddle' && (conf.mode === 'ptp' || conf.mode === 'macvlan')) return conf.mode
  return 'bridge'
}

/** The target of a configuration that has all it needs in itself. */
export function ownTarget(role: Role, conf: NetConf, stdin: string): Target {
  if (role !== 'heddle') return { type: 'bridge', conf, text: stdin, clusterNetworks: [] }
  const delegate = readDelegate(conf)
  const merged = conf.delegate ? parseNetConf(JSON.stringify({ ...conf, ...delegate })) : conf
  const ipam = { type: 'host-local', ...merged.ipam }
  const own = { ...heddleDefaults(merged), ...merged, ipam }
  const text = conf.delegate ? JSON.stringify(own) : stdin
  return { type: delegateType(conf), conf: own, text, clusterNetworks: [] }
}

/**
 * The target of flannel's configuration: its `delegate`, filled in from the subnet file the way
 * flannel's plugin does. Under `heddle` bridge options may also stand beside `delegate`.
 * @throws ConfigError in flannel's words.
 */
export function subnetTarget(role: Role, conf: NetConf, env: SubnetEnv): Target {
  const type = delegateType(conf)
  const base = baseConf(role, conf)
  const filled = {
    ...subnetDefaults(type, base, env),
    ...base,
    name: conf.name,
    type,
    ...(conf.cniVersion ? { cniVersion: conf.cniVersion } : {}),
    ...(conf.runtimeConfig ? { runtimeConfig: conf.runtimeConfig } : {}),
    ipam: subnetIpam(conf.ipam ?? {}, env),
  }
  const text = JSON.stringify(filled)
  const clusterNetworks = [...env.networks, ...env.ipv6Networks]
  return { type, conf: parseNetConf(text), text, clusterNetworks }
}

function subnetDefaults(type: string, { mode }: NetConf, env: SubnetEnv): NetConf {
  // Its packets pass neither the host nor the cluster's tunnel.
  if (type === 'bridge' && mode === 'macvlan') return {}
  const masquerade = { ipMasq: !env.ipMasq, mtu: env.mtu }
  return type === 'bridge' ? { isGateway: true, ...masquerade } : masquerade
}

/** A target good enough to undo by, for when the subnet file is gone. */
export function bareTarget(role: Role, conf: NetConf): Target {
  const filled = {
    ...baseConf(role, conf),
    name: conf.name,
    type: delegateType(conf),
    cniVersion: conf.cniVersion ?? '',
    ipam: { type: 'host-local', ...conf.ipam },
  }
  const text = JSON.stringify(filled)
  return { type: filled.type, conf: parseNetConf(text), text, clusterNetworks: [] }
}

/** What the user says of the interface itself. */
function baseConf(role: Role, conf: NetConf): NetConf {
  const delegate = readDelegate(conf)
  if (role !== 'heddle') return delegate
  const own = Object.entries(conf).filter(([key]) => !notOfInterface.has(key))
  const merged: NetConf = { ...Object.fromEntries(own), ...delegate }
  return { ...heddleDefaults(merged), ...merged }
}

/** Keys about where addresses come from, or that the runtime adds. */
const notOfInterface: ReadonlySet<string> = new Set([
  'subnetFile',
  'dataDir',
  'delegate',
  'ipam',
  'runtimeConfig',
  'capabilities',
  'prevResult',
])

/** What most people want of a bridge, and flannel's shipped configuration says too. */
function heddleDefaults(conf: NetConf): NetConf {
  if (conf.mode === 'ptp') return { isDefaultGateway: true }
  if (conf.mode === 'macvlan') return {}
  // Promiscuous mode is the other way to reach oneself; both at once are an error.
  const isGateway = conf.isGateway !== false
  return { isGateway, isDefaultGateway: isGateway, hairpinMode: conf.promiscMode !== true }
}

/** Flannel's checks of `delegate`, with its words. */
function readDelegate(conf: NetConf): NetConf {
  const { delegate = {} } = conf
  const refuse = (message: string): never => {
    throw new ConfigError('delegate', message)
  }
  if (delegate['type'] !== undefined && typeof delegate['type'] !== 'string') {
    refuse("'delegate' dictionary, if present, must have (string) 'type' field")
  }
  for (const field of ['name', 'ipam']) {
    if (delegate[field] === undefined) continue
    refuse(`'delegate' dictionary must not have '${field}' field, it'll be set by flannel`)
  }
  return delegate
}

function delegateType(conf: NetConf): string {
  const type = conf.delegate?.['type']
  return typeof type === 'string' && type !== '' ? type : 'bridge'
}

/** Flannel's IPAM configuration: the user's, with the node's subnets as the only ranges. */
function subnetIpam(ipam: IpamConf, env: SubnetEnv): IpamConf {
  const subnets = [env.subnet, env.ipv6Subnet].filter((subnet) => subnet !== undefined)
  const networks = [...env.networks, ...env.ipv6Networks]
  return {
    type: 'host-local',
    ...ipam,
    ranges: subnets.map((subnet) => [{ subnet: formatPrefix(network(subnet)) }]),
    routes: [...(ipam.routes ?? []), ...networks.map((net) => ({ dst: formatPrefix(net) }))],
  }
}
