import test from 'ava'
import { limited } from '../../log/limited.ts'
import type { Fields, Logger } from '../../log/logger.ts'
import { remembering } from '../../log/recent.ts'

/** A logger that keeps what it is told. */
function keeping(): Logger & { readonly said: [string, string, Fields?][] } {
  const said: [string, string, Fields?][] = []
  const at = (level: string) => (message: string, fields?: Fields) =>
    void said.push(fields ? [level, message, fields] : [level, message])
  return { said, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

test('limited() lets a burst through, then one in each period with the number left out', (t) => {
  const log = keeping()
  let now = 0
  const few = limited(log, { burst: 2, everyMs: 1000 }, () => now)
  for (let i = 0; i < 10; i++) few.warn('store away', { i })
  t.deepEqual(log.said, [
    ['warn', 'store away', { i: 0 }],
    ['warn', 'store away', { i: 1 }],
  ])
  now = 1000
  few.warn('store away', { i: 10 })
  few.warn('store away', { i: 11 })
  t.deepEqual(log.said.slice(2), [['warn', 'store away', { i: 10, suppressed: 8 }]])
  // After a quiet time a whole burst again, and no more.
  now = 60_000
  for (let i = 12; i < 20; i++) few.warn('store away', { i })
  t.deepEqual(log.said.slice(3), [
    ['warn', 'store away', { i: 12, suppressed: 1 }],
    ['warn', 'store away', { i: 13 }],
  ])
})

test('limited() limits each message and level by itself, and debug not at all', (t) => {
  const log = keeping()
  const few = limited(log, { burst: 1, everyMs: 1000 }, () => 0)
  for (let i = 0; i < 3; i++) {
    few.info('a')
    few.warn('a')
    few.error('b')
    few.debug('c')
  }
  const counts = Map.groupBy(log.said, ([level, message]) => `${level} ${message}`)
  t.deepEqual(
    [...counts].map(([key, all]) => [key, all.length]),
    [
      ['info a', 1],
      ['warn a', 1],
      ['error b', 1],
      ['debug c', 3],
    ],
  )
})

test('limited() does not grow without end when messages are not constant', (t) => {
  const log = keeping()
  const few = limited(log, { burst: 1, everyMs: 1000 }, () => 0)
  for (let i = 0; i < 5000; i++) few.warn(`message ${i}`)
  t.is(log.said.length, 5000)
})

test('remembering() passes all on, and keeps the newest warnings and errors, each once', (t) => {
  const log = keeping()
  let now = 0
  const recent = remembering(log, () => new Date((now += 1000)))
  recent.info('starts')
  recent.warn('store away', { store: 'etcd', tries: 1 })
  recent.error('lease lost')
  recent.warn('store away', { store: 'etcd', tries: 2 })
  t.is(log.said.length, 4)
  t.deepEqual(recent.counts, { warn: 2, error: 1 })
  t.deepEqual(recent.recent, [
    { level: 'error', message: 'lease lost', time: '1970-01-01T00:00:02.000Z', count: 1 },
    {
      level: 'warn',
      message: 'store away store=etcd tries=2',
      time: '1970-01-01T00:00:03.000Z',
      count: 2,
    },
  ])
  for (let i = 0; i < 100; i++) recent.error(`error ${i}`)
  t.is(recent.recent.length, 20)
  t.is(recent.recent.at(-1)?.message, 'error 99')
  recent.error('long', { value: 'x'.repeat(100_000) })
  t.is(recent.recent.at(-1)?.message.length, 1_000)
})
