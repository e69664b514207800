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
import type { Contestant, Plan, Samples } from './measure/loop.ts'
import { bootstrap, type Estimate, median } from './measure/statistics.ts'

const bun = join(import.meta.dirname, '../node_modules/.bin/bun')
const loop = join(import.meta.dirname, 'measure/loop.ts')
const reference = '/usr/lib/cni'
const labName = `bench-${process.pid}`

/** The same options for both, each with a bridge and a subnet of its own. */
function contestants(ipMasq: boolean): [Contestant, Contestant] {
  const suffix = ipMasq ? 'masq' : 'plain'
  const net = ipMasq ? 90 : 88
  return [
    {
      program: join(dist, 'heddle'),
      path: dist,
      conf: conf('heddle', `hd-${suffix}`, net, ipMasq),
    },
    {
      program: join(reference, 'bridge'),
      path: reference,
      conf: conf('bridge', `ref-${suffix}`, net + 1, ipMasq),
    },
  ]
}

function conf(type: string, name: string, net: number, ipMasq: boolean): Contestant['conf'] {
  return {
    cniVersion: '1.0.0',
    name,
    type,
    bridge: name,
    isGateway: true,
    isDefaultGateway: true,
    hairpinMode: true,
    mtu: 1450,
    ipMasq,
    ipam: { type: 'host-local', ranges: [[{ subnet: `10.${net}.0.0/16` }]] },
  }
}

/** One line of the report: heddle's time next to the reference's. */
interface Comparison {
  readonly name: string
  readonly heddleMs: number
  readonly referenceMs: number
  /** heddle's median as a share of the reference's. */
  readonly ratio: Estimate
  /** What the ratio should be at most. */
  readonly goal?: number
}

interface Report {
  readonly pairs: number
  readonly comparisons: readonly Comparison[]
  /** The median ADD of heddle less the median start of an empty executable, in ms. */
  readonly overEmpty: Estimate & { readonly goal: number }
  /** Medians in ms. */
  readonly coldStart: { readonly heddleMs: number; readonly referenceMs: number }
}

const ratioOfMedians = (a: readonly number[], b: readonly number[]) => median(a) / median(b)
const differenceOfMedians = (a: readonly number[], b: readonly number[]) => median(a) - median(b)

function zip(a: readonly number[], b: readonly number[]): [number, number][] {
  return a.map((value, i) => [value, b[i] ?? Number.NaN])
}

function compare(
  name: string,
  [heddle, other]: readonly [number[], number[]],
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

async function sample(host: Host, plan: Plan): Promise<Samples> {
  const input = JSON.stringify(plan)
  return JSON.parse(await runAt(host, [bun, loop], { input, timeoutMs: 3_600_000 })) as Samples
}

async function measure(pairs: number, scratch: string): Promise<Report> {
  const source = join(scratch, 'empty.ts')
  const empty = join(scratch, 'empty')
  writeFileSync(source, 'export {}\n')
  await compile(source, empty, hostTarget())
  const [lab, [host]] = await createHosts(labName, 1)
  await using _ = lab
  if (!host) throw new Error('The lab has no host')
  say(`attaching ${pairs} containers with each, plain`)
  const plain = await sample(host, { pairs, contestants: contestants(false), empty })
  say(`attaching ${pairs} containers with each, with ipMasq`)
  const masq = await sample(host, { pairs, contestants: contestants(true), empty })
  say('starting from a cold page cache')
  const cold = coldStarts([join(dist, 'heddle'), join(reference, 'bridge')], 5)
  return {
    pairs,
    comparisons: [
      compare('ADD', plain.add, 0.85),
      compare('DEL', plain.del),
      compare('ADD with ipMasq', masq.add, 0.35),
      compare('DEL with ipMasq', masq.del),
    ],
    overEmpty: { ...bootstrap(zip(plain.add[0], plain.empty), differenceOfMedians), goal: 2.5 },
    coldStart: { heddleMs: median(cold[0] ?? []), referenceMs: median(cold[1] ?? []) },
  }
}

function render({ pairs, comparisons, overEmpty, coldStart }: Report): string {
  const lines = comparisons.map(({ name, heddleMs, referenceMs, ratio, goal }) =>
    [
      name.padEnd(16),
      ms(heddleMs).padStart(9),
      ms(referenceMs).padStart(10),
      `  ${interval(ratio)}`.padEnd(25),
      goal === undefined ? '' : verdict(ratio.value, goal),
    ].join(''),
  )
  const head = `${''.padEnd(19)}heddle reference  ratio (95% interval)     goal`
  return `heddle and Debian's bridge with host-local: medians of ${pairs} pairs, IPv4, MTU 1450

${[head, ...lines].map((line) => line.trimEnd()).join('\n')}

ADD less an empty executable's start: ${interval(overEmpty)} ms, ${verdict(overEmpty.value, overEmpty.goal)}
start with a cold page cache: ${ms(coldStart.heddleMs)}, the reference ${ms(coldStart.referenceMs)}
`
}

function ms(value: number): string {
  return `${value.toFixed(value < 100 ? 2 : 0)} ms`
}

function interval({ value, low, high }: Estimate): string {
  return `${value.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`
}

function verdict(value: number, goal: number): string {
  return `at most ${goal}: ${value <= goal ? 'pass' : 'miss'}`
}

function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      pairs: { type: 'string', default: '200' },
      json: { type: 'boolean', default: false },
    },
  })
  const pairs = Number(values.pairs)
  if (!Number.isInteger(pairs) || pairs < 1) throw new RangeError('--pairs must be a whole number')
  const scratch = mkdtempSync(join(tmpdir(), 'heddle-bench-'))
  try {
    const report = await measure(pairs, scratch)
    process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : render(report))
  } finally {
    rmSync(scratch, { recursive: true })
  }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void destroyLab(labName).finally(() => process.exit(1)))
}
try {
  await main()
} catch (error) {
  say(`scripts/bench: ${(error as Error).message}`)
  process.exitCode = 1
}
