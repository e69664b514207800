import { ConfigError } from '../../conf/errors.ts'
import type { CniArgs } from '../protocol/args.ts'
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

const off = [undefined, false]
const none = [undefined, '']
/** Keys that other modes have. */
const harmless: Readonly<Record<string, readonly unknown[]>> = {
  bridge: none,
  isGateway: [undefined, true],
  forceAddress: off,
  hairpinMode: off,
  promiscMode: off,
  portIsolation: off,
  disableContainerInterface: off,
  macspoofchk: off,
  vlan: [undefined, 0],
  ipMasqBackend: [undefined, '', 'nftables'],
  master: none,
  macvlanMode: none,
}

/**
 * Reads the configuration of a container that has a link to the host alone.
 * @throws ConfigError; UnsupportedFieldError for a key that has no meaning here.
 */
export function readPtpConf({ conf }: Target, args: CniArgs): AttachConf {
  refuseOthers(conf, harmless, 'it has no meaning in mode ptp')
  const ipam = readIpam(conf, args)
  if (ipam.kind === 'none') throw new ConfigError('ipam', 'mode ptp needs addresses: set "ipam"')
  const mtu = readMtu(conf.mtu)
  const mac = readMac(conf, args, 'make veth pair')
  const runtimeDns = readRuntimeDns(conf)
  return {
    isGateway: true,
    isDefaultGateway: conf.isDefaultGateway === true,
    masquerade: conf.ipMasq === true,
    ...(mtu !== undefined && { mtu }),
    detectDuplicates: conf.enabledad === true,
    containerUp: true,
    ...(mac && { mac }),
    ...(hasDns(conf.dns) && { dns: conf.dns }),
    ...(runtimeDns && { runtimeDns }),
    ipam,
  }
}
