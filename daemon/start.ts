import type { LeaseAttrs } from '../conf/lease.ts'
import type { NetworkConfig } from '../conf/network-config.ts'
import { type ByFamily, byFamily, familiesOf, valuesOf } from '../ip/by-family.ts'
import type { Prefix } from '../ip/prefix.ts'
import type { Logger } from '../log/logger.ts'
import { StoreError } from '../store/store.ts'
import type { Backend, Uplink } from './backend/backend.ts'
import {
  CONFIG_MISSING,
  type FoundConfig,
  findConfig,
  readConfig,
} from './config/network-config.ts'
import { findOverlaps } from './config/overlap.ts'
import type { Host } from './host/host.ts'
import { subnetsOf } from './host/subnet-file.ts'
import {
  type Acquired,
  type Claim,
  fitsPools,
  LostRaceError,
  OutOfSubnetsError,
} from './lease/acquire.ts'
import { reasonOf } from './situation.ts'
import { chooseUplinks, readUplinkFacts } from './uplink/uplink.ts'
import { NotYet } from './wait.ts'

/** What a start needs of its host. */
export type StartHost = Omit<Host, 'log'> & { readonly log: Logger }

/**
 * The network configuration, from the store, or while the store is away or has none that will do, as
 * an earlier run knew it.
 * @throws ConfigError, DecodeError for a `--net-config-path` file that will not do
 */
export async function tryConfig(host: StartHost): Promise<FoundConfig | NotYet> {
  const { settings, store, isLocal, remembered } = host
  const options = { path: settings.netConfigPath, local: isLocal }
  const key = `${settings.storePrefix}/config`
  try {
    const text = await findConfig(store, settings.storePrefix, options)
    if (text !== undefined) {
      const config = readStored(text, { key, local: isLocal })
      return config instanceof NotYet ? former(host, config.reason) : { text, config }
    }
    // Another store may well be meant to have another network.
    const { clusterId } = await store.list(key)
    const isOurs = remembered?.memory.clusterId === clusterId
    return isOurs ? former(host, missing(host)) : new NotYet(missing(host))
  } catch (error) {
    const found = former(host, waitReason(error))
    return found instanceof NotYet ? found : { ...found, isStoreAway: true }
  }
}

/** What somebody has put into the store, who can put it right again. */
function readStored(
  text: string,
  options: Parameters<typeof readConfig>[1],
): FoundConfig['config'] | NotYet {
  try {
    return readConfig(text, options)
  } catch (error) {
    return new NotYet(reasonOf(error))
  }
}

/** The configuration of the run before, if it can still be used; `reason`: why not the store's. */
function former({ remembered, isLocal, log }: StartHost, reason: string): FoundConfig | NotYet {
  const text = remembered?.config
  if (!text) return new NotYet(reason)
  const config = readStored(text, { key: 'the remembered configuration', local: isLocal })
  if (config instanceof NotYet) return new NotYet(reason)
  log.warn('going on with the network configuration of the run before', { reason })
  return { text, config, isRemembered: true }
}

function missing({ settings, store }: StartHost): string {
  return `${CONFIG_MISSING} (no ${settings.storePrefix}/config in ${store.name}; --net-config-path writes one)`
}

/** Why a store does not answer as it should: somebody can mend that while we wait. */
export function waitReason(error: unknown): string {
  if (error instanceof StoreError && error.reason !== 'closed') return error.message
  throw error
}

/** Whether no route of this host leads into the cluster's networks otherwise. */
export function tryRoom(host: StartHost, config: NetworkConfig): true | NotYet {
  const { route, former: env, remembered, board, isLocal } = host
  const used = [
    ...(env ? [...env.networks, ...env.ipv6Networks] : []),
    ...networksOf(remembered?.config, isLocal),
  ]
  const overlaps = findOverlaps(route, config, used)
  const texts = overlaps.map(({ text }) => text)
  board.warn('overlap', texts)
  const fatal = overlaps.find(({ isFatal }) => isFatal)
  if (fatal) return new NotYet(fatal.text)
  for (const text of texts) host.log.warn(text)
  return true
}

function networksOf(text: string | undefined, local: boolean): Prefix[] {
  if (!text) return []
  const config = readStored(text, { key: 'the remembered configuration', local })
  return config instanceof NotYet ? [] : valuesOf(config.pools).map((pool) => pool.network)
}

/** The interfaces for the traffic between hosts. */
export function tryUplinks(
  { settings, route }: StartHost,
  { pools }: NetworkConfig,
): ByFamily<Uplink> | NotYet {
  const facts = readUplinkFacts(route, settings.uplink)
  const uplinks = chooseUplinks(familiesOf(pools), settings.uplink, facts)
  return typeof uplinks === 'string' ? new NotYet(uplinks) : uplinks
}

/** What this host asks of the store. */
export function claimOf(
  { nodeId, former }: StartHost,
  { pools }: NetworkConfig,
  { backend, uplinks }: { readonly backend: Backend; readonly uplinks: ByFamily<Uplink> },
): Claim {
  const attrs: LeaseAttrs & { nodeId: string } = {
    publicIP: byFamily((family) => uplinks[family]?.publicIP),
    backendType: backend.leaseType,
    backendData: backend.leaseData,
    nodeId,
  }
  return { pools, attrs, previous: former ? [subnetsOf(former)] : [] }
}

/**
 * One try for the lease to start with. While the store is away, `remembered`: the manager's
 * `current` is what an earlier run held.
 * @throws NodeIdInUseError
 */
export async function tryFirstLease(
  { manager }: StartHost,
  { isStoreAway }: FoundConfig,
  claim: Claim,
  signal: AbortSignal,
): Promise<Acquired | 'remembered' | NotYet> {
  const { current } = manager
  const isUsable = current !== undefined && fitsPools(current.lease.subnets, claim.pools)
  // It would be waited for once more; the session asks again soon.
  if (isStoreAway && isUsable) return 'remembered'
  const lease = await tryLease({ manager }, claim, signal)
  const isAway = lease instanceof NoLease && !lease.isStoreThere
  return isAway && isUsable ? 'remembered' : lease
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
