import { ConfigError } from '../../conf/errors.ts'
import type { CniArgs } from '../protocol/args.ts'
import {
  type AttachConf,
  type Reader,
  readMtu,
  readShared,
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
  bcqueuelen: [undefined],
  linkInContainer: off,
}

/**
 * Reads the configuration of a container that has a link to the host alone.
 * @throws ConfigError; UnsupportedFieldError for a key that has no meaning here.
 */
export function readPtpConf({ conf }: Target, args: CniArgs, { version }: Reader): AttachConf {
  refuseOthers(conf, harmless, 'it has no meaning in mode ptp')
  if (!conf.ipam?.type) throw new ConfigError('ipam', 'mode ptp needs addresses: set "ipam"')
  const mtu = readMtu(conf.mtu)
  return {
    ...readShared(conf, args, { version, making: 'make veth pair' }),
    isGateway: true,
    masquerade: conf.ipMasq === true,
    ...(mtu !== undefined && { mtu }),
    containerUp: true,
  }
}
