import { formatAddress } from '../ip/address.ts'
import { valuesOf } from '../ip/by-family.ts'
import type { Logger } from '../log/logger.ts'
import { createBackend } from './backend/create-backend.ts'
import { presentMac } from './devices.ts'
import { type DaemonDeps, type Host, openHost } from './host.ts'
import { type KernelFollower, watchKernel } from './kernel-watch.ts'
import { describeSubnets } from './lease.ts'
import { claim, deviceLock } from './locks.ts'
import { Session, type SessionInput } from './session.ts'
import type { Settings } from './settings.ts'
import { claimOf, waitForConfig, waitForLease, waitForUplinks } from './start.ts'

/** What a run of the daemon is given. */
export interface ServeInput {
  readonly settings: Settings
  readonly deps: DaemonDeps
  readonly log: Logger
  readonly signal: AbortSignal
  /** Called once, when the first peers are in the kernel. */
  readonly onReady: () => void
}

/**
 * Runs the daemon until aborted. What it made stays then: stopping it disturbs no packet.
 * @throws ConfigError, AlreadyRunningError, NodeIdInUseError, StoreError, NetlinkError and whatever
 *   else keeps it from starting
 */
export async function serve(input: ServeInput): Promise<void> {
  const { settings, deps, log } = input
  await using stack = new AsyncDisposableStack()
  const host = await openHost(settings, deps, log, stack)
  try {
    await run(host, input, stack)
  } catch (error) {
    // Containers that wait for a first lease learn why there is none. Where an earlier run left one,
    // it holds as long as was promised.
    if (!host.former) host.board.waitFor(error instanceof Error ? error.message : String(error))
    throw error
  }
}

async function run(host: Host, input: ServeInput, stack: AsyncDisposableStack): Promise<void> {
  const { settings, deps, log, signal } = input
  if (host.remembered) host.manager.restore(host.remembered.memory)
  const found = await waitForConfig(host, signal)
  const uplinks = found && (await waitForUplinks(host, found.config, signal))
  if (!uplinks) return
  for (const { name, address, publicIP } of valuesOf(uplinks)) {
    const words = { address: formatAddress(address), public: formatAddress(publicIP) }
    log.info('interface chosen', { interface: name, ...words })
  }
  const { route, macs } = host
  const backend = createBackend({
    config: found.config.backend,
    uplinks,
    macFor: (device) => macs.for(device, presentMac(route, device)),
  })
  for (const { name } of backend.devices) {
    stack.use(claim(deviceLock(name), deps.lockFile, settings.instance))
  }
  const wanted = claimOf(host, found.config, { backend, uplinks })
  await work(host, { found, uplinks, backend, claim: wanted }, input, stack)
}

async function work(
  host: Host,
  parts: Omit<SessionInput, 'lease'>,
  { deps, log, signal, onReady }: ServeInput,
  stack: AsyncDisposableStack,
): Promise<void> {
  const { manager, board } = host
  const lease = await waitForLease(host, parts.claim, signal)
  if (!lease || !manager.current) return
  let session = new Session(host, { ...parts, lease: manager.current })
  const follower: KernelFollower = {
    onEvents: (events) => session.network.onEvents(events),
    onLost: () => session.network.onLost(),
    onRulesetEvents: (events) => session.network.onRulesetEvents(events),
    onRulesetLost: () => session.network.onRulesetLost(),
  }
  // Before anything is written, so that nothing goes unseen.
  stack.use(watchKernel(deps.followNetlink, follower, log))
  try {
    session.network.up()
  } catch (error) {
    if (lease !== 'remembered' && lease.isNew) await manager.release()
    throw error
  }
  log.info('ready', {
    subnet: describeSubnets(manager.current.lease.subnets),
    peers: manager.peers.size,
  })
  board.ready()
  onReady()
  let isAcquired = lease !== 'remembered'
  while ((await session.run(isAcquired, signal)) === 'other subnets') {
    isAcquired = true
    session = new Session(host, { ...parts, lease: manager.current })
    session.network.up()
    board.publish()
  }
}
