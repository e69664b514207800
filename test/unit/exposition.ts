import { isDeepStrictEqual } from 'node:util'

/** A metric as Prometheus' text format has it. */
export interface ExposedMetric {
  readonly type: string
  readonly help: string
  readonly samples: readonly Sample[]
}

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const NAME = /^[a-zA-Z_:][a-zA-Z\d_:]*$/
const SAMPLE = /^([a-zA-Z_:][a-zA-Z\d_:]*)(?:\{(.*)\})? (\S+)$/
const LABEL = /^([a-zA-Z_][a-zA-Z\d_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/

/**
 * Reads Prometheus' text format 0.0.4 and checks what `promtool check metrics` does: one HELP and one
 * TYPE before the samples, no sample twice, counters called `_total` and never negative, base units,
 * histograms with ascending cumulative buckets that end in +Inf, a sum and a count.
 * Throws RangeError naming the first line or metric that is wrong.
 */
export function readExposition(text: string): ReadonlyMap<string, ExposedMetric> {
  const metrics = new Map<string, ExposedMetric>()
  if (!text.endsWith('\n')) fail('the last line has no end', text.slice(-80))
  for (const block of text.split(/^(?=# HELP )/m)) {
    const [name, metric] = readBlock(block.split('\n').filter((line) => line !== ''))
    if (metrics.has(name)) fail('twice', name)
    checkMetric(name, metric)
    metrics.set(name, metric)
  }
  return metrics
}

/** A metric's HELP, TYPE and samples. */
function readBlock([first = '', second = '', ...lines]: readonly string[]): [
  string,
  ExposedMetric,
] {
  const [, name = '', help = ''] = /^# HELP (\S+) (.+)$/.exec(first) ?? fail('no HELP', first)
  const typed = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(second) ?? fail('no TYPE', second)
  const [, typedName, type = ''] = typed
  if (!NAME.test(name) || typedName !== name) fail('a name that cannot be', second)
  const ids = lines.map((line) => line.slice(0, line.lastIndexOf(' ')))
  if (new Set(ids).size < ids.length) fail('a sample twice', name)
  const samples = lines.map((line) => readSample(line) ?? fail('no sample', line))
  const stray = samples.find((sample) => !belongs(sample.name, { name, type }))
  if (stray) fail('a sample out of place', stray.name)
  return [name, { type, help, samples }]
}

function fail(why: string, line: string): never {
  throw new RangeError(`${why}: ${line}`)
}

function readSample(line: string): Sample | undefined {
  const match = SAMPLE.exec(line)
  if (!match) return undefined
  const [, name = '', text = '', number = ''] = match
  const labels: Record<string, string> = {}
  for (let rest = text; rest !== ''; ) {
    const label = LABEL.exec(rest)
    if (!label || Object.hasOwn(labels, label[1] ?? '')) return undefined
    labels[label[1] ?? ''] = label[2] ?? ''
    rest = rest.slice(label[0].length)
  }
  const value = number === '+Inf' ? Number.POSITIVE_INFINITY : Number(number)
  return Number.isNaN(value) ? undefined : { name, labels, value }
}

function belongs(sample: string, { name, type }: { name: string; type: string }): boolean {
  if (type !== 'histogram') return sample === name
  return ['_bucket', '_sum', '_count'].some((suffix) => sample === name + suffix)
}

function checkMetric(name: string, { type, help, samples }: ExposedMetric): void {
  const is = (isSo: boolean, what: string): void => {
    if (!isSo) throw new RangeError(`${name} ${what}`)
  }
  is(help.endsWith('.'), 'has a help text that is no sentence')
  is((type === 'counter') === name.endsWith('_total'), 'is a counter if and only if _total')
  is(
    !/_(?:ms|milliseconds|minutes|hours|kb|kilobytes|megabytes)(?:_|$)/.test(name),
    'has no base unit',
  )
  is(samples.length > 0 || type === 'gauge', 'has no sample')
  if (type === 'counter')
    is(
      samples.every(({ value }) => value >= 0),
      'went below zero',
    )
  if (type !== 'histogram') return
  const series = Map.groupBy(samples, ({ labels }) =>
    JSON.stringify(Object.entries(labels).filter(([label]) => label !== 'le')),
  )
  for (const one of series.values()) {
    const buckets = one.filter((sample) => sample.name.endsWith('_bucket'))
    const bounds = buckets.map(({ labels }) =>
      Number((labels['le'] ?? '').replace('+Inf', 'Infinity')),
    )
    const counts = buckets.map(({ value }) => value)
    const count = one.find((sample) => sample.name.endsWith('_count'))?.value
    is(isAscending(bounds, true) && bounds.at(-1) === Number.POSITIVE_INFINITY, 'has odd buckets')
    is(isAscending(counts, false) && counts.at(-1) === count, 'has buckets that do not add up')
    is(
      one.some((sample) => sample.name.endsWith('_sum')),
      'has no sum',
    )
  }
}

function isAscending(numbers: readonly number[], strictly: boolean): boolean {
  return numbers.slice(1).every((number, i) => {
    const before = numbers[i] ?? Number.NaN
    return strictly ? before < number : before <= number
  })
}

/** The value of a sample with exactly these labels; undefined if there is none. */
export function valueOf(
  metrics: ReadonlyMap<string, ExposedMetric>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const samples = [...metrics.values()].flatMap((metric) => metric.samples)
  return samples.find((sample) => sample.name === name && isDeepStrictEqual(sample.labels, labels))
    ?.value
}
