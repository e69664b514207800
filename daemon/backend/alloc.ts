import { valuesOf } from '../../ip/by-family.ts'
import type { Backend, BackendInput } from './backend.ts'
import { BackendOptions } from './options.ts'

/**
 * The `alloc` backend: this host leases its subnet, and something else sees to the paths. Like
 * flannel's it leaves no type in the lease.
 */
export function createAlloc({ config, uplinks }: BackendInput): Backend {
  const options = new BackendOptions(config)
  return {
    type: 'alloc',
    leaseType: '',
    mtu: Math.min(...valuesOf(uplinks).map((uplink) => uplink.mtu)),
    leaseData: {},
    devices: [],
    usesPaths: false,
    warnings: options.unknown(),
    own: () => [],
    peer: () => ({ state: 'none', entries: [] }),
  }
}
