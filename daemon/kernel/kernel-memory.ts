import type { SubnetEnv } from '../../conf/subnet-env.ts'
import type { Prefix } from '../../ip/prefix.ts'
import type { Entry, VxlanDevice } from '../backend/kernel-state.ts'

/** What of the kernel's part outlives one chapter of the daemon's run. */
export interface KernelMemory {
  /** The network has been brought up once: containers may count on what is there. */
  isUp: boolean
  /** Devices of earlier runs have been removed. */
  isSwept: boolean
  /** The cluster's networks as they were before: what we left there goes. */
  networks: readonly Prefix[]
  /** Whether the chapter before wanted it; putting that back is a repair. */
  wants: (what: VxlanDevice | Entry) => boolean
}

/** For a run that begins; `former` is what an earlier one left in the subnet file. */
export function newKernelMemory(former: SubnetEnv | undefined): KernelMemory {
  const networks = former ? [...former.networks, ...former.ipv6Networks] : []
  return { isUp: false, isSwept: false, networks, wants: () => false }
}
