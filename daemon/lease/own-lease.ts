import { formatLeaseValue, type LeaseAttrs } from '../../conf/lease.ts'
import { limited } from '../../log/limited.ts'
import type { Logger } from '../../log/logger.ts'
import { StoreError } from '../../store/store.ts'
import { Alarm } from '../alarm.ts'
import type { Clock } from '../host/clock.ts'
import type { Telemetry } from '../status/telemetry.ts'
import {
  type Acquired,
  type Claim,
  findRival,
  isMine,
  samePublicIP,
  takeSubnets,
} from './acquire.ts'
import { readChallenge, tellHolder } from './challenge.ts'
import { describeHolder, describeSubnets, type Lease } from './lease.ts'
import type { LeaseStore } from './lease-store.ts'

export interface KeepTools {
  readonly leases: LeaseStore
  readonly clock: Clock
  readonly log: Logger
  readonly telemetry: Pick<Telemetry, 'renewals'>
  readonly ttlMs: number
  /** How long before its end a lease is renewed. */
  readonly marginMs: number
  /** Called when what `OwnLease` says of itself has changed. */
  readonly onChange: () => void
}

/** Another node that has, or had, this host's subnet. `since`: ms since the epoch. */
export interface Rival {
  readonly holder: string
  readonly since: number
}

const RETRY_MS = { first: 1_000, longest: 60_000 } as const
const RELEASE_ATTEMPTS = 5
/** Two daemons that take each other for this host write one lease no faster. */
const WRITE_SPACING_MS = 1_000
/** How long a host that had this one's subnet before is told of. */
const DISPUTE_MS = 600_000
/** A reservation ends only by hand: as good as never. */
const RESERVED_MS = 10 * 365 * 86_400_000

/**
 * This host's lease while the daemon runs. Whatever happens to it, by us or by others, ends in the
 * same look at the store: it is there and ours, or it is gone and taken again, or somebody else has
 * it. It is never fought over: what another node holds stays lost until that node lets go.
 */
export class OwnLease {
  readonly #tools: KeepTools
  readonly #often: Logger
  readonly #alarm = new Alarm()
  #claim: Claim
  #lease: Lease
  #sentAt: number
  #rival: Rival | undefined
  #disputed: Rival | undefined
  #isReleased = false
  #looking: Promise<unknown> = Promise.resolve()
  #retryMs: number = RETRY_MS.first
  /** What was sent since the lease was last in hand: any of it may be what the store has. */
  readonly #sent = new Set<LeaseAttrs>()
  #mayWriteFrom = 0

  constructor(claim: Claim, { lease, sentAt }: Acquired, tools: KeepTools) {
    this.#claim = claim
    this.#lease = lease
    this.#sentAt = sentAt
    this.#tools = tools
    this.#often = limited(tools.log)
  }

  get lease(): Lease {
    return this.#lease
  }

  /** What the lease is to say. */
  get attrs(): Claim['attrs'] {
    return this.#claim.attrs
  }

  /** Until when no other node can have it: ms on the boot clock. */
  get heldUntil(): number {
    return this.#sentAt + (this.#lease.reserved ? RESERVED_MS : this.#tools.ttlMs)
  }

  /** Who has this host's subnet now; undefined while nobody else has. */
  get contested(): Rival | undefined {
    return this.#rival
  }

  /** Who had this host's subnet before it, and says so; as happens after a store was restored. */
  get disputed(): Rival | undefined {
    const isOver = this.#tools.clock().wall - (this.#disputed?.since ?? 0) > DISPUTE_MS
    return isOver ? undefined : this.#disputed
  }

  /** Why this host may not give addresses of its subnet now; undefined while it may. */
  get problem(): string | undefined {
    const subnet = describeSubnets(this.#lease.subnets)
    if (this.#isReleased) return `the lease of ${subnet} was given back on request`
    if (this.#rival) {
      return `the subnet ${subnet} of this host now belongs to ${this.#rival.holder}: it is this host’s again when that node lets go, or restart heddled for another one`
    }
    if (this.#tools.clock().boot < this.heldUntil) return undefined
    const { name } = this.#tools.leases
    return `the lease of ${subnet} has ended: it could not be renewed in the store ${name}`
  }

  /** Whether an event on `key` concerns this lease. */
  concerns(key: string): boolean {
    return key === this.#lease.key
  }

  /** Returns when nothing is on its way to the store any more; for when nobody keeps the lease. */
  async idle(): Promise<void> {
    await this.#looking
  }

  /** To be called when the lease may have changed in the store. */
  nudge(): void {
    this.#alarm.ring()
  }

  /** From now on the lease is to say this; its subnets stay. */
  update(claim: Claim): void {
    this.#claim = claim
    this.nudge()
  }

  /** Renews and defends the lease until aborted. */
  async keep(signal: AbortSignal): Promise<void> {
    let next = this.#rival ? this.#tools.clock().boot : this.#nextRenewal()
    while (!signal.aborted) {
      await this.#alarm.wait(next - this.#tools.clock().boot, signal)
      if (signal.aborted) return
      // Who releases it rings again if that does not succeed.
      if (this.#isReleased) next = Number.POSITIVE_INFINITY
      else next = await this.#lookOnce()
    }
  }

  /**
   * Gives the lease back; a reservation stays one, without this host's data. From then on it is not
   * defended. Whether it was this host's until then.
   * @throws StoreError: it may still be there, and is defended as before
   */
  async release(): Promise<boolean> {
    if (this.#isReleased) return false
    this.#isReleased = true
    let isGone = false
    try {
      await this.#looking
      isGone = await this.#giveBack()
      return isGone
    } finally {
      if (!isGone) {
        this.#isReleased = false
        this.nudge()
      }
    }
  }

  async #giveBack(): Promise<boolean> {
    const { leases } = this.#tools
    const { nodeId } = this.#claim.attrs
    for (let attempt = 1; attempt <= RELEASE_ATTEMPTS; attempt++) {
      const now = await leases.get(this.#lease.key)
      if (!now || !isMine(now, this.#claim.attrs)) return false
      const bare: LeaseAttrs = { publicIP: {}, backendType: '', backendData: {}, nodeId }
      const isDone = now.reserved ? await leases.put(now, bare) : await leases.delete(now)
      if (isDone) return true
    }
    throw new StoreError('unavailable', leases.name, `${this.#lease.key} changes all the time`)
  }

  /** One look at a time, also where the keeper before this one still waits for the store. */
  async #lookOnce(): Promise<number> {
    const look = this.#looking.then(() => this.#look())
    this.#looking = look.catch(() => {})
    return look
  }

  #nextRenewal(): number {
    return this.#sentAt + this.#tools.ttlMs - this.#tools.marginMs
  }

  /** Looks once and does what is to be done; when to look again, ms on the boot clock. */
  async #look(): Promise<number> {
    const { clock, leases, ttlMs, telemetry } = this.#tools
    try {
      const next = await this.#settle()
      if (next !== undefined && next > clock().boot) {
        this.#retryMs = RETRY_MS.first
        return next
      }
    } catch (error) {
      if (!(error instanceof StoreError) || error.reason === 'closed') throw error
      const heldSeconds = Math.round((this.heldUntil - clock().boot) / 1000)
      const fields = { store: leases.name, error: error.message, heldSeconds }
      this.#often.warn('lease not renewed', fields)
      telemetry.renewals.add('failed')
    }
    this.#tools.onChange()
    const pause = this.#retryMs
    this.#retryMs = Math.min(pause * 2, RETRY_MS.longest, Math.max(1_000, ttlMs / 10))
    return clock().boot + pause
  }

  /**
   * Sees to it that the lease is this host's and says what it is to say; when to look again, ms on
   * the boot clock. Undefined: it is not so.
   */
  async #settle(): Promise<number | undefined> {
    const { leases } = this.#tools
    const { attrs } = this.#claim
    let now: Lease | undefined
    try {
      now = await leases.get(this.#lease.key)
    } catch (error) {
      if (!(error instanceof StoreError) || error.reason !== 'corrupt') throw error
      return this.#mend(error)
    }
    if (!now) return this.#takeAgain()
    if (!isMine(now, attrs)) return this.#lose(now)
    if (leases.unproven.has(now.key) && !(await this.#prove(now))) return undefined
    if (!this.#isByUs(now)) return this.#lose(now)
    if (now.attrs.challenge !== undefined) this.#answer(now.attrs.challenge)
    return this.#renew(now)
  }

  /** Whether this host wrote what its lease says. */
  #isByUs({ revision, attrs }: Lease): boolean {
    return (
      revision === this.#lease.revision ||
      attrs.challenge !== undefined ||
      // An operator who reserves it writes no more than whose it is.
      attrs.backendType === '' ||
      [this.#claim.attrs, this.#lease.attrs, ...this.#sent].some((ours) =>
        samePublicIP(attrs, ours),
      )
    )
  }

  /** Writes the lease if it is not as it is to be, or it is time to. */
  async #renew(now: Lease): Promise<number | undefined> {
    const { leases, clock, telemetry } = this.#tools
    const { attrs } = this.#claim
    const isAsWritten = now.revision === this.#lease.revision
    const isRight = formatLeaseValue(now.attrs) === formatLeaseValue(attrs)
    if (isAsWritten && isRight && clock().boot < this.#nextRenewal()) {
      this.#hold(now, this.#sentAt)
      return this.#nextRenewal()
    }
    const sentAt = clock().boot
    if (this.#isTooSoon(sentAt)) return this.#mayWriteFrom
    const lease = await this.#write(attrs, () => leases.put(now, attrs))
    if (!lease) return undefined
    telemetry.renewals.add('renewed')
    this.#hold(lease, sentAt)
    return this.#nextRenewal()
  }

  /** Writes what the lease is to say; what comes of it may remain unknown. */
  async #write<T>(attrs: LeaseAttrs, work: () => Promise<T>): Promise<T> {
    this.#sent.add(attrs)
    this.#mayWriteFrom = this.#tools.clock().boot + WRITE_SPACING_MS
    return work()
  }

  /** A lease that is about to end waits for nothing. */
  #isTooSoon(now: number): boolean {
    return now < this.#mayWriteFrom && now < this.#nextRenewal()
  }

  /** Nobody can read what is in place of the lease: it is no other node's, as long as it was ours. */
  async #mend(unreadable: StoreError): Promise<number | undefined> {
    const { leases, clock, log } = this.#tools
    const sentAt = clock().boot
    if (this.#rival || sentAt >= this.heldUntil) throw unreadable
    if (this.#isTooSoon(sentAt)) return this.#mayWriteFrom
    const { attrs } = this.#claim
    const lease = await this.#write(attrs, () => leases.mend(this.#lease, attrs))
    if (!lease) return undefined
    log.warn('lease was unreadable in the store, written again', { lease: lease.key })
    this.#hold(lease, sentAt)
    return this.#nextRenewal()
  }

  /** Looks who else has the subnets of a lease that was taken again, and gives way to them. */
  async #prove(lease: Lease): Promise<boolean> {
    const { leases } = this.#tools
    const rival = findRival((await leases.list()).leases, lease.subnets, this.#claim.attrs)
    if (!rival) return leases.unproven.delete(lease.key)
    await leases.delete(lease)
    await this.#lose(rival)
    return false
  }

  /** The lease is gone from the store; when to look again if it is there again. */
  async #takeAgain(): Promise<number | undefined> {
    const { leases, log, telemetry } = this.#tools
    const { attrs } = this.#claim
    const { subnets } = this.#lease
    const list = await leases.list()
    const rival = findRival(list.leases, subnets, attrs)
    if (rival) return this.#lose(rival)
    const taken = await this.#write(attrs, () => takeSubnets(attrs, subnets, list, this.#tools))
    if (!taken) return undefined
    log.warn('lease was gone from the store, taken again', { subnet: describeSubnets(subnets) })
    telemetry.renewals.add('taken')
    this.#hold(taken.lease, taken.sentAt)
    return this.#nextRenewal()
  }

  /** Somebody has written a question into the lease; the renewal takes it out. */
  #answer(challenge: string): void {
    const { key: lease } = this.#lease
    const former = readChallenge(challenge)
    if (former === undefined) {
      this.#often.error(
        'another daemon was started under this host’s node id; it is told that we live',
        { lease },
      )
      return
    }
    const holder = `node ${former}`
    this.#disputed = { holder, since: this.#tools.clock().wall }
    this.#often.error(
      'this host’s subnet was another host’s until the store lost that: containers there still have addresses of it',
      { lease, holder },
    )
  }

  #hold(lease: Lease, sentAt: number): void {
    const { log, onChange } = this.#tools
    const subnet = describeSubnets(lease.subnets)
    if (this.#rival) log.info('lease is this host’s again', { subnet })
    else if (sentAt !== this.#sentAt) log.info('lease renewed', { subnet })
    // What was sent before can no longer take effect.
    if (lease.revision !== this.#lease.revision) this.#sent.clear()
    this.#lease = lease
    this.#sentAt = sentAt
    this.#rival = undefined
    onChange()
  }

  /** Says so, here and to the holder, once; nothing is done against it. */
  async #lose(rival: Lease): Promise<undefined> {
    const { clock, telemetry, leases } = this.#tools
    const { nodeId } = this.#claim.attrs
    const isCopy = rival.attrs.nodeId === nodeId
    const holder = describeHolder(rival.attrs) + (isCopy ? ', under this host’s own node id' : '')
    if (this.#rival?.holder === holder) return
    this.#often.error(
      'lease lost to another host: running containers keep their addresses, no new ones are given',
      { subnet: describeSubnets(this.#lease.subnets), holder },
    )
    telemetry.renewals.add('lost')
    this.#rival = { holder, since: clock().wall }
    if (!isCopy) await tellHolder(rival, nodeId, leases)
  }
}
