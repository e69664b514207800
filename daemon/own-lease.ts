import type { Logger } from '../log/logger.ts'
import { StoreError } from '../store/store.ts'
import { type Acquired, type Claim, isMine, samePublicIP } from './acquire.ts'
import { Alarm } from './alarm.ts'
import type { Clock } from './clock.ts'
import { describeHolder, describeSubnets, type Lease, subnetsOverlap } from './lease.ts'
import type { LeaseStore } from './lease-store.ts'

export interface KeepTools {
  readonly leases: LeaseStore
  readonly clock: Clock
  readonly log: Logger
  readonly ttlMs: number
  /** How long before its end a lease is renewed. */
  readonly marginMs: number
  /** Called when what `OwnLease` says of itself has changed. */
  readonly onChange: () => void
}

const RETRY_MS = { first: 1_000, longest: 60_000 } as const

/**
 * This host's lease while the daemon runs. Whatever happens to it, by us or by others, ends in the
 * same look at the store: it is there and ours, or it is gone and taken again, or somebody else has
 * it. It is never fought over: what another node holds stays lost until that node lets go.
 */
export class OwnLease {
  readonly #tools: KeepTools
  readonly #claim: Claim
  readonly #alarm = new Alarm()
  #lease: Lease
  #sentAt: number
  #lostTo: string | undefined
  #retryMs: number = RETRY_MS.first

  constructor(claim: Claim, { lease, sentAt }: Acquired, tools: KeepTools) {
    this.#claim = claim
    this.#lease = lease
    this.#sentAt = sentAt
    this.#tools = tools
  }

  get lease(): Lease {
    return this.#lease
  }

  /** Until when no other node can have it: ms on the boot clock. */
  get heldUntil(): number {
    return this.#sentAt + this.#tools.ttlMs
  }

  /** Why this host may not give addresses of its subnet now; undefined while it may. */
  get problem(): string | undefined {
    if (this.#lostTo !== undefined) return this.#lostTo
    if (this.#tools.clock().boot < this.heldUntil) return undefined
    const { name } = this.#tools.leases
    return `the lease of ${describeSubnets(this.#lease.subnets)} has ended: it could not be renewed in the store ${name}`
  }

  /** Whether an event on `key` concerns this lease. */
  concerns(key: string): boolean {
    return key === this.#lease.key
  }

  /** To be called when the lease may have changed in the store. */
  nudge(): void {
    this.#alarm.ring()
  }

  /** Renews and defends the lease until aborted. */
  async keep(signal: AbortSignal): Promise<void> {
    let next = this.#nextRenewal()
    while (!signal.aborted) {
      await this.#alarm.wait(next - this.#tools.clock().boot, signal)
      if (signal.aborted) return
      next = await this.#look()
    }
  }

  #nextRenewal(): number {
    return this.heldUntil - this.#tools.marginMs
  }

  /** Looks once and does what is to be done; when to look again, ms on the boot clock. */
  async #look(): Promise<number> {
    const { clock, log, leases } = this.#tools
    try {
      await this.#settle()
      this.#retryMs = RETRY_MS.first
      if (this.#lostTo === undefined && this.#nextRenewal() > clock().boot) {
        return this.#nextRenewal()
      }
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      const left = Math.round((this.heldUntil - clock().boot) / 1000)
      log.warn('lease not renewed', { store: leases.name, error: error.message, heldSeconds: left })
    }
    this.#tools.onChange()
    const pause = this.#retryMs
    this.#retryMs = Math.min(pause * 2, RETRY_MS.longest, Math.max(1_000, this.#tools.ttlMs / 10))
    return clock().boot + pause
  }

  async #settle(): Promise<void> {
    const { leases, clock } = this.#tools
    const now = await leases.get(this.#lease.key)
    if (!now) return this.#takeAgain()
    const { attrs } = this.#claim
    if (!isMine(now, attrs)) return this.#lose(describeHolder(now.attrs))
    const isAnothers = now.attrs.challenge === undefined && !samePublicIP(now.attrs, attrs)
    if (isAnothers) return this.#lose(`${describeHolder(now.attrs)}, under this host’s own node id`)
    if (now.attrs.challenge !== undefined) {
      this.#tools.log.error(
        'another daemon was started under this host’s node id; it is told that we live',
        {
          lease: now.key,
        },
      )
    }
    const isChanged = now.revision !== this.#lease.revision
    if (!isChanged && clock().boot < this.#nextRenewal()) return this.#hold(now, this.#sentAt)
    const sentAt = clock().boot
    const lease = await leases.put(now, attrs)
    // Changed between the two: its event rings again.
    if (lease) this.#hold(lease, sentAt)
  }

  /** The lease is gone from the store. */
  async #takeAgain(): Promise<void> {
    const { leases, clock, log } = this.#tools
    const { subnets } = this.#lease
    const list = await leases.list()
    const rival = list.leases.find(
      (one) => !isMine(one, this.#claim.attrs) && subnetsOverlap(one.subnets, subnets),
    )
    if (rival) return this.#lose(describeHolder(rival.attrs))
    const sentAt = clock().boot
    const lease = await leases.create(subnets, this.#claim.attrs)
    if (!lease) return
    log.warn('lease was gone from the store, taken again', { subnet: describeSubnets(subnets) })
    this.#hold(lease, sentAt)
  }

  #hold(lease: Lease, sentAt: number): void {
    const { log, onChange } = this.#tools
    const subnet = describeSubnets(lease.subnets)
    if (this.#lostTo !== undefined) log.info('lease is this host’s again', { subnet })
    else if (sentAt !== this.#sentAt) log.info('lease renewed', { subnet })
    this.#lease = lease
    this.#sentAt = sentAt
    this.#lostTo = undefined
    onChange()
  }

  #lose(holder: string): void {
    const subnet = describeSubnets(this.#lease.subnets)
    const message = `the subnet ${subnet} of this host now belongs to ${holder}`
    if (this.#lostTo !== message) {
      this.#tools.log.error(
        'lease lost to another host: running containers keep their addresses, no new ones are given',
        { subnet, holder },
      )
    }
    this.#lostTo = message
  }
}
