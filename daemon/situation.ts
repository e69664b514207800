import { ConfigError, DecodeError } from '../conf/errors.ts'
import type { NetworkConfig } from '../conf/network-config.ts'
import { type ByFamily, familiesOf } from '../ip/by-family.ts'
import { localMac } from '../ip/mac.ts'
import { limited } from '../log/limited.ts'
import type { Logger } from '../log/logger.ts'
import { NetlinkError } from '../netlink/errors.ts'
import type { KernelEvent } from '../netlink/events.ts'
import { Alarm, sleep } from './alarm.ts'
import type { Uplink } from './backend/backend.ts'
import { createBackend } from './backend/create-backend.ts'
import { judgeChange } from './config/config-change.ts'
import { ConfigWatch } from './config/config-watch.ts'
import { type FoundConfig, readConfig } from './config/network-config.ts'
import { findOverlaps } from './config/overlap.ts'
import type { Host } from './host/host.ts'
import { chooseUplinks, readUplinkFacts } from './uplink/uplink.ts'
import { UplinkWatch } from './uplink/uplink-watch.ts'

/** What a network is made from, as long as it stays so. */
export interface Situation {
  readonly found: FoundConfig
  readonly uplinks: ByFamily<Uplink>
}

/** However often things change, the network follows no faster. */
const SPACING_MS = 1_000
/** A configuration that could not be taken for now is tried again after so long. */
const RETRY_MS = 30_000

/** Sees when the configuration or the uplinks are no longer those that the network was made from. */
export class SituationWatch {
  readonly #host: Host
  readonly #often: Logger
  readonly #alarm = new Alarm()
  readonly #config: ConfigWatch
  readonly #uplinks: UplinkWatch
  #present: ByFamily<Uplink> = {}
  #refused: { readonly text: string | undefined; readonly reason: string } | undefined
  /** A configuration that was tried in vain, and until when not to try again. */
  #failed: { readonly text: string; readonly reason: string; readonly until: number } | undefined
  #nextAt = 0

  constructor(host: Host) {
    const { store, settings, log, clock, route } = host
    this.#host = host
    this.#often = limited(log)
    const onChange = (): void => this.#alarm.ring()
    this.#config = new ConfigWatch(store, { prefix: settings.storePrefix, log, onChange })
    this.#uplinks = new UplinkWatch({
      choice: settings.uplink,
      read: () => readUplinkFacts(route, settings.uplink),
      now: () => clock().boot,
    })
  }

  /** What is wrong with the uplinks in use. */
  get problem(): string | undefined {
    return this.#uplinks.problem
  }

  onEvents(events: readonly KernelEvent[]): void {
    if (this.#uplinks.onEvents(events, this.#present)) this.#alarm.ring()
  }

  onLost(): void {
    this.#uplinks.onLost()
    this.#alarm.ring()
  }

  /** Follows the configuration in the store. */
  follow(signal: AbortSignal): Promise<void> {
    return this.#config.follow(signal)
  }

  /** What `next` said could not be made. */
  failed(before: Situation, { found, uplinks }: Situation, reason: string): void {
    if (found !== before.found) {
      this.#failed = { text: found.text, reason, until: this.#host.clock().boot + RETRY_MS }
    } else this.#uplinks.reject(uplinks, reason)
  }

  /** Waits for what is to be in place of `now`. Undefined when aborted. */
  async next(now: Situation, signal: AbortSignal): Promise<Situation | undefined> {
    const { clock, board } = this.#host
    this.#present = now.uplinks
    while (!signal.aborted) {
      const early = this.#nextAt - clock().boot
      if (early > 0) await sleep(early, signal)
      if (signal.aborted) return undefined
      const problem = this.#uplinks.problem
      const { uplinks, againMs } = this.#uplinks.look(now.uplinks)
      if (this.#uplinks.problem !== problem) this.#tellUplinks(problem)
      const found = this.#lookAtConfig({ ...now, uplinks })
      this.#nextAt = clock().boot + SPACING_MS
      if (found) return found
      if (uplinks !== now.uplinks) return { found: now.found, uplinks }
      board.publish()
      const never = Number.POSITIVE_INFINITY
      const pause = Math.min(againMs ?? never, this.#refused === undefined ? never : RETRY_MS)
      await this.#alarm.wait(pause, signal)
    }
    return undefined
  }

  #tellUplinks(before: string | undefined): void {
    const { problem } = this.#uplinks
    if (problem !== undefined) this.#often.warn('interface is no longer what it was', { problem })
    else this.#often.info('interface is there again', { was: before ?? '' })
  }

  /** What is to be in force now, if it is not the one that is. */
  #lookAtConfig(now: Situation): Situation | undefined {
    const { stored } = this.#config
    if (!stored) return undefined
    if (stored === 'missing') {
      return this.#refuse(undefined, 'the network configuration is gone from the store')
    }
    const { text } = stored
    if (text === now.found.text) {
      if (now.found.isRemembered) this.#host.board.configInForce(text, 'store')
      return this.#accept()
    }
    const failed = this.#failed
    if (failed?.text === text && this.#host.clock().boot < failed.until) {
      return this.#refuse(text, failed.reason)
    }
    const next = this.#tryJudge(text, now)
    if (typeof next === 'string') return this.#refuse(text, next)
    this.#accept()
    return next
  }

  #tryJudge(text: string, now: Situation): Situation | string | undefined {
    try {
      return this.#judge(text, now)
    } catch (error) {
      // A host that changes all the time cannot be looked at; it is asked again.
      if (error instanceof NetlinkError) return error.message
      throw error
    }
  }

  /** The next situation, a reason why there is none, or undefined where it is the same as now. */
  #judge(text: string, now: Situation): Situation | string | undefined {
    const { settings, isLocal, manager, route, log } = this.#host
    const key = `${settings.storePrefix}/config`
    let config: FoundConfig['config']
    try {
      config = readConfig(text, { key, local: isLocal })
    } catch (error) {
      return reasonOf(error)
    }
    const held = manager.current?.lease.subnets ?? {}
    const verdict = judgeChange(now.found.config, config, held)
    if (verdict.kind === 'same') return undefined
    if (verdict.kind === 'refused') return verdict.reason
    const uplinks = this.#uplinksFor(config, now.uplinks)
    if (typeof uplinks === 'string') return uplinks
    const problem = checkBackend(config, uplinks)
    if (problem !== undefined) return problem
    const used = familiesOf(now.found.config.pools).flatMap(
      (family) => now.found.config.pools[family]?.network ?? [],
    )
    const fatal = findOverlaps(route, config, used).find(({ isFatal }) => isFatal)
    if (fatal) return fatal.text
    log.info('network configuration changed', { changes: verdict.changes.join('; ') })
    return { found: { text, config }, uplinks }
  }

  /** The uplinks in use, and where a family comes, one for that. */
  #uplinksFor({ pools }: NetworkConfig, present: ByFamily<Uplink>): ByFamily<Uplink> | string {
    const needed = familiesOf(pools)
    if (needed.every((family) => present[family])) return present
    const { route, settings } = this.#host
    const facts = readUplinkFacts(route, settings.uplink)
    const chosen = chooseUplinks(needed, settings.uplink, facts, present)
    if (typeof chosen === 'string') this.#uplinks.onLost()
    return chosen
  }

  #accept(): undefined {
    if (this.#refused === undefined) return
    this.#refused = undefined
    this.#host.board.configRefused(undefined)
    this.#often.info('the network configuration in the store is in force again')
  }

  #refuse(text: string | undefined, reason: string): undefined {
    if (this.#refused?.reason === reason && this.#refused.text === text) return
    const { board, telemetry } = this.#host
    this.#refused = { text, reason }
    this.#often.error('network configuration not taken: the old one stays in force', { reason })
    board.configRefused({ ...(text !== undefined && { text }), reason })
    telemetry.configChanges.add('refused')
  }
}

/** What is wrong with a configuration, in a sentence. */
export function reasonOf(error: unknown): string {
  if (error instanceof ConfigError || error instanceof DecodeError) return error.message
  throw error
}

/** Whether a backend could be made of it; the MACs do not matter for that. */
function checkBackend(
  { backend }: FoundConfig['config'],
  uplinks: ByFamily<Uplink>,
): string | undefined {
  try {
    createBackend({ config: backend, uplinks, macFor: () => localMac(new Uint8Array(6)) })
    return undefined
  } catch (error) {
    return reasonOf(error)
  }
}
