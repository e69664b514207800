import { ConfigError } from '../conf/errors.ts'
import { limited } from '../log/limited.ts'
import { NetlinkError } from '../netlink/errors.ts'
import type { Backend } from './backend/backend.ts'
import { CommandError } from './backend/commands.ts'
import { createBackend } from './backend/create-backend.ts'
import { prepareBackend } from './backend/prepare-backend.ts'
import { StateError } from './host/files.ts'
import type { Host } from './host/host.ts'
import { AlreadyRunningError, claim, deviceLock, type LockFile } from './host/locks.ts'
import { DeviceConflictError, presentMac } from './kernel/devices.ts'
import { type Claim, fitsPools, NodeIdInUseError } from './lease/acquire.ts'
import type { Current } from './lease/subnet-manager.ts'
import { reasonOf, type Situation, type SituationWatch } from './situation.ts'
import {
  claimOf,
  type StartHost,
  tryConfig,
  tryFirstLease,
  tryLease,
  tryRoom,
  tryUplinks,
} from './start.ts'
import { NotYet, orAborted, untilThere } from './wait.ts'

/** What one session works with. */
export interface Chapter extends Situation {
  readonly backend: Backend
  readonly claim: Claim
  /** The lease to work with: acquired, or remembered while the store is away. */
  readonly lease: Current
  /** Nobody had it before: it is given back when the network does not come up. */
  readonly isNew: boolean
}

export interface ChapterTools {
  readonly lockFile: LockFile
  /** Holds the locks of the devices named in `claimed`. */
  readonly stack: AsyncDisposableStack
  readonly claimed: Set<string>
  readonly watch: SituationWatch
  readonly signal: AbortSignal
}

/**
 * So long at most a change waits for a lease that it needs, which may have to ask who lives under
 * this node's id; nobody follows the peers meanwhile.
 */
const CHANGE_MS = 20_000

/**
 * Opens the first chapter. Waits for everything that it needs, each time from the beginning: what
 * was found may have changed meanwhile. Undefined when aborted.
 * @throws ConfigError, DecodeError for a `--net-config-path` file, AlreadyRunningError,
 *   DeviceConflictError, NodeIdInUseError, NetlinkError
 */
export async function openChapter(host: Host, tools: ChapterTools): Promise<Chapter | undefined> {
  const often = { ...host, log: limited(host.log) }
  return untilThere(() => tryOpen(often, tools), { ...host, signal: tools.signal })
}

async function tryOpen(host: StartHost, tools: ChapterTools): Promise<Chapter | NotYet> {
  const found = await tryConfig(host)
  if (found instanceof NotYet) return found
  const room = tryRoom(host, found.config)
  if (room instanceof NotYet) return room
  const uplinks = tryUplinks(host, found.config)
  if (uplinks instanceof NotYet) return uplinks
  const situation = { found, uplinks }
  const made = await tryMake(host, situation, tools)
  if (made instanceof NotYet) return made
  const lease = await tryFirstLease(host, found, made.claim, tools.signal)
  if (lease instanceof NotYet) return lease
  const { current } = host.manager
  if (!current) return new NotYet('this host has no lease')
  const isNew = lease !== 'remembered' && lease.isNew
  return { ...situation, ...made, lease: current, isNew }
}

/**
 * The chapter after a change. Where the change cannot be made, the chapter before goes on, and the
 * watch is told.
 */
export async function nextChapter(
  host: Host,
  before: Chapter,
  next: Situation,
  tools: ChapterTools,
): Promise<Chapter> {
  const { log, telemetry, board } = host
  const isConfig = next.found !== before.found
  const chapter = await orAborted(tryNext(host, before, next, tools), tools.signal)
  if (!chapter) return before
  if (typeof chapter !== 'string') {
    if (isConfig) {
      telemetry.configChanges.add('applied')
      board.configRefused(undefined)
    }
    return chapter
  }
  log.error('a change cannot be made: all stays as it was', { reason: chapter })
  tools.watch.failed(before, next, chapter)
  return before
}

/** A string says why not. */
async function tryNext(
  host: Host,
  before: Chapter,
  next: Situation,
  tools: ChapterTools,
): Promise<Chapter | string> {
  const { manager } = host
  try {
    const made = await make(host, next, tools)
    const current = manager.current ?? before.lease
    if (fitsPools(current.lease.subnets, made.claim.pools)) {
      manager.update(made.claim)
      return { ...next, ...made, lease: current, isNew: false }
    }
    if (current.problem !== undefined) return current.problem
    const signal = AbortSignal.any([tools.signal, AbortSignal.timeout(CHANGE_MS)])
    const lease = await tryLease(host, made.claim, signal)
    if (lease instanceof NotYet) return lease.reason
    return { ...next, ...made, lease: manager.current ?? current, isNew: false }
  } catch (error) {
    const isExpected =
      error instanceof AlreadyRunningError ||
      error instanceof CommandError ||
      error instanceof DeviceConflictError ||
      error instanceof NetlinkError ||
      error instanceof NodeIdInUseError ||
      error instanceof StateError
    return isExpected ? error.message : reasonOf(error)
  }
}

/** What a failing command or somebody's configuration keeps from being made is tried again. */
async function tryMake(
  host: StartHost,
  situation: Situation,
  tools: ChapterTools,
): Promise<Pick<Chapter, 'backend' | 'claim'> | NotYet> {
  try {
    return await make(host, situation, tools)
  } catch (error) {
    if (error instanceof CommandError || error instanceof ConfigError) {
      return new NotYet(error.message)
    }
    throw error
  }
}

async function make(
  host: StartHost,
  { found, uplinks }: Situation,
  { lockFile, stack, claimed, signal }: ChapterTools,
): Promise<Pick<Chapter, 'backend' | 'claim'>> {
  const { route, macs, settings } = host
  const created = createBackend({
    config: found.config.backend,
    uplinks,
    macFor: (device) => macs.for(device, presentMac(route, device)),
  })
  for (const { name } of created.devices) {
    if (claimed.has(name)) continue
    stack.use(claim(deviceLock(name), lockFile, settings.instance))
    claimed.add(name)
  }
  const backend = await prepareBackend(created, host.commands, signal)
  return { backend, claim: claimOf(host, found.config, { backend, uplinks }) }
}
