import { readdirSync, readFileSync } from 'node:fs'
import test from 'ava'
import { countedSocket } from '../../daemon/kernel/counted-socket.ts'
import { measuredStore } from '../../daemon/status/measured-store.ts'
import {
  counterRows,
  gaugeRows,
  histogramRows,
  type Numbers,
} from '../../daemon/status/metric-rows.ts'
import { createMetrics } from '../../daemon/status/metrics.ts'
import { Durations, newTelemetry } from '../../daemon/status/telemetry.ts'
import { encodeMessages } from '../../netlink/codec/message.ts'
import type { Socket } from '../../netlink/socket.ts'
import { type Store, StoreError } from '../../store/store.ts'
import { readExposition, valueOf } from './exposition.ts'

function numbers(): Numbers {
  return {
    version: '0.1.0',
    telemetry: newTelemetry(),
    logCounts: { warn: 3, error: 0 },
    gauges: {
      isReady: true,
      isStoreReachable: false,
      isConfigRefused: true,
      leaseHeldSeconds: 12.5,
      peers: { tunnel: 2, direct: 0, commands: 0, none: 0, leaving: 0, skipped: 1 },
      entries: { neighbour: 2, fdb: 2, route: 2, address: 0 },
      problems: 4,
    },
  }
}

test('createMetrics() renders what Prometheus reads, every label value from the start', async (t) => {
  const { contentType, render } = createMetrics(numbers)
  t.regex(contentType, /^text\/plain; version=0\.0\.4/)
  const metrics = readExposition(await render())
  const names = [...gaugeRows, ...counterRows, ...histogramRows].map(({ name }) => name)
  t.deepEqual([...metrics.keys()].toSorted(), names.toSorted())
  t.is(valueOf(metrics, 'heddle_build_info', { version: '0.1.0' }), 1)
  t.is(valueOf(metrics, 'heddle_ready'), 1)
  t.is(valueOf(metrics, 'heddle_store_reachable'), 0)
  t.is(valueOf(metrics, 'heddle_config_refused'), 1)
  t.is(valueOf(metrics, 'heddle_lease_held_seconds'), 12.5)
  t.is(valueOf(metrics, 'heddle_peers', { state: 'skipped' }), 1)
  t.is(valueOf(metrics, 'heddle_repairs_total', { kind: 'ruleset' }), 0)
  t.is(valueOf(metrics, 'heddle_store_errors_total', { reason: 'unavailable' }), 0)
  t.is(valueOf(metrics, 'heddle_store_call_seconds_count', { call: 'put' }), 0)
  t.is(valueOf(metrics, 'heddle_log_messages_total', { level: 'warn' }), 3)
  t.true((valueOf(metrics, 'process_resident_memory_bytes') ?? 0) > 1e6)
  t.true((valueOf(metrics, 'process_open_fds') ?? 0) > 2)
  const started = valueOf(metrics, 'process_start_time_seconds') ?? 0
  t.true(Math.abs(started + performance.now() / 1000 - Date.now() / 1000) < 5)
})

test('createMetrics() tells what was counted between two scrapes, however many come at once', async (t) => {
  const now = numbers()
  const { render } = createMetrics(() => now)
  now.telemetry.repairs.add('route', 2)
  now.telemetry.resyncs.add('watch')
  now.telemetry.eventToKernelSeconds.observe(0.002)
  now.telemetry.eventToKernelSeconds.observe(100)
  const texts = await Promise.all(Array.from({ length: 100 }, render))
  const stable = (text: string) => text.replaceAll(/^process_.*$/gm, '')
  t.is(new Set(texts.map(stable)).size, 1)
  const metrics = readExposition(texts[0] ?? '')
  t.is(valueOf(metrics, 'heddle_repairs_total', { kind: 'route' }), 2)
  t.is(valueOf(metrics, 'heddle_watch_resyncs_total'), 1)
  const bucket = (le: string) => valueOf(metrics, 'heddle_event_to_kernel_seconds_bucket', { le })
  t.deepEqual([bucket('0.001'), bucket('0.0025'), bucket('2.5'), bucket('+Inf')], [0, 1, 1, 2])
  t.is(valueOf(metrics, 'heddle_event_to_kernel_seconds_sum'), 100.002)
  now.telemetry.repairs.add('route')
  const next = readExposition(await render())
  t.is(valueOf(next, 'heddle_repairs_total', { kind: 'route' }), 3)
})

test('createMetrics() leaves out the end of a lease that there is none of', async (t) => {
  const { gauges, ...rest } = numbers()
  const { leaseHeldSeconds: _, ...others } = gauges
  const metrics = readExposition(await createMetrics(() => ({ ...rest, gauges: others })).render())
  t.is(valueOf(metrics, 'heddle_lease_held_seconds'), undefined)
  t.deepEqual(metrics.get('heddle_lease_held_seconds')?.samples, [])
})

test('docs/operations.md has every metric with its type and label, and no other', (t) => {
  const path = new URL('../../docs/operations.md', import.meta.url)
  const rows = readFileSync(path, 'utf8').matchAll(
    /^\| `((?:heddle|process)_[a-z_]+)(?:\{(\w+)\})?` \| (\w+) \|/gm,
  )
  const documented = [...rows].map(([, name, label, type]) => ({ name, label, type }))
  const real = (type: string, all: readonly { name: string; label?: string }[]) =>
    all.map(({ name, label }) => ({ name, label, type }))
  const wanted = [
    ...real('gauge', gaugeRows),
    ...real('counter', counterRows),
    ...real('histogram', histogramRows),
  ]
  const byName = (a: { name?: string | undefined }, b: { name?: string | undefined }) =>
    (a.name ?? '').localeCompare(b.name ?? '')
  t.deepEqual(documented.toSorted(byName), wanted.toSorted(byName))
})

test('docs/operations.md has every value of every label that the daemon chooses', async (t) => {
  const text = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8')
  const metrics = readExposition(await createMetrics(numbers).render())
  for (const { samples } of metrics.values()) {
    for (const { name, labels } of samples) {
      const { le: _, version: __, ...chosen } = labels
      for (const value of Object.values(chosen)) t.true(text.includes(value), `${name}: ${value}`)
    }
  }
})

test('docs/operations.md quotes problems as the daemon words them', (t) => {
  const text = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8')
  const start = text.indexOf('| problem | means | do |')
  const rows = text.slice(start, text.indexOf('## Metrics')).split('\n')
  const quotes = rows.flatMap((row) => {
    const [, first = ''] = row.startsWith('| `') || row.startsWith('| …') ? row.split('|') : []
    return [...first.matchAll(/`([^`]+)`/g)].map(([, quote = '']) => quote)
  })
  t.true(quotes.length >= 8)
  const folder = new URL('../../daemon/', import.meta.url)
  const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(new URL(name, folder), 'utf8'))
    .join('\n')
  for (const quote of quotes) t.true(sources.includes(quote), quote)
})

test('Durations counts each into the smallest bucket that holds it', (t) => {
  const durations = new Durations([0.1, 1])
  for (const seconds of [0, 0.1, 0.100001, 1, 5]) durations.observe(seconds)
  t.deepEqual(durations.buckets, [2, 2, 1])
  t.is(durations.sum, 6.200001)
})

/** A store in which every call fails or answers nothing. */
function storeThat(answer: () => Promise<never> | Promise<undefined>): Store {
  return {
    name: 'fake',
    get: answer,
    list: answer as Store['list'],
    create: answer,
    put: answer,
    delete: answer as Store['delete'],
    async *watch() {
      await answer()
      yield { type: 'resync' }
    },
    async [Symbol.asyncDispose]() {},
  }
}

test('measuredStore() counts calls and their errors, and changes neither', async (t) => {
  const telemetry = newTelemetry()
  const fine = measuredStore(
    storeThat(() => Promise.resolve(undefined)),
    telemetry,
  )
  t.is(await fine.get('a'), undefined)
  t.is(await fine.put('a', 'b', 1), undefined)
  const error = new StoreError('denied', 'fake', 'no')
  const broken = measuredStore(
    storeThat(() => Promise.reject(error)),
    telemetry,
  )
  t.is(await t.throwsAsync(broken.get('a')), error)
  const watching = async () => {
    for await (const event of broken.watch('', 0, new AbortController().signal)) t.fail(event.type)
  }
  t.is(await t.throwsAsync(watching()), error)
  t.is(telemetry.storeErrors.counts.get('denied'), 2)
  const calls = (call: 'get' | 'put' | 'list') =>
    telemetry.storeSeconds.get(call)?.buckets.reduce((a, b) => a + b)
  t.deepEqual([calls('get'), calls('put'), calls('list')], [2, 1, 0])
})

test('countedSocket() counts each message of a datagram, and the dumps among them', (t) => {
  const telemetry = newTelemetry()
  const sent: Uint8Array[] = []
  const socket: Socket = {
    fd: 7,
    portId: 42,
    send: (datagram) => void sent.push(datagram),
    receive: () => Uint8Array.of(1),
    [Symbol.dispose]() {},
  }
  const counted = countedSocket(socket, 'route', telemetry)
  const request = { op: 'x', type: 16, flags: 0, body: Uint8Array.of(1, 2, 3) }
  const datagram = encodeMessages([request, request, request], 1, 1)
  counted.send(datagram)
  counted.send(encodeMessages([request], 4, 0x301))
  t.is(sent[0], datagram)
  t.deepEqual([counted.fd, counted.portId, counted.receive()[0]], [7, 42, 1])
  t.is(telemetry.netlinkMessages.counts.get('route'), 4)
  t.is(telemetry.netlinkDumps.counts.get('route'), 1)
  t.is(telemetry.netlinkMessages.counts.get('netfilter'), 0)
})
