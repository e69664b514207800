import { ConfigError, UnsupportedFieldError } from '../../conf/errors.ts'
import type { DnsConf, NetConf } from '../../conf/net-conf.ts'
import { type Mac, parseMac } from '../../ip/mac.ts'
import { type IpamPlan, planIpam } from '../../ipam/plan.ts'
import type { Call } from '../call.ts'
import { addressList, addressText, anyText, type CniArgs, parseCniArgs } from '../protocol/args.ts'
import type { Invocation } from '../protocol/env.ts'
import { type Dns, requirePrintable } from '../protocol/result.ts'
import type { CniVersion } from '../protocol/versions.ts'
import { isOwnIpam } from './target.ts'

/** Who gives the addresses: nobody, this executable, or another plugin. */
export type IpamChoice =
  | { readonly kind: 'none' }
  | { readonly kind: 'own'; readonly plan: IpamPlan }
  | { readonly kind: 'other'; readonly type: string }

/** What every mode's configuration has, checked: nothing else reads its keys. */
export interface AttachConf {
  /** The host is the container's gateway. */
  readonly isGateway: boolean
  readonly isDefaultGateway: boolean
  readonly masquerade: boolean
  /** Bytes; absent leaves the kernel's default. */
  readonly mtu?: number
  /** Whether ADD waits for IPv6 duplicate address detection; otherwise the addresses skip it. */
  readonly detectDuplicates: boolean
  /** False leaves the container's end down, for whoever is inside. */
  readonly containerUp: boolean
  /** Asked for by the runtime. */
  readonly mac?: Mac
  /** Replaces what IPAM says. */
  readonly dns?: DnsConf
  /** The runtime's, field by field over everybody else's. */
  readonly runtimeDns?: Dns
  readonly ipam: IpamChoice
}

/** The part of a configuration that every mode reads alike. */
export type SharedConf = Pick<
  AttachConf,
  'isDefaultGateway' | 'detectDuplicates' | 'mac' | 'dns' | 'runtimeDns' | 'ipam'
>

/** What a configuration is read for. */
export type Reader = Pick<Call, 'role' | 'version'>

/**
 * Reads what every mode reads alike. `making` is what a MAC is for, said in its error.
 * @throws ConfigError; CniError when the version cannot print the result.
 */
export function readShared(
  conf: NetConf,
  args: CniArgs,
  { version, making }: { readonly version: CniVersion; readonly making: string },
): SharedConf {
  const ipam = readIpam(conf, args)
  requirePrintable(version, ipam.kind !== 'none')
  const mac = readMac(conf, args, making)
  const runtimeDns = readRuntimeDns(conf)
  return {
    isDefaultGateway: conf.isDefaultGateway === true,
    detectDuplicates: conf.enabledad === true,
    ...(mac && { mac }),
    ...(hasDns(conf.dns) && { dns: conf.dns }),
    ...(runtimeDns && { runtimeDns }),
    ipam,
  }
}

/** Pairs of CNI_ARGS that are known: what the plugin and its IPAM plugin know together. */
export function readArgs(invocation: Invocation, { ipam }: NetConf): CniArgs {
  return parseCniArgs(invocation.args, isOwnIpam(ipam?.type ?? '') ? ownArgs : otherArgs)
}

const ownArgs = { MAC: anyText, IP: addressText }
/** Of these the static plugin knows more, and says itself what is wrong. */
const otherArgs = { MAC: anyText, IP: anyText, GATEWAY: addressList }

/** @throws ConfigError as `planIpam`. */
function readIpam(conf: NetConf, args: CniArgs): IpamChoice {
  const type = conf.ipam?.type ?? ''
  if (type === '') return { kind: 'none' }
  return isOwnIpam(type) ? { kind: 'own', plan: planIpam(conf, args) } : { kind: 'other', type }
}

/** What a veth takes: IPv4's least MTU (RFC 791) up to the kernel's ETH_MAX_MTU. */
export function readMtu(mtu = 0): number | undefined {
  if (mtu === 0) return undefined
  if (mtu >= 68 && mtu <= 65535) return mtu
  throw new ConfigError('mtu', `invalid MTU ${mtu}, must be between 68 and 65535`)
}

/** The runtime's wish wins over `args`, that over CNI_ARGS. `what` it is for is said in the error. */
function readMac(conf: NetConf, args: CniArgs, what: string): Mac | undefined {
  const text = conf.runtimeConfig?.mac || conf.args?.cni?.mac || args.get('MAC') || ''
  if (text === '') return undefined
  const mac = parseMac(text)
  if (mac && isUsable(mac)) return mac
  throw new ConfigError('mac', `failed to ${what}: address ${text}: invalid MAC address`)
}

/** An interface cannot have a group address or none at all (include/linux/etherdevice.h). */
function isUsable(mac: Mac): boolean {
  return mac !== '00:00:00:00:00:00' && (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0
}

function hasDns(dns: DnsConf = {}): boolean {
  const { nameservers = [], domain = '', search = [], options = [] } = dns
  return domain !== '' || nameservers.length + search.length + options.length > 0
}

/** The capability `dns`, in the result's words. */
function readRuntimeDns({ runtimeConfig }: NetConf): Dns | undefined {
  if (!runtimeConfig?.dns) return undefined
  const { servers = [], searches = [], options = [] } = runtimeConfig.dns
  return {
    ...(servers.length > 0 && { nameservers: servers }),
    ...(searches.length > 0 && { search: searches }),
    ...(options.length > 0 && { options }),
  }
}

/**
 * Every key is either honoured or refused, never ignored: these have no meaning in a mode unless
 * they hold one of the values listed.
 * @throws UnsupportedFieldError
 */
export function refuseOthers(
  conf: NetConf,
  harmless: Readonly<Record<string, readonly unknown[]>>,
  advice: string,
): void {
  for (const key in harmless) {
    if (harmless[key]?.includes(conf[key]) === false) {
      throw new UnsupportedFieldError(key, conf[key], advice)
    }
  }
  if (conf.vlanTrunk && conf.vlanTrunk.length > 0) {
    throw new UnsupportedFieldError('vlanTrunk', conf.vlanTrunk, advice)
  }
}
