import { sameAddress } from '../../ip/address.ts'
import type { ByFamily } from '../../ip/by-family.ts'
import { families, familiesOf, valuesOf } from '../../ip/by-family.ts'
import { prefixContains } from '../../ip/prefix.ts'
import { NetlinkError } from '../../netlink/errors.ts'
import type { KernelEvent } from '../../netlink/events.ts'
import type { Uplink } from '../backend/backend.ts'
import { chooseUplinks, type UplinkChoice, type UplinkFacts } from './uplink.ts'

const TABLE_MAIN = 254
/** How long another interface must be the better choice before the daemon moves to it. */
const MOVE_MS = 5_000
/** Uplinks that no network could be made with are tried again after so long. */
const REJECTED_MS = 30_000
/** When the host could not be looked at. */
const LOOK_RETRY_MS = 1_000

/** What became of the uplinks. */
export interface UplinkVerdict {
  /** The same object as before if nothing is other. */
  readonly uplinks: ByFamily<Uplink>
  /** Why they are kept though they will not do. */
  readonly problem?: string
  /** Look again after so many ms. */
  readonly againMs?: number
}

/**
 * Follows the interfaces that carry the traffic between hosts: another address, another MTU, an
 * interface made anew under its name. One that has no address is kept until there is another choice.
 */
export class UplinkWatch {
  readonly #choice: UplinkChoice
  readonly #read: () => UplinkFacts
  readonly #now: () => number
  #isDue = true
  #moving: { readonly to: string; readonly since: number } | undefined
  #problem: string | undefined
  #rejected:
    | { readonly uplinks: ByFamily<Uplink>; readonly reason: string; readonly until: number }
    | undefined

  constructor(options: {
    readonly choice: UplinkChoice
    readonly read: () => UplinkFacts
    /** ms on the boot clock. */
    readonly now: () => number
  }) {
    this.#choice = options.choice
    this.#read = options.read
    this.#now = options.now
  }

  /** What is wrong with the uplinks in use. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** Notes that a look is due if an event may have to do with the uplinks; whether it may. */
  onEvents(events: readonly KernelEvent[], present: ByFamily<Uplink>): boolean {
    const isUnsettled = this.#problem !== undefined || this.#moving !== undefined
    const isNews = events.some((event) => this.#mayMatter(event, present, isUnsettled))
    this.#isDue ||= isNews
    return isNews
  }

  /** Some events went unheard. */
  onLost(): void {
    this.#isDue = true
  }

  /** No network can be made with these; so the ones before are kept for now, or until there are others. */
  reject(uplinks: ByFamily<Uplink>, reason: string): void {
    this.#rejected = { uplinks, reason, until: this.#now() + REJECTED_MS }
    this.#isDue = true
  }

  /** Looks at the host if that is due. */
  look(present: ByFamily<Uplink>): UplinkVerdict {
    if (this.#rejected && this.#rejected.until <= this.#now()) {
      this.#rejected = undefined
      this.#isDue = true
    }
    if (!this.#isDue) return this.#verdict(present)
    this.#isDue = false
    const facts = this.#readFacts()
    if (!facts) {
      this.#isDue = true
      return { ...this.#verdict(present), againMs: LOOK_RETRY_MS }
    }
    const chosen = chooseUplinks(familiesOf(present), this.#choice, facts, present)
    if (typeof chosen === 'string') {
      this.#moving = undefined
      this.#problem = `${chosen}: ${describe(present)} stays in use`
      return this.#verdict(present)
    }
    this.#problem = undefined
    if (isSame(chosen, present)) {
      this.#moving = undefined
      this.#rejected = undefined
      return { uplinks: present }
    }
    if (this.#rejected && isSame(chosen, this.#rejected.uplinks)) {
      this.#problem = this.#rejected.reason
      return this.#verdict(present)
    }
    this.#rejected = undefined
    if (names(chosen) === names(present)) {
      this.#moving = undefined
      return { uplinks: chosen }
    }
    return this.#move(present, chosen)
  }

  /** To another interface only when the old one stays away: it may only have been restarted. */
  #move(present: ByFamily<Uplink>, chosen: ByFamily<Uplink>): UplinkVerdict {
    const to = names(chosen)
    if (this.#moving?.to !== to) this.#moving = { to, since: this.#now() }
    const left = this.#moving.since + MOVE_MS - this.#now()
    if (left > 0) {
      this.#isDue = true
      return { uplinks: present, againMs: left }
    }
    this.#moving = undefined
    return { uplinks: chosen }
  }

  /** What the host has; undefined while the kernel does not say, as when it changes all the time. */
  #readFacts(): UplinkFacts | undefined {
    try {
      return this.#read()
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error
      this.#problem = `the interfaces cannot be looked at: ${error.message}`
      return undefined
    }
  }

  #verdict(uplinks: ByFamily<Uplink>): UplinkVerdict {
    const againMs = this.#rejected && this.#rejected.until - this.#now()
    return {
      uplinks,
      ...(this.#problem !== undefined && { problem: this.#problem }),
      ...(againMs !== undefined && { againMs }),
    }
  }

  #mayMatter(event: KernelEvent, present: ByFamily<Uplink>, isUnsettled: boolean): boolean {
    const uplinks = valuesOf(present)
    const isOurs = (index: number): boolean => uplinks.some((uplink) => uplink.index === index)
    switch (event.kind) {
      case 'link': {
        const { index, name } = event.link
        return isUnsettled || isOurs(index) || uplinks.some((uplink) => uplink.name === name)
      }
      case 'address':
        return isUnsettled || isOurs(event.address.index)
      case 'route':
        return this.#isDeciding(event.route)
      case 'neighbour':
      case 'fdb':
      case 'port':
      case 'rule':
        return false
    }
  }

  /** Whether a route may decide which interface is the one. */
  #isDeciding({
    destination,
    table = TABLE_MAIN,
  }: Extract<KernelEvent, { kind: 'route' }>['route']): boolean {
    const { ifaces, regexes, canReach } = this.#choice
    if (ifaces.length > 0 || regexes.length > 0 || table !== TABLE_MAIN) return false
    if (!canReach) return destination.length === 0
    return destination.address.family === canReach.family && prefixContains(destination, canReach)
  }
}

function isSame(these: ByFamily<Uplink>, those: ByFamily<Uplink>): boolean {
  return families.every((family) => {
    const [a, b] = [these[family], those[family]]
    if (!a || !b) return a === b
    return (
      a.index === b.index &&
      a.name === b.name &&
      a.mtu === b.mtu &&
      sameAddress(a.address, b.address) &&
      sameAddress(a.publicIP, b.publicIP)
    )
  })
}

function names(uplinks: ByFamily<Uplink>): string {
  return valuesOf(uplinks)
    .map(({ name }) => name)
    .join(' ')
}

function describe(uplinks: ByFamily<Uplink>): string {
  return [...new Set(valuesOf(uplinks).map(({ name }) => name))].join(' and ')
}
