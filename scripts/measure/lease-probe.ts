/**
 * Writes leases into the store and sees what becomes of them in the kernel of the lab host it is
 * started on, under Bun: one clock for both. Reads a Plan on standard input, writes what the plan's
 * kind of samples is to standard output.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { formatAddress } from '../../ip/address.ts'
import { decodeEvents, groups, type KernelEvent } from '../../netlink/events.ts'
import { followNetlink } from '../../sys/netlink-events.ts'
import { fakeLease, LeaseWriter } from './leases.ts'

/** Leases of hosts `from` to below `to` into the store. */
export interface FillPlan {
  readonly kind: 'fill'
  readonly url: string
  readonly from: number
  readonly to: number
}

/** One host after the other comes: from its lease's commit to the last of its entries. */
export interface ComePlan {
  readonly kind: 'come'
  readonly url: string
  readonly from: number
  readonly to: number
}

/** Hosts 0 to below `hosts` change at a constant rate, each once or not at all. */
export interface ChangePlan {
  readonly kind: 'change'
  readonly url: string
  readonly hosts: number
  readonly perSecond: number
  readonly seconds: number
}

export type Plan = FillPlan | ComePlan | ChangePlan

/** In ms, from the store's answer to the writer on. */
export interface Latencies {
  readonly latencies: readonly number[]
  /** Which did not come within the time. */
  readonly missing: number
  readonly seconds: number
}

const LATE_MS = 10_000

/** Sees entries come, and tells when. */
class Kernel implements Disposable {
  readonly #seen = new Map<string, number>()
  readonly #follower: Disposable
  lost = 0

  constructor() {
    this.#follower = followNetlink('route', [groups.neighbour, groups.ipv4Route], {
      onDatagram: (datagram) => {
        const now = performance.now()
        for (const event of decodeEvents(datagram)) {
          const name = nameOf(event)
          if (name !== undefined) this.#seen.set(name, now)
        }
      },
      onLost: () => {
        this.lost += 1
      },
    })
  }

  /** When it came, waiting for it; undefined when it does not. */
  async when(name: string): Promise<number | undefined> {
    const deadline = performance.now() + LATE_MS
    for (;;) {
      const at = this.#seen.get(name)
      if (at !== undefined || performance.now() > deadline) return at
      await sleep(1)
    }
  }

  [Symbol.dispose](): void {
    this.#follower[Symbol.dispose]()
  }
}

function nameOf(event: KernelEvent): string | undefined {
  if (event.gone) return undefined
  if (event.kind === 'neighbour') return `neighbour ${event.neighbour.mac}`
  if (event.kind === 'fdb') return `fdb ${event.fdb.mac}`
  if (event.kind !== 'route') return undefined
  return `route ${formatAddress(event.route.destination.address)}`
}

async function fill({ url, from, to }: FillPlan): Promise<null> {
  using writer = await LeaseWriter.open(url)
  await writer.fill(from, to)
  return null
}

async function come({ url, from, to }: ComePlan): Promise<Latencies> {
  using writer = await LeaseWriter.open(url)
  using kernel = new Kernel()
  const began = performance.now()
  const latencies: number[] = []
  for (let index = from; index < to; index++) {
    const lease = fakeLease(index)
    await writer.put(lease)
    const committed = performance.now()
    const names = [
      `neighbour ${lease.mac}`,
      `fdb ${lease.mac}`,
      `route ${lease.subnet.replace(/\/.*/, '')}`,
    ]
    const times = await Promise.all(names.map((name) => kernel.when(name)))
    // The kernel may have it before the writer hears of its own commit.
    if (times.every((time) => time !== undefined)) {
      latencies.push(Math.max(0, Math.max(...times) - committed))
    }
    await sleep(20)
  }
  const seconds = (performance.now() - began) / 1000
  return { latencies, missing: to - from - latencies.length, seconds }
}

async function change({ url, hosts, perSecond, seconds }: ChangePlan): Promise<Latencies> {
  using writer = await LeaseWriter.open(url)
  using kernel = new Kernel()
  const began = performance.now()
  const changes: Promise<number | undefined>[] = []
  const change = async (index: number, moves: number): Promise<number | undefined> => {
    const lease = fakeLease(index, moves)
    await writer.put(lease)
    const committed = performance.now()
    const times = await Promise.all([
      kernel.when(`neighbour ${lease.mac}`),
      kernel.when(`fdb ${lease.mac}`),
    ])
    return times.every((time) => time !== undefined)
      ? Math.max(0, Math.max(...times) - committed)
      : undefined
  }
  const count = perSecond * seconds
  for (let done = 0; done < count; ) {
    const due = Math.min(count, Math.floor(((performance.now() - began) / 1000) * perSecond) + 1)
    for (; done < due; done++) changes.push(change(done % hosts, 1 + Math.floor(done / hosts)))
    await sleep(2)
  }
  const results = await Promise.all(changes)
  const latencies = results.filter((ms) => ms !== undefined)
  const took = (performance.now() - began) / 1000
  return { latencies, missing: count - latencies.length, seconds: took }
}

async function measure(plan: Plan): Promise<Latencies | null> {
  switch (plan.kind) {
    case 'fill':
      return fill(plan)
    case 'come':
      return come(plan)
    case 'change':
      return change(plan)
    default:
      return plan satisfies never
  }
}

try {
  const plan = JSON.parse(readFileSync(0, 'utf8')) as Plan
  process.stdout.write(JSON.stringify(await measure(plan)))
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 1
}
