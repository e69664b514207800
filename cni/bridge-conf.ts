import { ConfigError, UnsupportedFieldError } from '../conf/errors.ts'
import type { DnsConf, NetConf } from '../conf/net-conf.ts'
import { type Mac, parseMac } from '../ip/mac.ts'
import { type IpamPlan, planIpam } from '../ipam/plan.ts'
import { addressText, anyText, type CniArgs, parseCniArgs } from './protocol/args.ts'
import { type Invocation, interfaceNameFault } from './protocol/env.ts'
import { requirePrintable } from './protocol/result.ts'
import type { CniVersion } from './protocol/versions.ts'
import { isOwnIpam, type Target } from './target.ts'

/** Who gives the addresses: nobody, this executable, or another plugin. */
export type IpamChoice =
  | { readonly kind: 'none' }
  | { readonly kind: 'own'; readonly plan: IpamPlan }
  | { readonly kind: 'other'; readonly type: string }

/** A bridge network's configuration, checked: nothing else reads its keys. */
export interface BridgeConf {
  readonly bridge: string
  readonly isGateway: boolean
  readonly isDefaultGateway: boolean
  readonly forceAddress: boolean
  readonly masquerade: boolean
  /** Bytes; absent leaves the kernel's default. */
  readonly mtu?: number
  readonly hairpin: boolean
  readonly promiscuous: boolean
  readonly isolated: boolean
  /** Whether ADD waits for IPv6 duplicate address detection; otherwise the addresses skip it. */
  readonly detectDuplicates: boolean
  /** False leaves the container's end down, for whoever is inside. */
  readonly containerUp: boolean
  /** Asked for by the runtime. */
  readonly mac?: Mac
  /** Replaces what IPAM says. */
  readonly dns?: DnsConf
  readonly ipam: IpamChoice
}

const defaultBridge = 'cni0'
/** Keys of the bridge plugin that have no meaning here unless they hold one of these values. */
const harmless: Readonly<Record<string, readonly unknown[]>> = {
  mode: [undefined, '', 'bridge'],
  vlan: [undefined, 0],
  macspoofchk: [undefined, false],
  ipMasqBackend: [undefined, '', 'nftables'],
}

/** Pairs of CNI_ARGS that are known: what the bridge and the host-local plugin know together. */
export function readArgs(invocation: Invocation): CniArgs {
  return parseCniArgs(invocation.args, { MAC: anyText, IP: addressText })
}

/**
 * Reads a bridge network's configuration.
 * @throws ConfigError in the reference plugins' words; UnsupportedFieldError for a key that is
 * known there and not built here; CniError when the version cannot print the result.
 */
export function readBridgeConf(target: Target, args: CniArgs, version: CniVersion): BridgeConf {
  const { conf } = target
  refuseUnusable(conf)
  const ipam = readIpam(conf, args)
  requirePrintable(version, ipam.kind !== 'none')
  const mtu = readMtu(conf.mtu)
  const mac = readMac(conf, args)
  const isDefaultGateway = conf.isDefaultGateway === true
  return {
    bridge: readBridgeName(conf),
    isGateway: isDefaultGateway || conf.isGateway === true,
    isDefaultGateway,
    forceAddress: conf.forceAddress === true,
    masquerade: conf.ipMasq === true && ipam.kind !== 'none',
    ...(mtu !== undefined && { mtu }),
    hairpin: conf.hairpinMode === true,
    promiscuous: conf.promiscMode === true,
    isolated: conf.portIsolation === true,
    detectDuplicates: conf.enabledad === true,
    containerUp: conf.disableContainerInterface !== true,
    ...(mac && { mac }),
    ...(hasDns(conf.dns) && { dns: conf.dns }),
    ipam,
  }
}

/** Every key of the reference bridge plugin is either implemented or refused, never ignored. */
function refuseUnusable(conf: NetConf): void {
  const { vlan = 0, ipMasqBackend = '' } = conf
  if (conf.hairpinMode && conf.promiscMode) {
    const both = 'cannot set hairpin mode and promiscuous mode at the same time'
    throw new ConfigError('hairpinMode', both)
  }
  if (vlan < 0 || vlan > 4094) {
    throw new ConfigError('vlan', `invalid VLAN ID ${vlan} (must be between 0 and 4094)`)
  }
  if (!['', 'iptables', 'nftables'].includes(ipMasqBackend)) {
    throw new ConfigError(
      'ipMasqBackend',
      `unknown ipmasq backend ${JSON.stringify(ipMasqBackend)}`,
    )
  }
  for (const [key, values] of Object.entries(harmless)) {
    if (values.includes(conf[key])) continue
    throw new UnsupportedFieldError(key, conf[key], 'heddle does not do this yet')
  }
  if (conf.vlanTrunk && conf.vlanTrunk.length > 0) {
    throw new UnsupportedFieldError('vlanTrunk', conf.vlanTrunk, 'heddle does not do this yet')
  }
}

function readIpam(conf: NetConf, args: CniArgs): IpamChoice {
  const type = conf.ipam?.type ?? ''
  if (type === '') return { kind: 'none' }
  if (conf.disableContainerInterface) {
    throw new ConfigError(
      'disableContainerInterface',
      'cannot use IPAM when DisableContainerInterface flag is set',
    )
  }
  return isOwnIpam(type) ? { kind: 'own', plan: planIpam(conf, args) } : { kind: 'other', type }
}

/** The name of the bridge, unchecked. */
export function bridgeNameOf({ bridge }: NetConf): string {
  return bridge || defaultBridge
}

function readBridgeName(conf: NetConf): string {
  const name = bridgeNameOf(conf)
  const fault = interfaceNameFault(name)
  if (fault) throw new ConfigError('bridge', `bridge ${JSON.stringify(name)}: ${fault.message}`)
  return name
}

/** What a veth takes: IPv4's least MTU (RFC 791) up to the kernel's ETH_MAX_MTU. */
function readMtu(mtu = 0): number | undefined {
  if (mtu === 0) return undefined
  if (mtu >= 68 && mtu <= 65535) return mtu
  throw new ConfigError('mtu', `invalid MTU ${mtu}, must be between 68 and 65535`)
}

/** The runtime's wish wins over `args`, that over CNI_ARGS. */
function readMac(conf: NetConf, args: CniArgs): Mac | undefined {
  const text = conf.runtimeConfig?.mac || conf.args?.cni?.mac || args.get('MAC') || ''
  if (text === '') return undefined
  const mac = parseMac(text)
  if (mac && isUsable(mac)) return mac
  throw new ConfigError('mac', `failed to make veth pair: address ${text}: invalid MAC address`)
}

/** An interface cannot have a group address or none at all (include/linux/etherdevice.h). */
function isUsable(mac: Mac): boolean {
  return mac !== '00:00:00:00:00:00' && (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0
}

function hasDns(dns: DnsConf = {}): boolean {
  const { nameservers = [], domain = '', search = [], options = [] } = dns
  return domain !== '' || nameservers.length + search.length + options.length > 0
}
