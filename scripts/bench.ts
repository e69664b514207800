/** Measures heddle against Debian's reference plugins. See `scripts/bench --help`. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { compile, hostTarget } from './compile.ts'
import { dist } from './lab/heddle.ts'
import { createHosts, type Host } from './lab/lab.ts'
import { runAt } from './lab/place.ts'
import { destroyLab } from './lab/teardown.ts'
import { coldStarts } from './measure/cold.ts'
import { type Case, contestants } from './measure/contestants.ts'
import { measureDaemon } from './measure/daemon.ts'
import { renderDaemon } from './measure/daemon-report.ts'
import type { PairSamples, Plan, SamplesOf } from './measure/loop.ts'
import type { Took } from './measure/plugin.ts'
import { type Comparison, type Floor, type Report, render } from './measure/report.ts'
import {
  bootstrap,
  differenceOfMedians,
  median,
  ratioOfMedians,
  zip,
} from './measure/statistics.ts'
import { measureThroughput, throughputLabs } from './measure/throughput.ts'

const bun = join(import.meta.dirname, '../node_modules/.bin/bun')
const loop = join(import.meta.dirname, 'measure/loop.ts')
const reference = '/usr/lib/cni'
const labName = `bench-${process.pid}`

interface Options {
  readonly pairs: number
  /** Reservations that the address pool of the IPAM measurement holds. */
  readonly taken: number
}

function compare(
  name: string,
  [heddle, other]: readonly [readonly number[], readonly number[]],
  goal?: number,
): Comparison {
  return {
    name,
    heddleMs: median(heddle),
    referenceMs: median(other),
    ratio: bootstrap(zip(heddle, other), ratioOfMedians),
    ...(goal === undefined ? {} : { goal }),
  }
}

function wallTimes([a, b]: readonly [readonly Took[], readonly Took[]]): [number[], number[]] {
  return [a.map(({ ms }) => ms), b.map(({ ms }) => ms)]
}

/** Where the time of a plain ADD goes. What the kernel does for page faults counts as its own. */
function floorOf({ add: [heddle], empty }: PairSamples): Floor {
  const beyondEmpty = (key: keyof Took) =>
    bootstrap(
      zip(
        heddle.map((took) => took[key]),
        empty.map((took) => took[key]),
      ),
      differenceOfMedians,
    )
  return {
    startMs: median(empty.map(({ ms }) => ms)),
    kernelMs: beyondEmpty('systemMs').value,
    ownMs: beyondEmpty('userMs').value,
    overEmpty: { ...beyondEmpty('ms'), goal: 2.0 },
  }
}

async function sample<P extends Plan>(host: Host, plan: P): Promise<SamplesOf[P['kind']]> {
  const input = JSON.stringify(plan)
  return JSON.parse(
    await runAt(host, [bun, loop], { input, timeoutMs: 3_600_000 }),
  ) as SamplesOf[P['kind']]
}

interface Site {
  readonly host: Host
  readonly empty: string
  readonly options: Options
}

function samplePairs({ host, empty, options }: Site, what: Case): Promise<PairSamples> {
  say(`attaching ${options.pairs} containers with each, ${what}`)
  const { pairs } = options
  return sample(host, { kind: 'pairs', pairs, contestants: contestants(what), empty })
}

async function compareParallel({ host, options }: Site): Promise<Comparison[]> {
  const [containers, atOnce] = [100, 8]
  const rounds = Math.max(2, Math.min(6, Math.round(options.pairs / 20)))
  say(`attaching ${containers} containers, ${atOnce} at once, ${rounds} times with each`)
  const plan = { kind: 'parallel', rounds, containers, atOnce } as const
  const { add, del } = await sample(host, { ...plan, contestants: contestants('at once') })
  return [
    compare(`${containers} ADDs, ${atOnce} at once`, add, 0.7),
    compare(`${containers} DELs, ${atOnce} at once`, del),
  ]
}

async function compareReservations({ host, options }: Site): Promise<Comparison[]> {
  const { taken } = options
  const rounds = Math.max(5, Math.min(40, options.pairs >> 2))
  say(`reserving ${rounds} addresses where ${taken} are taken`)
  const programs = [join(dist, 'heddle-ipam'), join(reference, 'host-local')] as const
  const samples = await sample(host, { kind: 'reservations', rounds, taken, programs })
  return [
    compare(`IPAM, ${taken} taken (against none)`, [samples.many, samples.none], 1.5),
    compare(`IPAM after a foreign write`, [samples.afterForeign, samples.reference], 0.25),
  ]
}

async function measure(options: Options, scratch: string): Promise<Report> {
  const source = join(scratch, 'empty.ts')
  const empty = join(scratch, 'empty')
  writeFileSync(source, 'export {}\n')
  await compile(source, empty, hostTarget())
  const [lab, [host]] = await createHosts(labName, 1)
  await using _ = lab
  if (!host) throw new Error('The lab has no host')
  const site = { host, empty, options }
  const plain = await samplePairs(site, 'plain')
  const masquerade = await samplePairs(site, 'with ipMasq')
  const port = await samplePairs(site, 'with a port')
  const comparisons = [
    compare('ADD', wallTimes(plain.add), 0.8),
    compare('DEL', wallTimes(plain.del), 1.0),
    compare('ADD with ipMasq', wallTimes(masquerade.add), 0.3),
    compare('DEL with ipMasq', wallTimes(masquerade.del), 0.4),
    compare('ADD with a port', wallTimes(port.add), 0.3),
    compare('DEL with a port', wallTimes(port.del), 0.35),
    ...(await compareParallel(site)),
    ...(await compareReservations(site)),
  ]
  say('starting from a cold page cache')
  const cold = coldStarts([join(dist, 'heddle'), join(reference, 'bridge')], 5)
  return {
    pairs: options.pairs,
    comparisons,
    floor: floorOf(plain),
    coldStart: { heddleMs: median(cold[0] ?? []), referenceMs: median(cold[1] ?? []) },
  }
}

function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

function readCount(name: string, text: string): number {
  const count = Number(text)
  if (Number.isInteger(count) && count >= 1) return count
  throw new RangeError(`--${name} must be a whole number`)
}

/** What the daemon costs, as the report's text or as JSON. */
async function benchDaemon(options: { readonly json: boolean }): Promise<string> {
  const report = await measureDaemon(labName, [10, 1_000, 10_000], say)
  say('TCP between two hosts, in turns with one that was made by hand')
  const pairs = { least: 20, most: 20 }
  const throughput = await measureThroughput(labName, { seconds: 2, pairs, enough: 0 })
  if (options.json) return `${JSON.stringify({ ...report, throughput })}\n`
  const share = bootstrap(
    throughput.ratios.map((ratio) => [ratio, 1]),
    ratioOfMedians,
  )
  return `${renderDaemon(report)}
TCP from container to container: ${share.value.toFixed(3)} (${share.low.toFixed(3)} to ${share.high.toFixed(3)}) of what goes through devices made by hand, 20 pairs; at least 0.97: ${share.value >= 0.97 ? 'pass' : 'miss'}
`
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      daemon: { type: 'boolean', default: false },
      pairs: { type: 'string', default: '200' },
      taken: { type: 'string', default: '20000' },
      json: { type: 'boolean', default: false },
    },
  })
  const options = {
    pairs: readCount('pairs', values.pairs),
    taken: readCount('taken', values.taken),
  }
  if (values.daemon) {
    process.stdout.write(await benchDaemon(values))
    return
  }
  const scratch = mkdtempSync(join(tmpdir(), 'heddle-bench-'))
  try {
    const report = await measure(options, scratch)
    process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : render(report))
  } finally {
    rmSync(scratch, { recursive: true })
  }
}

async function destroyLabs(): Promise<void> {
  for (const name of [labName, ...throughputLabs(labName)]) await destroyLab(name)
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void destroyLabs().finally(() => process.exit(1)))
}
try {
  await main()
} catch (error) {
  say(`scripts/bench: ${(error as Error).message}`)
  process.exitCode = 1
}
