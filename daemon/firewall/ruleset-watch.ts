import type { Connection } from '../../netlink/connection.ts'
import { NetlinkError } from '../../netlink/errors.ts'
import type { RulesetEvent } from '../../netlink/nftables/events.ts'
import { getGeneration } from '../../netlink/nftables/table.ts'
import { Alarm, sleep } from '../alarm.ts'
import type { Outcome } from './rules-look.ts'

/** Rules that are to stay as they are wanted. */
export interface Kept {
  /** Looks, and writes what is not as wanted. */
  sync(): Outcome
}

/** Which rules an event may have to do with. */
export type Concern = 'own' | 'plugin'

export interface RulesetWatchInput {
  readonly instance: string
  readonly connection: Connection
  readonly kept: Readonly<Record<Concern, Kept>>
  /** How often is looked even when nothing is heard, in milliseconds. */
  readonly everyMs: number
  /** Rules were not as wanted, and have been written again. */
  readonly onRepair: () => void
}

/**
 * Looks follow each other no faster, and take no more than a tenth of the time: whoever loads many
 * rules one by one costs us no more.
 */
const SPACING_MS = 300
const SPACING_FACTOR = 10
/** What is written is looked at once more, and written again if somebody was faster. */
const PASSES = 3
/** After a look that failed, or elements that went: the plugin takes its own away, one by one. */
const SOON_MS = 1_000

const concerns = ['own', 'plugin'] as const

/**
 * Keeps rules as they are wanted: at once when somebody changes them, and now and then. Every
 * transaction makes a new generation of the ruleset. One in which nothing was amiss is remembered: as
 * long as it lasts nothing is looked at again, and neither our own writing nor what led to it is a
 * reason to look, since their events tell of no newer one. A transaction that touched nothing of
 * ours leaves it as it was.
 */
export class RulesetWatch {
  readonly #input: RulesetWatchInput
  readonly #alarm = new Alarm()
  /** The generation in which they were as wanted. */
  readonly #settled: Partial<Record<Concern, number>> = {}
  readonly #due = new Set<Concern>(concerns)
  readonly #lookedAt: Record<Concern, number> = { own: 0, plugin: 0 }
  /** What the events of a transaction have to do with, until the one comes that ends it. */
  readonly #touched = new Set<Concern>()
  /** Elements of the plugin’s have come, or gone. */
  #elements: 'same' | 'more' | 'less' = 'same'

  constructor(input: RulesetWatchInput) {
    this.#input = input
  }

  onEvents(events: readonly RulesetEvent[]): void {
    for (const event of events) {
      if (event.kind === 'generation') this.#onGeneration(event.id)
      else this.#take(event)
    }
  }

  /** Events were lost: anything may have changed. */
  onLost(): void {
    for (const concern of concerns) this.#due.add(concern)
    this.#alarm.ring()
  }

  /** Looks once at first, and then whenever there is reason to, until aborted. */
  async keep(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#alarm.wait(this.#pauseMs(), signal)
      if (signal.aborted) return
      const started = performance.now()
      for (const concern of concerns) if (this.#isDue(concern)) this.#look(concern)
      const took = performance.now() - started
      await sleep(Math.max(SPACING_MS, took * SPACING_FACTOR), signal)
    }
  }

  #take(event: Exclude<RulesetEvent, { kind: 'generation' }>): void {
    for (const one of concernsOf(event, this.#input.instance)) this.#touched.add(one)
    if (!isPluginElement(event)) return
    this.#elements = event.gone || this.#elements === 'less' ? 'less' : 'more'
  }

  #onGeneration(id: number): void {
    for (const concern of concerns) {
      const settled = this.#settled[concern]
      if (settled !== undefined && !isNewer(id, settled)) continue
      if (this.#touched.has(concern)) {
        this.#due.add(concern)
        this.#alarm.ring()
      } else if (concern === 'plugin' && this.#elements !== 'same') {
        if (this.#elements === 'less') this.#lookAgainSoon(concern)
      } else if (settled !== undefined && ((settled + 1) | 0) === (id | 0)) {
        this.#settled[concern] = id
      }
    }
    this.#touched.clear()
    this.#elements = 'same'
  }

  #pauseMs(): number {
    const now = performance.now()
    const { everyMs } = this.#input
    const pauses = concerns.map((one) =>
      this.#due.has(one) ? 0 : this.#lookedAt[one] + everyMs - now,
    )
    return Math.max(0, Math.min(...pauses))
  }

  #isDue(concern: Concern): boolean {
    const pause = this.#lookedAt[concern] + this.#input.everyMs - performance.now()
    return this.#due.has(concern) || pause <= 0
  }

  #look(concern: Concern): void {
    this.#due.delete(concern)
    this.#lookedAt[concern] = performance.now()
    for (let pass = 0; pass < PASSES; pass++) {
      const generation = this.#generation()
      if (generation !== undefined && generation === this.#settled[concern]) return
      delete this.#settled[concern]
      const outcome = this.#input.kept[concern].sync()
      if (outcome === 'unchanged' && generation !== undefined) this.#settled[concern] = generation
      if (outcome === 'failed') this.#lookAgainSoon(concern)
      if (outcome === 'written') this.#input.onRepair()
      if (outcome !== 'written') return
    }
  }

  /** Somebody may be loading rules just then, one by one, and none of the next may concern us. */
  #lookAgainSoon(concern: Concern): void {
    const { everyMs } = this.#input
    const at = performance.now() - Math.max(0, everyMs - SOON_MS)
    this.#lookedAt[concern] = Math.min(this.#lookedAt[concern], at)
    this.#alarm.ring()
  }

  /** Undefined where it cannot be asked for: then there is nothing to spare. */
  #generation(): number | undefined {
    try {
      return this.#input.connection.get(getGeneration())
    } catch (error) {
      if (error instanceof NetlinkError) return undefined
      throw error
    }
  }
}

/** Generations are counted in 32 bits, and begin anew. */
function isNewer(a: number, b: number): boolean {
  return ((a - b) | 0) > 0
}

function isPluginElement({
  family,
  table,
  kind,
}: Exclude<RulesetEvent, { kind: 'generation' }>): boolean {
  return family === 'inet' && table === 'heddle-cni' && kind === 'element'
}

/**
 * Which rules an event may have to do with, so that they are looked at at once. Elements of the
 * plugin's table come and go with each container, which is no reason to hurry; that its rules or maps
 * go is. In iptables' tables there are accept rules, ours and the plugin's.
 */
export function concernsOf(
  event: Exclude<RulesetEvent, { kind: 'generation' }>,
  instance: string,
): readonly Concern[] {
  const { family, table, kind, gone } = event
  if (family === 'inet' && table === `heddle-net-${instance}`) return ['own']
  const isLoss = gone && kind !== 'element'
  if (family === 'inet' && table === 'heddle-cni') return isLoss ? ['plugin'] : []
  const isIptables = (family === 'ip' || family === 'ip6') && table === 'filter'
  return isIptables && (isLoss || kind === 'chain') ? concerns : []
}
