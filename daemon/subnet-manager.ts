import type { Logger } from '../log/logger.ts'
import { StoreError } from '../store/store.ts'
import { type Acquired, acquireLease, type Claim, isMine } from './acquire.ts'
import { Alarm, sleep } from './alarm.ts'
import type { Clock } from './clock.ts'
import { describeSubnets, type Lease } from './lease.ts'
import { type Held, LeaseBook, type ListVerdict } from './lease-book.ts'
import type { LeaseEvent, LeaseList, LeaseStore } from './lease-store.ts'
import { OwnLease } from './own-lease.ts'

export interface SubnetManagerOptions {
  readonly leases: LeaseStore
  readonly ttlSeconds: number
  readonly renewMarginSeconds: number
  readonly clock: Clock
  readonly log: Logger
}

/** What the manager tells its owner, who asks for the rest. */
export interface Followers {
  /** These peers' leases are new, other than before, or gone. */
  onPeers(keys: readonly string[]): void
  /** All peers were listed again, and what the kernel has may be compared with them. */
  onListed(): void
  /** This host's own lease was renewed, lost or taken again. */
  onOwn(): void
}

/** This host's lease. `problem`: why no addresses of it may be given now. */
export interface Current {
  readonly lease: Lease
  /** ms on the boot clock. */
  readonly heldUntil: number
  readonly problem: string | undefined
}

/** What is kept of the leases from one run to the next. */
export interface Memory {
  readonly clusterId: string | undefined
  readonly revision: number
  readonly own: { readonly lease: Lease; readonly heldUntil: number } | undefined
  readonly peers: readonly Held[]
}

const LIST_RETRY_MS = { first: 500, longest: 5_000 } as const

/**
 * Policy over the leases in a store: gets this host its subnets, keeps them, and follows the
 * peers'. It touches no kernel and no file.
 */
export class SubnetManager {
  readonly #options: SubnetManagerOptions
  readonly #book: LeaseBook
  #claim: Claim | undefined
  #own: OwnLease | undefined
  /** The lease an earlier run held, until this run has its own. */
  #remembered: Memory['own']
  /** That lease was not in the store; one list that lacks it is enough to know. */
  #isRememberedGone = false
  #position = 0
  readonly #dropAlarm = new Alarm()
  #followers: Followers = { onPeers() {}, onListed() {}, onOwn() {} }

  constructor(options: SubnetManagerOptions) {
    this.#options = options
    this.#book = new LeaseBook(options.ttlSeconds * 1000)
  }

  /** The lease in hand, or until there is one what an earlier run held. */
  get current(): Current | undefined {
    const { name } = this.#options.leases
    const held = this.#remembered
    if (this.#own || !held) return this.#own
    const ended = `the lease of ${describeSubnets(held.lease.subnets)} has ended and the store ${name} does not answer`
    const isHeld = this.#options.clock().boot < held.heldUntil
    return { ...held, problem: isHeld ? undefined : ended }
  }

  get peers(): ReadonlyMap<string, Held> {
    return this.#book.held
  }

  /** In how many ms the kernel's entries that no lease explains may be deleted; 0 or less: now. */
  get mayPruneIn(): number {
    return this.#book.mayPruneFrom - this.#options.clock().boot
  }

  get memory(): Memory {
    const { lease, heldUntil } = this.#own ?? this.#remembered ?? {}
    const own = lease && heldUntil !== undefined ? { lease, heldUntil } : undefined
    return { ...this.#book.position, own, peers: [...this.#book.held.values()] }
  }

  /** Takes up what an earlier run knew; before anything else. */
  restore(memory: Memory): void {
    this.#book.restore(memory, memory.peers)
    this.#remembered = memory.own
  }

  /**
   * Lists the leases and gets this host its own. Tells nobody: what it learned is in `current` and
   * `peers`.
   * @throws OutOfSubnetsError, NodeIdInUseError, LostRaceError, StoreError
   */
  async acquire(claim: Claim, signal: AbortSignal): Promise<Acquired> {
    const { leases, clock, log, ttlSeconds, renewMarginSeconds } = this.#options
    this.#claim = claim
    const list = await leases.list()
    const { distrust } = this.#judge(list)
    if (distrust !== undefined) {
      log.warn('the store lost data: peers stay', { reason: distrust })
      this.#isRememberedGone = true
    }
    const mayTakeFrom = (): number => this.#book.mayTakeFrom
    const previous = [
      ...(this.#remembered ? [this.#remembered.lease.subnets] : []),
      ...claim.previous,
    ]
    const tools = { leases, clock, log, signal, mayTakeFrom }
    const acquired = await acquireLease({ ...claim, previous }, list, tools)
    const own = new OwnLease(claim, acquired, {
      leases,
      clock,
      log,
      ttlMs: ttlSeconds * 1000,
      // A margin as long as the lease itself would renew it all the time.
      marginMs: (renewMarginSeconds < ttlSeconds ? renewMarginSeconds : ttlSeconds / 2) * 1000,
      onChange: () => this.#followers.onOwn(),
    })
    this.#own = own
    this.#remembered = undefined
    this.#position = list.revision
    return acquired
  }

  /** Keeps the lease and follows the peers' until aborted; after `acquire`. */
  async run(followers: Followers, signal: AbortSignal): Promise<void> {
    this.#followers = followers
    await Promise.all([this.#own?.keep(signal), this.#follow(signal), this.#drop(signal)])
  }

  /** Gives back a lease just acquired, when the start went wrong after it. */
  async release(): Promise<void> {
    if (this.#own) await this.#options.leases.delete(this.#own.lease)
    this.#own = undefined
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { leases, log } = this.#options
    while (!signal.aborted) {
      try {
        for await (const event of leases.watch(this.#position, signal)) {
          if (event.type === 'resync') break
          this.#take(event)
        }
      } catch (error) {
        if (!(error instanceof StoreError)) throw error
        log.error('leases cannot be watched', { store: leases.name, error: error.message })
        await sleep(LIST_RETRY_MS.longest, signal)
      }
      if (!signal.aborted) await this.#listAgain(signal)
    }
  }

  async #listAgain(signal: AbortSignal): Promise<void> {
    const { leases, log } = this.#options
    let pause: number = LIST_RETRY_MS.first
    while (!signal.aborted) {
      try {
        const list = await leases.list()
        const { changed, distrust } = this.#judge(list)
        this.#position = list.revision
        if (distrust !== undefined)
          log.warn('the store lost data: peers stay', { reason: distrust })
        this.#followers.onPeers(changed)
        this.#followers.onListed()
        this.#dropAlarm.ring()
        this.#own?.nudge()
        return
      } catch (error) {
        if (!(error instanceof StoreError)) throw error
        if (pause === LIST_RETRY_MS.first) {
          log.warn('leases cannot be listed', { store: leases.name, error: error.message })
        }
        await sleep(pause, signal)
        pause = Math.min(pause * 2, LIST_RETRY_MS.longest)
      }
    }
  }

  #take(event: Exclude<LeaseEvent, { type: 'resync' }>): void {
    const now = this.#options.clock()
    const key = event.type === 'put' ? event.lease.key : event.key
    if (this.#own?.concerns(key)) return this.#own.nudge()
    if (event.type === 'delete') {
      this.#book.delete(key, event.revision, now)
      this.#dropAlarm.ring()
    } else if (!this.#isMine(event.lease)) {
      this.#followers.onPeers(this.#book.put(event.lease, now))
    }
  }

  /** Drops the peers whose leases went and did not come back. */
  async #drop(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options
    while (!signal.aborted) {
      const next = this.#book.nextDrop() ?? Number.POSITIVE_INFINITY
      await this.#dropAlarm.wait(next - clock().boot, signal)
      if (signal.aborted) return
      const gone = this.#book.expire(clock())
      if (gone.length === 0) continue
      log.info('peers gone', { count: gone.length, leases: gone.slice(0, 10).join(' ') })
      this.#followers.onPeers(gone)
    }
  }

  #judge(list: LeaseList): ListVerdict {
    const now = this.#options.clock()
    const remembered = this.#isRememberedGone ? undefined : this.#remembered
    const expected = this.#own?.problem === undefined ? (this.#own ?? remembered) : undefined
    const isHeld = expected !== undefined && now.boot < expected.heldUntil
    const isThere = list.leases.some(
      (lease) => lease.key === expected?.lease.key && this.#isMine(lease),
    )
    return this.#book.list(
      {
        clusterId: list.clusterId,
        revision: list.revision,
        leases: list.leases.filter((lease) => !this.#isMine(lease)),
        unreadable: list.unreadable.map(({ key }) => key),
        own: isHeld ? (isThere ? 'present' : 'missing') : 'not expected',
      },
      now,
    )
  }

  #isMine(lease: Lease): boolean {
    return this.#claim !== undefined && isMine(lease, this.#claim.attrs)
  }
}
