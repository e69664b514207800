import { ConfigError } from '../../conf/errors.ts'
import type { NetConf } from '../../conf/net-conf.ts'
import type { CniArgs } from '../protocol/args.ts'
import { interfaceNameFault } from '../protocol/env.ts'
import { type AttachConf, type Reader, readShared, refuseOthers } from '../target/attach-conf.ts'
import type { Target } from '../target/target.ts'

/** Who of the macvlans on one parent reach each other (uapi/linux/if_link.h). */
export type MacvlanMode = 'bridge' | 'private' | 'vepa' | 'passthru'

/** A macvlan network's configuration, checked as far as it can be without looking at the parent. */
export interface MacvlanConf extends AttachConf {
  /** The parent; undefined is the link of the host's default route. */
  readonly master: string | undefined
  readonly macvlanMode: MacvlanMode
  /** Bytes, no more than the parent's; 0 is the parent's. */
  readonly wantedMtu: number
  /** Broadcast packets that may wait; absent leaves the kernel's default. */
  readonly bcQueueLength?: number
}

const off = [undefined, false]
/** Keys of other modes, and of the macvlan plugin what is not built here. */
const harmless: Readonly<Record<string, readonly unknown[]>> = {
  bridge: [undefined, ''],
  isGateway: off,
  forceAddress: off,
  ipMasq: off,
  hairpinMode: off,
  promiscMode: off,
  portIsolation: off,
  disableContainerInterface: off,
  macspoofchk: off,
  vlan: [undefined, 0],
  linkInContainer: off,
}

/**
 * Reads the configuration of a container that is on one of the host's networks itself.
 * @throws ConfigError in the reference plugin's words; UnsupportedFieldError for a key that has no
 * meaning here; CniError when the version cannot print the result.
 */
export function readMacvlanConf({ conf }: Target, args: CniArgs, { version }: Reader): MacvlanConf {
  refuseOthers(conf, harmless, 'it has no meaning in mode macvlan')
  return {
    ...readShared(conf, args, { version, making: 'create macvlan' }),
    master: readMaster(conf),
    macvlanMode: readMode(conf.macvlanMode),
    wantedMtu: conf.mtu ?? 0,
    ...(conf.bcqueuelen !== undefined && { bcQueueLength: conf.bcqueuelen }),
    isGateway: false,
    masquerade: false,
    containerUp: true,
  }
}

function readMaster({ master = '' }: NetConf): string | undefined {
  if (master === '') return undefined
  const fault = interfaceNameFault(master)
  if (!fault) return master
  throw new ConfigError('master', `master ${JSON.stringify(master)}: ${fault.message}`)
}

const modes: readonly string[] = ['bridge', 'private', 'vepa', 'passthru'] satisfies MacvlanMode[]

function readMode(text = ''): MacvlanMode {
  if (text === '') return 'bridge'
  if (modes.includes(text)) return text as MacvlanMode
  throw new ConfigError('macvlanMode', `unknown macvlan mode: ${JSON.stringify(text)}`)
}
