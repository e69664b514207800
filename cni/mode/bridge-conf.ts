import { ConfigError, UnsupportedFieldError } from '../../conf/errors.ts'
import type { NetConf } from '../../conf/net-conf.ts'
import type { CniArgs } from '../protocol/args.ts'
import { interfaceNameFault } from '../protocol/env.ts'
import { requirePrintable } from '../protocol/result.ts'
import type { CniVersion } from '../protocol/versions.ts'
import {
  type AttachConf,
  hasDns,
  readIpam,
  readMac,
  readMtu,
  readRuntimeDns,
  refuseOthers,
} from '../target/attach-conf.ts'
import type { Target } from '../target/target.ts'

/** A bridge network's configuration, checked: nothing else reads its keys. */
export interface BridgeConf extends AttachConf {
  readonly bridge: string
  readonly forceAddress: boolean
  readonly hairpin: boolean
  readonly promiscuous: boolean
  readonly isolated: boolean
}

const defaultBridge = 'cni0'
/** Keys of the bridge plugin that have no meaning here unless they hold one of these values. */
const harmless: Readonly<Record<string, readonly unknown[]>> = {
  vlan: [undefined, 0],
  macspoofchk: [undefined, false],
  ipMasqBackend: [undefined, '', 'nftables'],
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
  const mac = readMac(conf, args, 'make veth pair')
  const runtimeDns = readRuntimeDns(conf)
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
    ...(runtimeDns && { runtimeDns }),
    ipam,
  }
}

/** Every key of the reference bridge plugin is either implemented or refused, never ignored. */
function refuseUnusable(conf: NetConf): void {
  const { vlan = 0, ipMasqBackend = '', mode = '' } = conf
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
  if (mode !== '' && mode !== 'bridge') {
    throw new UnsupportedFieldError('mode', mode, 'the modes are bridge, ptp and macvlan')
  }
  refuseOthers(conf, harmless, 'heddle does not do this')
  refuseIpam(conf)
}

function refuseIpam({ disableContainerInterface, ipam }: NetConf): void {
  if (!disableContainerInterface || !ipam?.type) return
  const text = 'cannot use IPAM when DisableContainerInterface flag is set'
  throw new ConfigError('disableContainerInterface', text)
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
