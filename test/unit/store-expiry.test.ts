import test from 'ava'
import { Sightings } from '../../store/keyspace/sightings.ts'
import { takeUpdate } from '../../store/keyspace/state-changes.ts'

function sightings(): { seen: Sightings; pass: (seconds: number) => void } {
  let now = 5_000_000
  const seen = new Sightings(() => now)
  return { seen, pass: (seconds) => void (now += seconds * 1000) }
}

test('Sightings count from the first look at a revision', (t) => {
  const { seen, pass } = sightings()
  const lease = { key: '/a', revision: 7, ttlSeconds: 10 }
  t.is(seen.msToNext, Number.POSITIVE_INFINITY)
  seen.see(lease)
  pass(6)
  seen.see(lease)
  t.is(seen.msToNext, 4000)
  t.false(seen.isOverdue('/a', 7))
  pass(4)
  t.true(seen.isOverdue('/a', 7))
  t.deepEqual(seen.overdue(), [{ key: '/a', revision: 7 }])
})

test('Sightings begin anew with a new revision, and end with the time to live or the key', (t) => {
  const { seen, pass } = sightings()
  seen.see({ key: '/a', revision: 7, ttlSeconds: 10 })
  seen.see({ key: '/b', revision: 8, ttlSeconds: 10 })
  seen.see({ key: '/c', revision: 9, ttlSeconds: 10 })
  pass(9)
  seen.see({ key: '/a', revision: 10, ttlSeconds: 10 })
  seen.see({ key: '/b', revision: 11 })
  seen.miss('/c')
  pass(5)
  t.false(seen.isOverdue('/a', 7), 'that revision is gone')
  t.deepEqual(seen.overdue(), [])
  t.is(seen.msToNext, 5000)
  seen.missOthers('/other/', new Map())
  t.is(seen.msToNext, 5000)
  seen.missOthers('/', new Map())
  pass(20)
  t.deepEqual(seen.overdue(), [])
})

const put = (key: string, revision: number) => ({ key, value: `${key} ${revision}`, revision })
const state = (seen: Record<string, number>, written: Record<string, number> = {}) => ({
  seen: new Map(Object.entries(seen)),
  written: new Map(Object.entries(written)),
})
const at = (deletedAt: number, ...ours: string[]) => ({ deletedAt, ours: new Set(ours) })
const brief = (events: ReturnType<typeof takeUpdate>) =>
  events.map((event) => {
    if (event.type === 'put') return `${event.entry.key}=${event.entry.revision}`
    return event.type === 'delete' ? `-${event.key}@${event.revision}` : event.type
  })

test('takeUpdate() tells what differs from a whole state, each once', (t) => {
  const known = state({ '/a': 1, '/b': 2, '/c': 3 })
  const whole = { entries: [put('/a', 1), put('/b', 9), put('/d', 8)], revision: 9, gone: [] }
  t.deepEqual(brief(takeUpdate(known, { ...whole, isWhole: true }, at(9))), [
    '/d=8',
    '/b=9',
    '-/c@9',
  ])
  t.deepEqual(takeUpdate(known, { ...whole, isWhole: true }, at(9)), [])
})

test('takeUpdate() of a part leaves alone what it does not name', (t) => {
  const known = state({ '/a': 1, '/b': 2 })
  const part = { entries: [put('/c', 5)], revision: 6, gone: ['/a', '/never'], isWhole: false }
  t.deepEqual(brief(takeUpdate(known, part, at(6))), ['/c=5', '-/a@6'])
  t.deepEqual([...known.seen.keys()], ['/b', '/c'])
})

test('takeUpdate() misses what we wrote and never saw, once it should be there', (t) => {
  const known = state({}, { '/a': 5, '/b': 6 })
  const before = { entries: [put('/b', 6)], revision: 4, gone: [], isWhole: true }
  t.deepEqual(brief(takeUpdate(known, before, at(4))), ['/b=6'])
  const after = { entries: [put('/b', 6)], revision: 7, gone: [], isWhole: true }
  t.deepEqual(brief(takeUpdate(known, after, at(7))), ['-/a@7'])
  t.deepEqual(takeUpdate(known, after, at(7)), [])
})

test('takeUpdate() asks for a resync when a key went back in time', (t) => {
  const known = state({ '/a': 5 })
  const older = { entries: [put('/a', 4)], revision: 4, gone: [], isWhole: true }
  t.deepEqual(takeUpdate(known, older, at(5)), [{ type: 'resync' }])
})

test('takeUpdate() asks for a resync when a look lacks much, or what is kept from expiring', (t) => {
  const known = () => state({ '/a': 1, '/b': 2, '/c': 3, '/d': 4 }, { '/e': 5 })
  const look = (...keys: string[]) => ({
    entries: keys.map((key) => put(key, 'abcde'.indexOf(key.slice(1)) + 1)),
    revision: 9,
    gone: [],
    isWhole: true,
  })
  const resync = [{ type: 'resync' }]
  t.deepEqual(takeUpdate(known(), look(), at(9)), resync, 'nothing is there')
  t.deepEqual(takeUpdate(known(), look('/a', '/b'), at(9)), resync, 'most of it is missing')
  t.deepEqual(brief(takeUpdate(known(), look('/a', '/b', '/c', '/e'), at(9))), ['/e=5', '-/d@9'])
  const fewer = look('/a', '/b', '/c')
  t.deepEqual(brief(takeUpdate(known(), fewer, at(9, '/a'))), ['-/d@9', '-/e@9'])
  t.deepEqual(takeUpdate(known(), fewer, at(9, '/d')), resync, 'ours is missing, and another')
  const ours = look('/a', '/b', '/c', '/e')
  t.deepEqual(brief(takeUpdate(known(), ours, at(9, '/d'))), ['/e=5', '-/d@9'])
  t.deepEqual(brief(takeUpdate(state({ '/a': 1 }), look(), at(9))), ['-/a@9'])
})

test('takeUpdate() believes a part that names what is gone', (t) => {
  const part = { entries: [], revision: 6, gone: ['/a', '/b'], isWhole: false }
  const known = state({ '/a': 1, '/b': 2 })
  t.deepEqual(brief(takeUpdate(known, part, at(6, '/a'))), ['-/a@6', '-/b@6'])
})

test('Sightings keep what was seen after a look that misses it began', (t) => {
  const { seen, pass } = sightings()
  seen.see({ key: '/a', revision: 7, ttlSeconds: 10 })
  const { moment } = seen
  seen.see({ key: '/a', revision: 8, ttlSeconds: 10 })
  seen.miss('/a', moment)
  seen.missOthers('/', new Map(), moment)
  pass(10)
  t.deepEqual(seen.overdue(), [{ key: '/a', revision: 8 }])
  seen.miss('/a', seen.moment)
  t.deepEqual(seen.overdue(), [])
})
