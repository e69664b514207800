import { existsSync } from 'node:fs'
import type { Prefix } from '../../ip/prefix.ts'
import type { Logger } from '../../log/logger.ts'
import type { Store } from '../../store/store.ts'
import { openStore } from '../host/store-choice.ts'
import { describeSubnets, type Lease } from '../lease/lease.ts'
import { LeaseStore } from '../lease/lease-store.ts'
import type { Settings } from '../settings/settings.ts'
import { networksOf } from './known.ts'
import type { Report } from './report.ts'

/** A store that does not answer for so long is away. */
const STORE_MS = 10_000

/** What the store told. */
export interface StoreNews {
  /** The networks of its configuration. */
  readonly networks: readonly Prefix[]
  /** The embedded one, and no node has a lease in it, in whatever network. */
  readonly isIdle: boolean
}

interface Tools {
  readonly log: Logger
  readonly report: Report
}

/** Gives this node's leases back; a reservation stays one, without this host's data. */
export async function giveBackLeases(
  settings: Settings,
  nodeId: string | undefined,
  tools: Tools,
): Promise<StoreNews> {
  const nothing = { networks: [], isIdle: false }
  // It would be made anew.
  if (settings.store.kind === 'sqlite' && !existsSync(settings.store.path)) return nothing
  try {
    await using store = await openStore(settings.store, tools.log)
    return await inTime(giveBack(store, settings, nodeId, tools), store.name)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    const advice = `it ends by itself. Run this again when the store answers, with the flags that reach it; if it never will, remove ${settings.stateDir}`
    tools.report.stays('this host’s lease', `${why}; ${advice}`)
    return nothing
  }
}

async function giveBack(
  store: Store,
  { storePrefix, ttlSeconds, store: { kind } }: Settings,
  nodeId: string | undefined,
  { log, report }: Tools,
): Promise<StoreNews> {
  const leases = new LeaseStore(store, { prefix: storePrefix, ttlSeconds, log })
  if (nodeId !== undefined) {
    const { leases: all } = await leases.list()
    const own = all.filter(({ attrs }) => attrs.nodeId === nodeId)
    for (const lease of own) await giveBackOne(leases, lease, nodeId, report)
  }
  const config = await store.get(`${storePrefix}/config`)
  const isIdle = async (): Promise<boolean> => {
    const { entries } = await store.list('')
    return !entries.some(({ key }) => key.includes('/subnets/'))
  }
  return {
    networks: config ? networksOf(config.value) : [],
    isIdle: kind === 'sqlite' && (await isIdle()),
  }
}

async function giveBackOne(
  leases: LeaseStore,
  lease: Lease,
  nodeId: string,
  report: Report,
): Promise<void> {
  const what = `the lease of ${describeSubnets(lease.subnets)} in ${leases.name}`
  const bare = { publicIP: {}, backendType: '', backendData: {}, nodeId }
  const isDone = lease.reserved ? await leases.put(lease, bare) : await leases.delete(lease)
  if (!isDone) report.stays(what, 'it has just changed, run this again')
  else if (lease.reserved) report.kept(what, 'a reservation, without this host’s data')
  else report.removed(what)
}

async function inTime<T>(work: Promise<T>, store: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    const error = new Error(`the store ${store} does not answer`)
    timer = setTimeout(() => reject(error), STORE_MS)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}
