import type { ByFamily } from '../ip/by-family.ts'
import { families } from '../ip/by-family.ts'
import { type Prefix, sameNetwork } from '../ip/prefix.ts'
import type { Acquired, Claim } from './acquire.ts'
import { Alarm, sleep } from './alarm.ts'
import type { Backend, Uplink } from './backend/backend.ts'
import type { Host } from './host.ts'
import { describeSubnets } from './lease.ts'
import { memoryPath, writeMemory } from './memory-file.ts'
import { Network } from './network.ts'
import type { FoundConfig } from './network-config.ts'
import { tryLease } from './start.ts'
import type { Current } from './subnet-manager.ts'
import { NotYet } from './wait.ts'

export interface SessionInput {
  readonly found: FoundConfig
  readonly uplinks: ByFamily<Uplink>
  readonly backend: Backend
  readonly claim: Claim
  /** The lease to work with: acquired, or remembered while the store is away. */
  readonly lease: Current
}

const STORE_RETRY_MS = 2_000
const MEMORY_SPACING_MS = 2_000

/** The daemon at work with one lease: from bringing the network up to the end, or other subnets. */
export class Session {
  readonly network: Network
  readonly #host: Host
  readonly #input: SessionInput
  readonly #memoryAlarm = new Alarm()

  constructor(host: Host, input: SessionInput) {
    this.#host = host
    this.#input = input
    const { found, uplinks, backend, lease } = input
    const { subnets } = lease.lease
    const network = new Network({ ...host, config: found.config, uplinks, backend, subnets })
    const { manager, board } = host
    board.show(() => {
      const own = manager.current ?? lease
      const { plans, problems } = network
      return { backend, uplinks, own, peers: manager.peers, plans, problems }
    })
    this.network = network
  }

  /** Works until aborted (`end`), or until this host has a lease of `other subnets`. */
  async run(isAcquired: boolean, signal: AbortSignal): Promise<'end' | 'other subnets'> {
    using ended = new Ending(signal)
    const work = [
      this.#keepLease(isAcquired, ended),
      this.network.keepRepaired(ended.signal),
      this.network.keepRules(ended.signal),
      this.#keepMemory(ended.signal),
    ]
    await Promise.all(
      work.map((one) =>
        one.catch((error: unknown) => {
          ended.end('end')
          throw error
        }),
      ),
    )
    return ended.how
  }

  async #keepLease(isAcquired: boolean, ended: Ending): Promise<void> {
    const { manager, board, log } = this.#host
    if (!isAcquired) {
      const acquired = await this.#acquireLater(ended.signal)
      if (!acquired) return
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
    await manager.run(
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
    const { log } = this.#host
    log.info('peers changed', { count: keys.length, leases: keys.slice(0, 10).join(' ') })
    this.network.setPeers(keys)
    this.#memoryAlarm.ring()
  }

  /** Writes what a next run needs should the store be away then. */
  async #keepMemory(signal: AbortSignal): Promise<void> {
    const { settings, manager, clock, log } = this.#host
    const path = memoryPath(settings.stateDir)
    while (!signal.aborted) {
      await this.#memoryAlarm.wait(Number.POSITIVE_INFINITY, signal)
      try {
        const { text: config } = this.#input.found
        writeMemory(path, { config, memory: manager.memory }, clock())
      } catch (error) {
        log.error('leases not remembered', { path, error: String(error) })
      }
      await sleep(MEMORY_SPACING_MS, signal)
    }
  }
}

/** The end of a session: when it is aborted from outside, or by itself. */
class Ending implements Disposable {
  readonly signal: AbortSignal
  how: 'end' | 'other subnets' = 'end'
  readonly #controller = new AbortController()
  readonly #outside: AbortSignal
  readonly #abort = (): void => this.#controller.abort()

  constructor(outside: AbortSignal) {
    this.#outside = outside
    this.signal = this.#controller.signal
    outside.addEventListener('abort', this.#abort)
    if (outside.aborted) this.#abort()
  }

  end(how: 'end' | 'other subnets'): void {
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
