import type { LeaseAttrs } from '../../conf/lease.ts'
import { limited } from '../../log/limited.ts'
import type { Logger } from '../../log/logger.ts'
import { StoreError } from '../../store/store.ts'
import { Alarm, sleep } from '../alarm.ts'
import type { Clock } from '../host/clock.ts'
import type { Telemetry } from '../status/telemetry.ts'
import { type Acquired, acquireLease, type Claim, giveBack, isMine } from './acquire.ts'
import { describeSubnets, isBareReservation, type Lease } from './lease.ts'
import { type Held, LeaseBook, type ListVerdict } from './lease-book.ts'
import type { LeaseEvent, LeaseList, LeaseStore } from './lease-store.ts'
import { OwnLease, type Rival } from './own-lease.ts'

export interface SubnetManagerOptions {
  readonly leases: LeaseStore
  readonly ttlSeconds: number
  readonly renewMarginSeconds: number
  readonly clock: Clock
  readonly log: Logger
  readonly telemetry: Telemetry
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
  /** For what may be said again and again while a store is ill. */
  readonly #often: Logger
  readonly #book: LeaseBook
  readonly #released = new AbortController()
  #own: OwnLease | undefined
  /** The lease an earlier run held, until this run has its own. */
  #remembered: Memory['own']
  /** That lease was not in the store; one list that lacks it is enough to know. */
  #isRememberedGone = false
  #position = 0
  #acquiring: Promise<unknown> = Promise.resolve()
  readonly #dropAlarm = new Alarm()
  #followers: Followers = { onPeers() {}, onListed() {}, onOwn() {} }

  constructor(options: SubnetManagerOptions) {
    this.#options = options
    this.#often = limited(options.log)
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

  /** Whether this run has a lease of its own. */
  get isAcquired(): boolean {
    return this.#own !== undefined
  }

  /** The node that has this host's subnet now, if another one has. */
  get contested(): Rival | undefined {
    return this.#own?.contested
  }

  /** The node that had this host's subnet before, and says so. */
  get disputed(): Rival | undefined {
    return this.#own?.disputed
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
    const isOver = this.#released.signal.aborted
    const own = lease && heldUntil !== undefined && !isOver ? { lease, heldUntil } : undefined
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
    // Whoever gave up on the one before may not have waited for the store's answer.
    const acquired = this.#acquiring.then(() => this.#acquire(claim, signal))
    this.#acquiring = acquired.catch(() => {})
    return acquired
  }

  async #acquire(claim: Claim, signal: AbortSignal): Promise<Acquired> {
    const { leases, clock, log, ttlSeconds, renewMarginSeconds, telemetry } = this.#options
    // What is on its way could take again what is given back here.
    if (this.#own) await this.#own.idle()
    let list = await leases.list()
    if (await this.#mend(list, claim)) list = await leases.list()
    const { distrust } = this.#judge(list, claim.attrs)
    if (distrust !== undefined) {
      this.#often.warn('the store lost data: peers stay', { reason: distrust })
      this.#isRememberedGone = true
    }
    const mayTakeFrom = (): number => this.#book.mayTakeFrom
    const had = this.#own ?? this.#remembered
    const previous = [...(had ? [had.lease.subnets] : []), ...claim.previous]
    const tools = { leases, clock, log, signal, mayTakeFrom, held: this.#own?.lease }
    const acquired = await acquireLease({ ...claim, previous }, list, tools)
    telemetry.renewals.add(acquired.isNew ? 'taken' : 'renewed')
    this.#own = new OwnLease(claim, acquired, {
      leases,
      clock,
      log,
      telemetry,
      ttlMs: ttlSeconds * 1000,
      // A margin as long as the lease itself would renew it all the time.
      marginMs: (renewMarginSeconds < ttlSeconds ? renewMarginSeconds : ttlSeconds / 2) * 1000,
      onChange: () => this.#followers.onOwn(),
    })
    this.#remembered = undefined
    this.#position = list.revision
    return acquired
  }

  /** Writes this host's own lease anew if it holds one that nobody can read; whether it did. */
  async #mend(list: LeaseList, { attrs }: Claim): Promise<boolean> {
    const { leases, clock, log } = this.#options
    const had = this.#own ?? this.#remembered
    const isUnreadable = list.unreadable.some(({ key }) => key === had?.lease.key)
    if (!had || !isUnreadable || this.contested || clock().boot >= had.heldUntil) return false
    if (!(await leases.mend(had.lease, attrs))) return false
    log.warn('lease was unreadable in the store, written again', { lease: had.lease.key })
    return true
  }

  /**
   * From now on the lease in hand is to say this; its subnets stay. The store learns of it once the
   * manager runs, or when it can be reached again.
   */
  update(claim: Claim): void {
    this.#own?.update(claim)
  }

  /** Keeps the lease and follows the peers' until aborted, or until it is given back; after `acquire`. */
  async run(followers: Followers, signal: AbortSignal): Promise<'end' | 'released'> {
    this.#followers = followers
    const either = AbortSignal.any([signal, this.#released.signal])
    // What came and went since the list, as this lease may have, a store without a history tells nobody.
    this.#own?.nudge()
    await Promise.all([this.#own?.keep(either), this.#follow(either), this.#drop(either)])
    return this.#released.signal.aborted ? 'released' : 'end'
  }

  /**
   * Gives this host's lease back and lets `run` end. False, and nothing changes: there is none, or it
   * is not this host's any more.
   * @throws StoreError: it may still be there, and is kept as before
   */
  async release(): Promise<boolean> {
    const isGone = (await this.#own?.release()) ?? false
    if (isGone) this.#released.abort()
    return isGone
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { leases, telemetry } = this.#options
    while (!signal.aborted) {
      try {
        for await (const event of leases.watch(this.#position, signal)) {
          if (event.type === 'resync') break
          this.#take(event)
        }
      } catch (error) {
        if (!(error instanceof StoreError)) throw error
        const fields = { store: leases.name, error: error.message }
        this.#often.error('leases cannot be watched', fields)
        await sleep(LIST_RETRY_MS.longest, signal)
      }
      if (signal.aborted) return
      telemetry.resyncs.add('watch')
      await this.#listAgain(signal)
    }
  }

  async #listAgain(signal: AbortSignal): Promise<void> {
    const { leases } = this.#options
    let pause: number = LIST_RETRY_MS.first
    while (!signal.aborted) {
      try {
        const list = await leases.list()
        if (signal.aborted) return
        this.#takeList(list)
        await this.#giveBackOld(list)
        return
      } catch (error) {
        if (!(error instanceof StoreError)) throw error
        const fields = { store: leases.name, error: error.message }
        this.#often.warn('leases cannot be listed', fields)
        await sleep(pause, signal)
        pause = Math.min(pause * 2, LIST_RETRY_MS.longest)
      }
    }
  }

  #takeList(list: LeaseList): void {
    const { changed, distrust } = this.#judge(list, this.#own?.attrs)
    this.#position = list.revision
    if (distrust !== undefined) {
      this.#often.warn('the store lost data: peers stay', { reason: distrust })
    }
    this.#followers.onPeers(changed)
    this.#followers.onListed()
    this.#dropAlarm.ring()
    this.#own?.nudge()
  }

  /**
   * A store that was set back may show leases that this host had earlier; whoever has those subnets
   * now waits for them.
   */
  async #giveBackOld({ leases: listed }: LeaseList): Promise<void> {
    const { leases, log } = this.#options
    const own = this.#own
    if (!own || own.contested) return
    const mine = listed.filter(({ attrs }) => attrs.nodeId === own.attrs.nodeId)
    for (const { key, subnets, reserved } of mine) {
      if (key === own.lease.key || reserved) continue
      const subnet = describeSubnets(subnets)
      log.warn('the store shows a lease that this host had before: another host may have it', {
        subnet,
      })
    }
    await giveBack(mine, own.lease, { leases, log })
  }

  #take(event: Exclude<LeaseEvent, { type: 'resync' }>): void {
    const { clock, telemetry } = this.#options
    const now = clock()
    const { key, revision } = event.type === 'put' ? event.lease : event
    this.#position = Math.max(this.#position, revision)
    if (this.#own?.concerns(key)) this.#own.nudge()
    // Of a peer's we keep what we knew.
    if (event.type === 'unreadable') return
    telemetry.leaseEvents.add(event.type)
    if (this.#own?.concerns(key)) return
    if (event.type === 'delete' || isBareReservation(event.lease)) {
      this.#book.delete(key, revision, now)
      this.#dropAlarm.ring()
    } else if (!this.#own || !isMine(event.lease, this.#own.attrs)) {
      const began = performance.now()
      this.#followers.onPeers(this.#book.put(event.lease, now))
      telemetry.eventToKernelSeconds.observe((performance.now() - began) / 1000)
    }
  }

  /** Drops the peers whose leases went and did not come back. */
  async #drop(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    while (!signal.aborted) {
      const next = this.#book.nextDrop() ?? Number.POSITIVE_INFINITY
      await this.#dropAlarm.wait(next - clock().boot, signal)
      if (signal.aborted) return
      const gone = this.#book.expire(clock())
      if (gone.length === 0) continue
      const leases = gone.slice(0, 10).join(' ')
      this.#often.info('peers gone', { count: gone.length, leases })
      this.#followers.onPeers(gone)
    }
  }

  /** Enters a list into the book. `attrs`: by which this host knows its own leases. */
  #judge(list: LeaseList, attrs: LeaseAttrs | undefined): ListVerdict {
    const now = this.#options.clock()
    const isOwn = (lease: Lease): boolean => attrs !== undefined && isMine(lease, attrs)
    const remembered = this.#isRememberedGone ? undefined : this.#remembered
    const expected = this.#own?.problem === undefined ? (this.#own ?? remembered) : undefined
    const isHeld = expected !== undefined && now.boot < expected.heldUntil
    const isThere =
      list.leases.some((lease) => lease.key === expected?.lease.key && isOwn(lease)) ||
      list.unreadable.some(({ key }) => key === expected?.lease.key)
    return this.#book.list(
      {
        clusterId: list.clusterId,
        revision: list.revision,
        leases: list.leases.filter((lease) => !isOwn(lease) && !isBareReservation(lease)),
        unreadable: list.unreadable.map(({ key }) => key),
        own: isHeld ? (isThere ? 'present' : 'missing') : 'not expected',
      },
      now,
    )
  }
}
