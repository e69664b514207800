import test from 'ava'
import { labDirectory } from '../../scripts/lab/names.ts'
import { countLosses, parsePing } from '../../scripts/lab/ping.ts'
import { mapLimit } from '../../scripts/lab/run.ts'
import { bootstrap, median } from '../../scripts/measure/statistics.ts'
import { parseTestPoint } from '../../scripts/tap.ts'

test('parsePing reads the closing lines, and takes silence for loss', (t) => {
  const output = `PING 10.244.1.2 (10.244.1.2) 56(84) bytes of data.

--- 10.244.1.2 ping statistics ---
3 packets transmitted, 2 received, 33.3333% packet loss, time 402ms
rtt min/avg/max/mdev = 0.058/0.087/0.127/0.029 ms`
  t.deepEqual(parsePing(output, 3), { sent: 3, received: 2, rttMs: 0.087 })
  t.deepEqual(parsePing('', 3), { sent: 3, received: 0, rttMs: null })
  const unreachable = '1 packets transmitted, 0 received, +1 errors, 100% packet loss, time 0ms'
  t.deepEqual(parsePing(unreachable, 1), { sent: 1, received: 0, rttMs: null })
})

function pingOutput(sent: number, answered: readonly number[]): string {
  const replies = answered.map((n) => `64 bytes from 10.0.0.1: icmp_seq=${n} ttl=62 time=0.1 ms`)
  return [...replies, `${sent} packets transmitted, ${answered.length} received`].join('\n')
}

test('countLosses forgives only the last request', (t) => {
  t.deepEqual(countLosses(pingOutput(4, [1, 2, 3, 4])), { sent: 4, lost: 0 })
  t.deepEqual(countLosses(pingOutput(4, [1, 2, 3])), { sent: 3, lost: 0 })
  t.deepEqual(countLosses(pingOutput(4, [1, 3, 4])), { sent: 4, lost: 1 })
  t.deepEqual(countLosses(pingOutput(4, [1, 2])), { sent: 3, lost: 1 })
})

test('mapLimit keeps the order and the limit', async (t) => {
  let running = 0
  let most = 0
  const squares = await mapLimit([1, 2, 3, 4, 5], 2, async (n) => {
    most = Math.max(most, ++running)
    await new Promise((resolve) => setTimeout(resolve, 6 - n))
    running--
    return n * n
  })
  t.deepEqual(squares, [1, 4, 9, 16, 25])
  t.is(most, 2)
})

test('labDirectory refuses names that are no plain names', (t) => {
  for (const name of ['', '..', 'a/b', 'A', 'a.*', '-a']) {
    t.throws(() => labDirectory(name), { instanceOf: RangeError }, name)
  }
})

test('parseTestPoint reads what ava writes', (t) => {
  t.deepEqual(parseTestPoint('ok 1 - ip › parses'), { outcome: 'passed', title: 'ip › parses' })
  t.deepEqual(parseTestPoint('not ok 2 - fails'), { outcome: 'failed', title: 'fails' })
  t.deepEqual(parseTestPoint('ok 3 - later # SKIP'), { outcome: 'skipped', title: 'later' })
  t.deepEqual(parseTestPoint('not ok 4 - some day # TODO'), {
    outcome: 'skipped',
    title: 'some day',
  })
  t.is(parseTestPoint('# ip › parses'), undefined)
  t.is(parseTestPoint('    ok: not a test point'), undefined)
  t.is(parseTestPoint('1..4'), undefined)
})

test('median is the middle value, or the mean of the two', (t) => {
  t.is(median([3, 1, 2]), 2)
  t.is(median([4, 1, 2, 3]), 2.5)
})

test('bootstrap puts an interval around the estimate, the same every time', (t) => {
  const pairs = Array.from({ length: 101 }, (_, i): [number, number] => [i + 100, 200])
  const ratio = (a: readonly number[], b: readonly number[]) => median(a) / median(b)
  const estimate = bootstrap(pairs, ratio)
  t.is(estimate.value, 0.75)
  t.true(estimate.low < 0.75 && estimate.low > 0.69, String(estimate.low))
  t.true(estimate.high > 0.75 && estimate.high < 0.81, String(estimate.high))
  t.deepEqual(bootstrap(pairs, ratio), estimate)
})
