import type { LeaseAttrs } from '../conf/lease.ts'
import type { NetworkConfig } from '../conf/network-config.ts'
import { type ByFamily, byFamily, familiesOf } from '../ip/by-family.ts'
import { StoreError } from '../store/store.ts'
import {
  type Acquired,
  type Claim,
  fitsPools,
  LostRaceError,
  OutOfSubnetsError,
} from './acquire.ts'
import type { Backend, Uplink } from './backend/backend.ts'
import type { Host } from './host.ts'
import { CONFIG_MISSING, type FoundConfig, findConfig, readConfig } from './network-config.ts'
import { subnetsOf } from './subnet-file.ts'
import { chooseUplinks, readUplinkFacts } from './uplink.ts'
import { NotYet, untilThere } from './wait.ts'

/**
 * The network configuration, from the store, or while that is away as an earlier run knew it.
 * Waits for it; undefined when aborted.
 * @throws ConfigError, DecodeError, StoreError
 */
export async function waitForConfig(
  host: Host,
  signal: AbortSignal,
): Promise<FoundConfig | undefined> {
  const { settings, store, isLocal, remembered, log, board } = host
  const options = { path: settings.netConfigPath, local: isLocal }
  const found = await untilThere(
    async () => {
      try {
        return (await findConfig(store, settings.storePrefix, options)) ?? new NotYet(missing(host))
      } catch (error) {
        const reason = waitReason(error)
        if (!remembered?.config) return new NotYet(reason)
        log.warn('the store is away: going on with what was known', { error: reason })
        const key = 'the remembered configuration'
        return {
          text: remembered.config,
          config: readConfig(remembered.config, { key, local: isLocal }),
        }
      }
    },
    { log, board, signal },
  )
  for (const warning of found?.config.warnings ?? []) log.warn(warning)
  board.warn(found?.config.warnings ?? [])
  return found
}

function missing({ settings, store }: Host): string {
  return `${CONFIG_MISSING} (no ${settings.storePrefix}/config in ${store.name}; --net-config-path writes one)`
}

/** Why a store does not answer now; what waiting cannot mend is thrown on. */
export function waitReason(error: unknown): string {
  if (error instanceof StoreError && ['unavailable', 'full'].includes(error.reason)) {
    return error.message
  }
  throw error
}

/** The interfaces for the traffic between hosts. Waits for them; undefined when aborted. */
export function waitForUplinks(
  { settings, route, log, board }: Host,
  { pools }: NetworkConfig,
  signal: AbortSignal,
): Promise<ByFamily<Uplink> | undefined> {
  const needed = familiesOf(pools)
  return untilThere(
    () => {
      const facts = readUplinkFacts(route, settings.uplink)
      const uplinks = chooseUplinks(needed, settings.uplink, facts)
      return typeof uplinks === 'string' ? new NotYet(uplinks) : uplinks
    },
    { log, board, signal },
  )
}

/** What this host asks of the store. */
export function claimOf(
  { nodeId, former }: Host,
  { pools }: NetworkConfig,
  { backend, uplinks }: { readonly backend: Backend; readonly uplinks: ByFamily<Uplink> },
): Claim {
  const attrs: LeaseAttrs & { nodeId: string } = {
    publicIP: byFamily((family) => uplinks[family]?.publicIP),
    backendType: backend.type,
    backendData: backend.leaseData,
    nodeId,
  }
  return { pools, attrs, previous: former ? [subnetsOf(former)] : [] }
}

/**
 * This host's lease. While the store is away, `remembered`: the manager's `current` is what an
 * earlier run held. Waits; undefined when aborted.
 * @throws NodeIdInUseError, StoreError
 */
export async function waitForLease(
  { manager, log, board }: Host,
  claim: Claim,
  signal: AbortSignal,
): Promise<Acquired | 'remembered' | undefined> {
  return untilThere<Acquired | 'remembered'>(
    async () => {
      const lease = await tryLease({ manager }, claim, signal)
      if (!(lease instanceof NoLease) || lease.isStoreThere) return lease
      const { current } = manager
      return current && fitsPools(current.lease.subnets, claim.pools) ? 'remembered' : lease
    },
    { log, board, signal },
  )
}

/** Not yet a lease. `isStoreThere`: the store answered, and had none. */
class NoLease extends NotYet {
  readonly isStoreThere: boolean

  constructor(reason: string, isStoreThere: boolean) {
    super(reason)
    this.isStoreThere = isStoreThere
  }
}

/** One try for a lease. */
export async function tryLease(
  { manager }: Pick<Host, 'manager'>,
  claim: Claim,
  signal: AbortSignal,
): Promise<Acquired | NoLease> {
  try {
    return await manager.acquire(claim, signal)
  } catch (error) {
    if (error instanceof OutOfSubnetsError || error instanceof LostRaceError) {
      return new NoLease(error.message, true)
    }
    return new NoLease(waitReason(error), false)
  }
}
