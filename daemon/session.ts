import { type ByFamily, families } from '../ip/by-family.ts'
import { type Prefix, sameNetwork } from '../ip/prefix.ts'
import { limited } from '../log/limited.ts'
import type { Logger } from '../log/logger.ts'
import { Alarm, sleep } from './alarm.ts'
import type { Chapter } from './chapter.ts'
import { readBootId } from './host/clock.ts'
import type { Host } from './host/host.ts'
import type { Acquired } from './lease/acquire.ts'
import { describeSubnets } from './lease/lease.ts'
import { memoryPath, writeMemory } from './lease/memory-file.ts'
import { Network } from './network.ts'
import type { Situation, SituationWatch } from './situation.ts'
import { tryLease } from './start.ts'
import { NotYet, orAborted } from './wait.ts'

export interface SessionInput extends Chapter {
  readonly watch: SituationWatch
}

/**
 * How a session ends: told from outside, the lease given back on request, a lease of other subnets,
 * or another situation that the network is to be made from.
 */
export type SessionEnd = 'end' | 'released' | 'other subnets' | Situation

const STORE_RETRY_MS = 2_000
const MEMORY_SPACING_MS = 2_000
const MEMORY_RETRY_MS = 30_000
const UP_RETRY_MS = { first: 1_000, longest: 30_000 } as const

/** Milliseconds until the next try after so many failures; tries take no more than a quarter of the time. */
export function upPause(failures: number, tookMs: number): number {
  const pause = UP_RETRY_MS.first * 2 ** (failures - 1)
  return Math.max(Math.min(pause, UP_RETRY_MS.longest), tookMs * 3)
}

/** The daemon at work with one lease in one situation. */
export class Session {
  readonly network: Network
  readonly #host: Host
  readonly #input: SessionInput
  readonly #often: Logger
  readonly #memoryAlarm = new Alarm()

  constructor(host: Host, input: SessionInput) {
    this.#host = host
    this.#input = input
    this.#often = limited(host.log)
    const { found, uplinks, backend, lease } = input
    const { subnets } = lease.lease
    const network = new Network({ ...host, config: found.config, uplinks, backend, subnets })
    const { manager, board } = host
    board.show(() => {
      const own = manager.current ?? lease
      const { plans, entries, problems } = network
      return { backend, uplinks, own, peers: manager.peers, plans, entries, problems }
    })
    this.network = network
  }

  /** Works until it ends by itself or is aborted. `isUp`: the network has been brought up already. */
  async run({ isUp }: { readonly isUp: boolean }, signal: AbortSignal): Promise<SessionEnd> {
    using ended = new Ending(signal)
    const parts = [
      isUp ? Promise.resolve() : this.#bringUp(ended.signal),
      // A store that does not answer holds up nobody.
      orAborted(this.#keepLease(ended), ended.signal),
      this.#keepSituation(ended),
      this.network.keepRepaired(ended.signal),
      this.network.keepRules(ended.signal),
      this.network.keepForwarding(ended.signal),
      this.network.keepCommands(ended.signal),
      this.#keepMemory(ended.signal),
    ]
    // None of them ends before the session does; one that fails ends it.
    const work = parts.map((one) =>
      one.catch((error: unknown) => {
        ended.end('end')
        throw error
      }),
    )
    // The next session works with what these use.
    await Promise.allSettled(work)
    await Promise.all(work)
    const { board } = this.#host
    if (ended.how === 'released') {
      board.publish()
      this.#writeMemory()
    }
    return ended.how
  }

  /** A daemon at work does not end because a change does not get through: it tries again. */
  async #bringUp(signal: AbortSignal): Promise<void> {
    const { board } = this.#host
    for (let failures = 1; !signal.aborted; failures++) {
      const started = performance.now()
      try {
        this.network.up()
        board.publish()
        return
      } catch (error) {
        this.#often.error('the change is not in the kernel yet', { error: messageOf(error) })
      }
      await sleep(upPause(failures, performance.now() - started), signal)
    }
  }

  async #keepSituation(ended: Ending): Promise<void> {
    const next = await this.#input.watch.next(this.#input, ended.signal)
    if (next) ended.end(next)
  }

  async #keepLease(ended: Ending): Promise<void> {
    const { manager, board, log } = this.#host
    if (!manager.isAcquired) {
      const acquired = await this.#acquireLater(ended.signal)
      if (!acquired || ended.signal.aborted) return
      const { subnets } = this.#input.lease.lease
      if (!sameSubnets(acquired.lease.subnets, subnets)) {
        log.error('this host’s subnets went to others while the store was away', {
          had: describeSubnets(subnets),
          has: describeSubnets(acquired.lease.subnets),
        })
        ended.end('other subnets')
        return
      }
      this.network.requestRepair()
    }
    board.publish()
    this.#memoryAlarm.ring()
    const how = await manager.run(
      {
        onPeers: (keys) => this.#takePeers(keys),
        onListed: () => this.network.requestRepair(),
        onOwn: () => {
          board.publish()
          this.#memoryAlarm.ring()
        },
      },
      ended.signal,
    )
    if (how === 'released') ended.end('released')
  }

  async #acquireLater(signal: AbortSignal): Promise<Acquired | undefined> {
    const { board } = this.#host
    while (!signal.aborted) {
      const result = await tryLease(this.#host, this.#input.claim, signal)
      if (!(result instanceof NotYet)) return result
      board.publish()
      await sleep(STORE_RETRY_MS, signal)
    }
    return undefined
  }

  #takePeers(keys: readonly string[]): void {
    if (keys.length === 0) return
    const leases = keys.slice(0, 10).join(' ')
    this.#often.info('peers changed', { count: keys.length, leases })
    this.network.setPeers(keys)
    this.#memoryAlarm.ring()
  }

  /** Writes what a next run needs should the store be away then. */
  async #keepMemory(signal: AbortSignal): Promise<void> {
    let pause = Number.POSITIVE_INFINITY
    while (!signal.aborted) {
      await this.#memoryAlarm.wait(pause, signal)
      if (signal.aborted) return
      pause = this.#writeMemory() ? Number.POSITIVE_INFINITY : MEMORY_RETRY_MS
      await sleep(MEMORY_SPACING_MS, signal)
    }
  }

  #writeMemory(): boolean {
    const { settings, manager, clock } = this.#host
    const path = memoryPath(settings.stateDir)
    try {
      const { text: config } = this.#input.found
      const moment = { now: clock(), bootId: readBootId() }
      writeMemory(path, { config, memory: manager.memory }, moment)
      return true
    } catch (error) {
      this.#often.error('leases not remembered', { path, error: messageOf(error) })
      return false
    }
  }
}

/** The end of a session: when it is aborted from outside, or by itself. */
class Ending implements Disposable {
  readonly signal: AbortSignal
  how: SessionEnd = 'end'
  readonly #controller = new AbortController()
  readonly #outside: AbortSignal
  readonly #abort = (): void => this.#controller.abort()

  constructor(outside: AbortSignal) {
    this.#outside = outside
    this.signal = this.#controller.signal
    outside.addEventListener('abort', this.#abort)
    if (outside.aborted) this.#abort()
  }

  /** What is said first counts. */
  end(how: SessionEnd): void {
    if (this.signal.aborted) return
    this.how = how
    this.#controller.abort()
  }

  [Symbol.dispose](): void {
    this.#outside.removeEventListener('abort', this.#abort)
  }
}

function sameSubnets(a: ByFamily<Prefix>, b: ByFamily<Prefix>): boolean {
  return families.every((family) => {
    const [one, other] = [a[family], b[family]]
    return one && other ? sameNetwork(one, other) : one === other
  })
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
