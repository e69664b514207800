import type { Metric } from 'prom-client'
import Counter from 'prom-client/lib/counter.js'
import Gauge from 'prom-client/lib/gauge.js'
import Registry from 'prom-client/lib/registry.js'
import { counterRows, gaugeRows, histogramRows, type Numbers, type Row } from './metric-rows.ts'
import type { Durations } from './telemetry.ts'

/** What `/metrics` answers. */
export interface Metrics {
  readonly contentType: string
  /** Prometheus' text format 0.0.4. */
  readonly render: () => Promise<string>
}

/** The metrics of a daemon. They are read when they are asked for; nothing runs in between. */
export function createMetrics(read: () => Numbers): Metrics {
  const register = new Registry()
  // The library collects all metrics in one go, before anything else can run.
  let numbers = read()
  for (const row of gaugeRows) {
    const gauge = new Gauge({
      ...textOf(row),
      collect() {
        this.reset()
        const values = [...row.read(numbers)]
        // An absent number is not a zero.
        if (row.label === undefined && values.length === 0) this.remove()
        for (const [value, number] of values) this.set(labelsOf(row, value), number)
      },
    })
    register.registerMetric(gauge)
  }
  for (const row of counterRows) {
    const counter = new Counter({
      ...textOf(row),
      collect() {
        this.reset()
        for (const [value, number] of row.read(numbers)) this.inc(labelsOf(row, value), number)
      },
    })
    register.registerMetric(counter)
  }
  for (const row of histogramRows) register.registerMetric(histogram(row, () => numbers))
  return {
    contentType: register.contentType,
    render: () => {
      numbers = read()
      return register.metrics()
    },
  }
}

/** Into our registry, not the library's own. */
function textOf({ name, help, label }: Row) {
  return { name, help, labelNames: label === undefined ? [] : [label], registers: [] }
}

function labelsOf({ label }: Row<unknown>, value: string): Record<string, string> {
  return label === undefined ? {} : { [label]: value }
}

/** The library's own histogram counts by itself; these are counted already. */
function histogram(row: Row<Durations>, numbers: () => Numbers): Metric {
  const { name, help } = row
  const get = async () => ({
    name,
    help,
    type: 'histogram',
    values: [...row.read(numbers())].flatMap(([value, durations]) =>
      samples(name, labelsOf(row, value), durations),
    ),
  })
  return { name, get } as unknown as Metric
}

/** Cumulative buckets, the sum and the count. */
function samples(
  name: string,
  labels: Record<string, string>,
  { bounds, buckets, sum }: Durations,
) {
  let count = 0
  const cumulative = buckets.map((number, i) => {
    count += number
    const le = bounds[i] ?? '+Inf'
    return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: count }
  })
  return [
    ...cumulative,
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  ]
}
