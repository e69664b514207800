import { join } from 'node:path'
import { parseNetworkConfig } from '../../conf/network-config.ts'
import { valuesOf } from '../../ip/by-family.ts'
import type { Mac } from '../../ip/mac.ts'
import { distinctPrefixes, type Prefix } from '../../ip/prefix.ts'
import type { Logger } from '../../log/logger.ts'
import { hostClock, readBootId } from '../host/clock.ts'
import { readIfThere } from '../host/files.ts'
import { Macs } from '../host/identity.ts'
import { gatewayOf, readFormerSubnet, subnetsOf } from '../host/subnet-file.ts'
import { memoryPath, readMemory } from '../lease/memory-file.ts'
import type { Settings } from '../settings/settings.ts'

/** By what the things of an instance are known on this host. */
export interface Known {
  readonly nodeId: string | undefined
  readonly devices: ReadonlyMap<string, Mac>
  /** The cluster's networks, and what the bridges of this host have as addresses. */
  readonly networks: readonly Prefix[]
  readonly gateways: readonly Prefix[]
}

/** Reads it from what a daemon has written; whatever of that is gone is not known. */
export function readKnown({ stateDir, subnetFile, ttlSeconds }: Settings, log: Logger): Known {
  const env = readFormerSubnet(subnetFile, log)
  const moment = { now: hostClock(), bootId: readBootId(), ttlMs: ttlSeconds * 1000 }
  const memory = readMemory(memoryPath(stateDir), moment, log)
  const own = memory?.memory.own?.lease.subnets ?? {}
  return {
    nodeId: readIfThere(join(stateDir, 'node-id'))?.trim(),
    devices: new Macs(stateDir).known,
    networks: distinctPrefixes([
      ...(env ? [...env.networks, ...env.ipv6Networks] : []),
      ...(memory ? networksOf(memory.config) : []),
    ]),
    gateways: [...valuesOf(env ? subnetsOf(env) : {}), ...valuesOf(own)].map(gatewayOf),
  }
}

/** The networks of a configuration; none of one that nobody can read. */
export function networksOf(config: string): Prefix[] {
  try {
    return valuesOf(parseNetworkConfig(config).pools).map(({ network }) => network)
  } catch {
    return []
  }
}
