import { join } from 'node:path'
import { dist } from '../lab/heddle.ts'
import { createHosts, type Host, type Lab } from '../lab/lab.ts'
import { type Background, runAt, startAt } from '../lab/place.ts'
import { until } from '../lab/run.ts'
import { etcdUrl, type LabStore, networkConfig, openStore } from '../lab/store.ts'
import type { Latencies, Plan } from './lease-probe.ts'
import { network } from './leases.ts'
import { type Memory, memoryOf, processorMs, untilIdle } from './process.ts'
import { median } from './statistics.ts'

const bun = join(import.meta.dirname, '../../node_modules/.bin/bun')
const probe = join(import.meta.dirname, 'lease-probe.ts')
const raw = join(import.meta.dirname, '../../test/e2e/netlink-bulk.ts')

/** A plan without the place of the store, which is the lab's etcd. */
type Task = Plan extends infer P ? (P extends Plan ? Omit<P, 'url'> : never) : never

/**
 * An etcd in the lab with a network in it that has room for all those leases. The daemon's own is
 * behind them, where none of them comes to lie over it.
 */
export function openWideStore(lab: Lab): Promise<LabStore> {
  const room = { Network: network, SubnetMin: '10.255.0.0', SubnetMax: '10.255.255.0' }
  return openStore(lab, 'etcd', { ...networkConfig({ Type: 'vxlan' }), ...room })
}

/** Writes leases from a host of the lab, and sees in its kernel what comes of it. */
export async function writeLeases(host: Host, task: Task): Promise<Latencies> {
  const input = JSON.stringify({ ...task, url: etcdUrl })
  return JSON.parse(await runAt(host, [bun, probe], { input, timeoutMs: 600_000 })) as Latencies
}

/** A daemon that was started where there was nothing of it. */
export interface Start {
  readonly daemon: Background
  readonly readyMs: number
  /** Of it for planning all entries and getting them into the kernel. */
  readonly programMs: number
}

/** Starts `heddled` and waits until all leases are in the kernel. */
export async function startAndTime(host: Host, store: LabStore): Promise<Start> {
  const flags = [...store.flags, '--iface', 'eth0', '--log-format', 'json']
  const logFile = `${host.lab.directory}/${host.name}/heddled-${process.hrtime.bigint()}.log`
  const began = performance.now()
  const daemon = startAt(host, [join(dist, 'heddled'), ...flags], { logFile })
  const isReady = (): boolean => daemon.log().includes('"msg":"ready"') || !daemon.running()
  await until('heddled to be ready', isReady, { timeoutMs: 120_000, everyMs: 5 })
  const readyMs = performance.now() - began
  if (!daemon.running()) throw new Error(`heddled ended: ${daemon.log()}`)
  const programMs = Number(/"msg":"kernel set right".*?"ms":(\d+)/.exec(daemon.log())?.[1])
  return { daemon, readyMs, programMs }
}

/** What a daemon costs with so many leases in the store. */
export interface Costs {
  readonly leases: number
  readonly readyMs: number
  readonly programMs: number
  /** The same entries written in batches by a program that does nothing else. */
  readonly rawMs: number
  /** Processor time until all has calmed down. */
  readonly startProcessorMs: number
  readonly memory: Memory
  /** From a lease's commit to the last of its entries in the kernel: median and worst. */
  readonly commitMs: number
  readonly worstCommitMs: number
  /** Processor time with nothing happening, as a share of one processor. */
  readonly idleShare: number
}

/** Leases that change all the time. */
export interface Churn {
  readonly perSecond: number
  readonly seconds: number
  readonly missing: number
  readonly commitMs: number
  readonly lateMs: number
  readonly processorShare: number
  readonly memory: Memory
}

export interface DaemonReport {
  readonly costs: readonly Costs[]
  readonly churn: Churn
}

const IDLE_SECONDS = 60
const COMERS = 50

/** The daemon with each of these numbers of leases, and leases that change with the last of them. */
export async function measureDaemon(
  labName: string,
  counts: readonly number[],
  say: (text: string) => void,
): Promise<DaemonReport> {
  const [lab, [host]] = await createHosts(labName, 1)
  await using _ = lab
  if (!host) throw new Error('The lab has no host')
  const store = await openWideStore(lab)
  const costs: Costs[] = []
  let leases = 0
  let churn: Churn | undefined
  for (const count of counts) {
    say(`a daemon with ${count} leases`)
    await writeLeases(host, { kind: 'fill', from: leases, to: count })
    const rawMs = await measureRaw(host, count)
    const { daemon, readyMs, programMs } = await startAndTime(host, store)
    // Five seconds after a list it may delete, and compares once more for that.
    await untilIdle(daemon.pid, 8)
    const startProcessorMs = processorMs(daemon.pid)
    const idleShare = await shareOf(daemon.pid, () => seconds(IDLE_SECONDS))
    const memory = memoryOf(daemon.pid)
    leases = count + COMERS
    const { latencies } = await writeLeases(host, { kind: 'come', from: count, to: leases })
    costs.push({
      ...{ leases: count, readyMs, programMs, rawMs, startProcessorMs, memory, idleShare },
      commitMs: median(latencies),
      worstCommitMs: Math.max(...latencies),
    })
    if (count === counts.at(-1)) churn = await measureChurn(host, daemon, count)
    await daemon.stop()
    await runAt(host, ['ip', 'link', 'delete', 'flannel.1'])
  }
  if (!churn) throw new RangeError('Nothing was asked for')
  return { costs, churn }
}

async function measureChurn(host: Host, daemon: Background, hosts: number): Promise<Churn> {
  const [perSecond, length] = [200, 20]
  let result: Latencies | undefined
  const processorShare = await shareOf(daemon.pid, async () => {
    result = await writeLeases(host, { kind: 'change', hosts, perSecond, seconds: length })
  })
  const { latencies = [], missing = 0, seconds: took = 0 } = result ?? {}
  const sorted = latencies.toSorted((a, b) => a - b)
  return {
    perSecond: latencies.length / took,
    seconds: took,
    missing,
    commitMs: median(latencies),
    lateMs: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN,
    processorShare,
    memory: memoryOf(daemon.pid),
  }
}

/** How long the entries of so many leases take in plain batches; the middle one of three. */
async function measureRaw(host: Host, leases: number): Promise<number> {
  const took: number[] = []
  for (let round = 0; round < 3; round++) {
    const text = await runAt(host, ['unshare', '--net', bun, raw, `${leases}`])
    const { buildMs, writeMs } = JSON.parse(text) as { buildMs: number; writeMs: number }
    took.push(buildMs + writeMs)
  }
  return median(took)
}

/** Processor time of a process while `body` runs, as a share of one processor's. */
async function shareOf(pid: number, body: () => Promise<void>): Promise<number> {
  const [began, before] = [performance.now(), processorMs(pid)]
  await body()
  return (processorMs(pid) - before) / (performance.now() - began)
}

function seconds(count: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, count * 1_000))
}
