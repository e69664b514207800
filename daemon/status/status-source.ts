import type { RecentLog } from '../../log/recent.ts'
import type { LeaseStore } from '../lease/lease-store.ts'
import type { Metrics } from './metrics.ts'
import type { StatusBoard } from './status-board.ts'
import type { StatusSource } from './status-server.ts'
import type { Telemetry } from './telemetry.ts'

export interface StatusTools {
  readonly version: string
  readonly board: StatusBoard
  readonly leases: LeaseStore
  readonly telemetry: Telemetry
  readonly log: RecentLog
}

/** How long whoever asks waits for the store. */
const PROBE_MS = 1_000
/** Scrapes, of which every host has some, ask the store no more often. */
const PROBE_SPACING_MS = 15_000

/** What the servers tell of a daemon. */
export function statusSource(tools: StatusTools): StatusSource {
  const { board, leases } = tools
  const store = { reachable: false, askedAt: Number.NEGATIVE_INFINITY }
  // However many ask at once, the store is asked once.
  let asking: Promise<void> | undefined
  const probe = async (): Promise<void> => {
    asking ??= leases.answers(PROBE_MS).then((reachable) => {
      Object.assign(store, { reachable, askedAt: performance.now() })
      asking = undefined
    })
    await asking
  }
  let metrics: Promise<Metrics> | undefined
  return {
    isReady: () => board.isReady,
    status: async () => {
      await probe()
      return board.status(store)
    },
    metrics: async () => {
      if (performance.now() - store.askedAt > PROBE_SPACING_MS) await probe()
      metrics ??= makeMetrics(tools, store)
      return metrics
    },
  }
}

/** The library is loaded only where metrics are asked for. */
async function makeMetrics(
  { board, version, telemetry, log }: StatusTools,
  store: { readonly reachable: boolean },
): Promise<Metrics> {
  const { createMetrics } = await import('./metrics.ts')
  return createMetrics(() => ({
    version,
    telemetry,
    logCounts: log.counts,
    gauges: board.gauges(store),
  }))
}
