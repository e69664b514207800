import { formatAddress } from '../ip/address.ts'
import { valuesOf } from '../ip/by-family.ts'
import type { Logger } from '../log/logger.ts'
import type { RecentLog } from '../log/recent.ts'
import { StoreError } from '../store/store.ts'
import { type Chapter, nextChapter, openChapter } from './chapter.ts'
import type { DaemonDeps, Host } from './host/host.ts'
import type { Notifier } from './host/notify.ts'
import { openWhenWritable } from './host/open-host.ts'
import { type KernelFollower, kernelFault, watchKernel } from './kernel/kernel-watch.ts'
import { describeSubnets } from './lease/lease.ts'
import { Session } from './session.ts'
import type { Settings } from './settings/settings.ts'
import { SituationWatch } from './situation.ts'
import { orAborted } from './wait.ts'

/** What a run of the daemon is given. */
export interface ServeInput {
  readonly settings: Settings
  readonly deps: DaemonDeps
  readonly log: RecentLog
  readonly signal: AbortSignal
  /** Told once that it is ready: when the first peers are in the kernel and the subnet file is written. */
  readonly notifier: Notifier
}

/** Why a run of the daemon ended without an error: it was told to, or its lease was given back. */
export type ServeEnd = 'end' | 'released'

/**
 * Runs the daemon until aborted. What it made stays then: stopping it disturbs no packet.
 * @throws ConfigError, AlreadyRunningError, NodeIdInUseError, StoreError, NetlinkError and whatever
 *   else keeps it from starting
 */
export async function serve(input: ServeInput): Promise<ServeEnd> {
  await using stack = new AsyncDisposableStack()
  const host = await openWhenWritable(input, stack)
  if (!host) return 'end'
  try {
    return await run(host, input, stack)
  } catch (error) {
    // Containers that wait for a first lease learn why there is none. Where an earlier run left one,
    // it holds as long as was promised.
    if (!host.former) host.board.waitFor(error instanceof Error ? error.message : String(error))
    throw error
  }
}

async function run(host: Host, input: ServeInput, stack: AsyncDisposableStack): Promise<ServeEnd> {
  const { log, deps, signal, notifier } = input
  host.board.onPublish((line) => notifier.status(line))
  stack.use(notifier.watch(() => kernelFault(host.route), log))
  if (host.remembered) host.manager.restore(host.remembered.memory)
  const watch = new SituationWatch(host)
  host.board.addProblem(() => watch.problem)
  host.board.addProblem(() => describeDispute(host))
  const relay = new KernelRelay(watch)
  // Before anything is looked at, so that nothing goes unseen.
  stack.use(watchKernel(deps.followNetlink, relay, log))
  const over = new AbortController()
  const either = AbortSignal.any([signal, over.signal])
  const isOver = (): void => over.abort()
  const work = [
    chapters(host, { ...input, signal: either }, { watch, relay, stack }).finally(isOver),
    // A store that does not answer holds up no end.
    orAborted(watch.follow(either), either).finally(isOver),
    host.files.keep(either, () => host.board.publish()).finally(isOver),
  ] as const
  // What they work with is there until all have ended.
  await Promise.allSettled(work)
  const [how] = await Promise.all(work)
  return how
}

interface Parts {
  readonly watch: SituationWatch
  readonly relay: KernelRelay
  readonly stack: AsyncDisposableStack
}

/**
 * The daemon's life, chapter by chapter: the network is made from what is true at its beginning, and
 * a new chapter begins when that is no longer so. Each is the same work over the state that is
 * there, so that what has not changed is not touched.
 */
async function chapters(
  host: Host,
  { deps, log, signal, notifier }: ServeInput,
  { watch, relay, stack }: Parts,
): Promise<ServeEnd> {
  const { manager, board } = host
  const tools = { lockFile: deps.lockFile, stack, claimed: new Set<string>(), watch }
  let chapter = await openChapter(host, { ...tools, signal })
  if (!chapter) return 'end'
  let isFirst = true
  for (;;) {
    tell(host, chapter)
    const session: Session = new Session(host, { ...chapter, watch })
    relay.network = session.network
    if (isFirst) {
      try {
        session.network.up()
      } catch (error) {
        if (chapter.isNew) await giveBackNew(manager, log)
        throw error
      }
      const subnet = describeSubnets(chapter.lease.lease.subnets)
      host.files.whenWritten(() => {
        log.info('ready', { subnet, peers: manager.peers.size })
        board.ready()
        notifier.ready()
      })
    }
    const how = await session.run({ isUp: isFirst }, signal)
    isFirst = false
    if (how === 'end') return how
    if (how === 'released') {
      log.info('the lease was given back on request: other hosts may take the subnet')
      return how
    }
    if (how === 'other subnets') chapter = { ...chapter, lease: manager.current ?? chapter.lease }
    else chapter = await nextChapter(host, chapter, how, { ...tools, signal })
  }
}

/** Nobody works with a lease whose network did not come up; why it did not is not to be hidden. */
export async function giveBackNew(
  manager: Pick<Host['manager'], 'release'>,
  log: Logger,
): Promise<void> {
  try {
    await manager.release()
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    log.warn('the new lease could not be given back: it ends by itself', { error: error.message })
  }
}

function tell({ log, board }: Host, { found, uplinks }: Chapter): void {
  for (const { name, address, publicIP } of valuesOf(uplinks)) {
    const words = { address: formatAddress(address), public: formatAddress(publicIP) }
    log.info('interface chosen', { interface: name, ...words })
  }
  for (const warning of found.config.warnings) log.warn(warning)
  board.warn('config', found.config.warnings)
  board.configInForce(found.text, found.isRemembered ? 'remembered' : 'store')
}

function describeDispute({ manager: { disputed, current } }: Host): string | undefined {
  if (!disputed || !current) return undefined
  const subnet = describeSubnets(current.lease.subnets)
  return `${disputed.holder} had ${subnet} before this host, and its containers may still have addresses of it`
}

/** Tells of the kernel's events whom they concern now. */
class KernelRelay implements KernelFollower {
  network: KernelFollower | undefined
  readonly #watch: SituationWatch

  constructor(watch: SituationWatch) {
    this.#watch = watch
  }

  onEvents(events: Parameters<KernelFollower['onEvents']>[0]): void {
    this.network?.onEvents(events)
    this.#watch.onEvents(events)
  }

  onLost(): void {
    this.network?.onLost()
    this.#watch.onLost()
  }

  onRulesetEvents(events: Parameters<KernelFollower['onRulesetEvents']>[0]): void {
    this.network?.onRulesetEvents(events)
  }

  onRulesetLost(): void {
    this.network?.onRulesetLost()
  }
}
