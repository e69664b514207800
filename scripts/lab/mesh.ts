import type { Container } from './heddle.ts'
import { type PingResult, ping } from './ping.ts'
import { mapLimit } from './run.ts'

/** One container pinging another, in one family. */
export interface PairResult extends PingResult {
  readonly from: string
  readonly to: string
  readonly family: 4 | 6
}

/** Every container pings every other one, in every family the other has; a few pairs at a time. */
export async function pingAll(
  containers: readonly Container[],
  options: { count: number; intervalMs: number } = { count: 3, intervalMs: 200 },
): Promise<PairResult[]> {
  const pairs = containers.flatMap((from) =>
    containers
      .filter((to) => to !== from)
      .flatMap((to) => to.addresses.map((address) => ({ from, to, address }))),
  )
  return mapLimit(pairs, 16, async ({ from, to, address }) => ({
    from: from.name,
    to: to.name,
    family: address.includes(':') ? 6 : 4,
    ...(await ping(from, address, options)),
  }))
}

/** Those that lost something, as lines to read; empty if all is well. */
export function losses(results: readonly PairResult[]): string[] {
  return results
    .filter(({ sent, received }) => sent === 0 || received < sent)
    .map(({ from, to, family, sent, received }) => {
      return `${from} to ${to} over IPv${family}: ${sent - received} of ${sent} lost`
    })
}
