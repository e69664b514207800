import type { ExecutionContext } from 'ava'
import type { Host } from '../../scripts/lab/lab.ts'
import type { Background } from '../../scripts/lab/place.ts'
import { writeLeases } from '../../scripts/measure/daemon.ts'
import { countSent, untilIdle } from '../../scripts/measure/process.ts'

/** A neighbour, a forwarding entry, a route. */
const ENTRIES = 3
/** A repair that some other event asked for may fall into one of them. */
const TRIES = 3

/**
 * Counts the netlink messages that one more lease costs where the store holds `counts` leases, one
 * after the other. The first of them are there already.
 */
export async function checkEventCosts(
  t: ExecutionContext,
  { host, daemon, counts }: { host: Host; daemon: Background; counts: readonly number[] },
): Promise<void> {
  let leases = counts[0] ?? 0
  for (const count of counts) {
    if (count > leases) await writeLeases(host, { kind: 'fill', from: leases, to: count })
    leases = Math.max(leases, count)
    await untilIdle(daemon.pid)
    const costs: number[] = []
    for (let tries = 0; tries < TRIES; tries++) {
      const from = leases++
      const sent = await countSent(host, daemon.pid, async () => {
        const { missing } = await writeLeases(host, { kind: 'come', from, to: from + 1 })
        t.is(missing, 0)
      })
      costs.push(sent.messages)
    }
    t.is(Math.min(...costs), ENTRIES, `${count} leases: ${costs.join(' ')} messages`)
  }
}
