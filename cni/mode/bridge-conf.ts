import { ConfigError, UnsupportedFieldError } from '../../conf/errors.ts'
import type { NetConf } from '../../conf/net-conf.ts'
import type { CniArgs } from '../protocol/args.ts'
import { interfaceNameFault } from '../protocol/env.ts'
import {
  type AttachConf,
  type Reader,
  readMtu,
  readShared,
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

/** Keys of mode macvlan. The reference bridge plugin knows none of them, and takes anything there. */
const macvlanKeys: Readonly<Record<string, readonly unknown[]>> = {
  master: [undefined, ''],
  macvlanMode: [undefined, ''],
  bcqueuelen: [undefined],
  linkInContainer: [undefined, false],
}

/**
 * Reads a bridge network's configuration.
 * @throws ConfigError in the reference plugins' words; UnsupportedFieldError for a key that is
 * known there and not built here; CniError when the version cannot print the result.
 */
export function readBridgeConf(
  { conf }: Target,
  args: CniArgs,
  { role, version }: Reader,
): BridgeConf {
  refuseUnusable(conf, role)
  const shared = readShared(conf, args, { version, making: 'make veth pair' })
  const mtu = readMtu(conf.mtu)
  return {
    ...shared,
    bridge: readBridgeName(conf),
    isGateway: shared.isDefaultGateway || conf.isGateway === true,
    forceAddress: conf.forceAddress === true,
    masquerade: conf.ipMasq === true && shared.ipam.kind !== 'none',
    ...(mtu !== undefined && { mtu }),
    hairpin: conf.hairpinMode === true,
    promiscuous: conf.promiscMode === true,
    isolated: conf.portIsolation === true,
    containerUp: conf.disableContainerInterface !== true,
  }
}

/** Every key of the reference bridge plugin is either implemented or refused, never ignored. */
function refuseUnusable(conf: NetConf, role: Reader['role']): void {
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
    const advice =
      role === 'heddle'
        ? 'the modes are bridge, ptp and macvlan'
        : `modes are for type heddle; ${role} makes a bridge`
    throw new UnsupportedFieldError('mode', mode, advice)
  }
  refuseOthers(conf, harmless, 'heddle does not do this')
  if (role === 'heddle') refuseOthers(conf, macvlanKeys, 'it is for mode macvlan')
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
