import type { NetworkConfig } from '../../conf/network-config.ts'
import { parseSubnetEnv, type SubnetEnv, SubnetEnvError } from '../../conf/subnet-env.ts'
import { formatSubnetStatus, type HeldUntil, subnetStatusPath } from '../../conf/subnet-status.ts'
import { offsetAddress } from '../../ip/address.ts'
import type { ByFamily } from '../../ip/by-family.ts'
import { firstAddress, network, type Prefix } from '../../ip/prefix.ts'
import { limited } from '../../log/limited.ts'
import type { Logger } from '../../log/logger.ts'
import { readIfThere, StateError, writeIfDifferent } from './files.ts'

const MODE = 0o644

/**
 * What an earlier run, flanneld's or ours, left in the subnet file; undefined when there is nothing
 * that can be used.
 */
export function readFormerSubnet(path: string, log: Logger): SubnetEnv | undefined {
  const text = readIfThere(path)
  if (text === undefined) return undefined
  try {
    return parseSubnetEnv(text, path)
  } catch (error) {
    if (!(error instanceof SubnetEnvError)) throw error
    log.warn('previous subnet file cannot be used', { error: error.message })
    return undefined
  }
}

/** The subnets of a subnet file, host bits cleared. */
export function subnetsOf({ subnet, ipv6Subnet }: SubnetEnv): ByFamily<Prefix> {
  return { ...(subnet && { 4: network(subnet) }), ...(ipv6Subnet && { 6: network(ipv6Subnet) }) }
}

/** A subnet's first host address, which the containers' bridge has, with the subnet's length. */
export function gatewayOf(subnet: Prefix): Prefix {
  return { address: offsetAddress(firstAddress(subnet), 1), length: subnet.length }
}

/** What the subnet file is to say. */
export function subnetEnvFor(
  { pools }: NetworkConfig,
  subnets: ByFamily<Prefix>,
  rest: { readonly mtu: number; readonly ipMasq: boolean },
): SubnetEnv {
  return {
    networks: subnets[4] && pools[4] ? [pools[4].network] : [],
    ...(subnets[4] && { subnet: gatewayOf(subnets[4]) }),
    ipv6Networks: subnets[6] && pools[6] ? [pools[6].network] : [],
    ...(subnets[6] && { ipv6Subnet: gatewayOf(subnets[6]) }),
    ...rest,
  }
}

/**
 * The status file beside a subnet file: written when what it says changes, and can be, and when
 * somebody removed or changed it.
 */
export class StatusFile {
  readonly #path: string
  readonly #log: Logger
  #since = new Date().toISOString()
  #state = ''

  constructor(subnetFile: string, log: Logger) {
    this.#path = subnetStatusPath(subnetFile)
    this.#log = limited(log)
  }

  write(status: {
    ready: boolean
    error?: string | undefined
    held?: HeldUntil | undefined
  }): void {
    const { ready, error, held } = status
    const state = JSON.stringify([ready, error])
    if (state !== this.#state) this.#since = new Date().toISOString()
    this.#state = state
    const text = formatSubnetStatus({
      ready,
      ...(error !== undefined && { error }),
      since: this.#since,
      ...(held && { held }),
    })
    try {
      writeIfDifferent(this.#path, text, MODE)
    } catch (error) {
      if (!(error instanceof StateError)) throw error
      // A full disk must not end the daemon; it is tried again whenever there is something to say.
      this.#log.error('status file not written', { error: error.message })
    }
  }
}
