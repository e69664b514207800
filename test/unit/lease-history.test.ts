import test from 'ava'
import fc from 'fast-check'
import {
  type Belief,
  findSharing,
  type History,
  longestSharing,
  type StoreWrite,
} from '../e2e/lease-history.ts'

const [S1, S2] = ['10.5.1.0-24', '10.5.2.0-24']

function put(at: number, key: string, holder: string): StoreWrite {
  return { at, revision: at, key, holder }
}

function gone(at: number, key: string): StoreWrite {
  return { at, revision: at, key }
}

function says(at: number, holder: string, key: string | undefined, until: number): Belief {
  return { at, holder, key, until }
}

function history(writes: readonly StoreWrite[], beliefs: readonly Belief[] = []): History {
  const list = { at: 0, revision: 0, holders: {} }
  return { stores: [{ list, writes }], beliefs, end: 1000 }
}

test('findSharing finds nothing where every host has a subnet of its own', (t) => {
  const writes = [put(1, S1, 'a'), put(2, S2, 'b'), put(50, S1, 'a')]
  const beliefs = [says(3, 'a', S1, 100), says(4, 'b', S2, 100), says(60, 'a', S1, 200)]
  t.deepEqual(findSharing(history(writes, beliefs)), [])
  t.is(longestSharing([]), 0)
})

test('findSharing lets a subnet pass from one to the other when its time is over', (t) => {
  const writes = [put(1, S1, 'a'), gone(101, S1), put(102, S1, 'b')]
  t.deepEqual(findSharing(history(writes, [says(2, 'a', S1, 100), says(103, 'b', S1, 300)])), [])
})

test('findSharing finds the daemon that still believes in what another has taken', (t) => {
  const writes = [put(1, S1, 'a'), gone(50, S1), put(52, S1, 'b')]
  const found = findSharing(history(writes, [says(2, 'a', S1, 400), says(70, 'a', undefined, 0)]))
  t.deepEqual(found, [{ subnet: '10.5.1.0/24', holders: ['a', 'b'], from: 52, until: 70 }])
  t.is(longestSharing(found), 18)
})

test('findSharing holds a daemon that says nothing more to what it said last', (t) => {
  const writes = [put(1, S1, 'a'), put(60, S1, 'b')]
  const found = findSharing(history(writes, [says(2, 'a', S1, 400)]))
  t.deepEqual(found, [{ subnet: '10.5.1.0/24', holders: ['a', 'b'], from: 60, until: 400 }])
})

test('findSharing finds two daemons that believe in one subnet, whatever the store says', (t) => {
  const found = findSharing(history([], [says(5, 'a', S1, 30), says(10, 'b', S1, 90)]))
  t.deepEqual(found, [{ subnet: '10.5.1.0/24', holders: ['a', 'b'], from: 10, until: 30 }])
})

test('findSharing compares subnets, not keys', (t) => {
  const dual = '10.5.1.0-24&fc00:0:0:1::-64'
  t.deepEqual(findSharing(history([put(1, S1, 'a'), put(5, dual, 'b'), gone(9, dual)])), [
    { subnet: '10.5.1.0/24', holders: ['a', 'b'], from: 5, until: 9 },
  ])
  const half = '10.5.1.128-25'
  t.deepEqual(findSharing(history([put(1, S1, 'a'), put(5, half, 'b'), gone(9, half)])), [
    { subnet: '10.5.1.128/25', holders: ['a', 'b'], from: 5, until: 9 },
  ])
  const other = '10.5.2.0-24&fc00:0:0:1::-64'
  t.deepEqual(findSharing(history([put(1, dual, 'a'), put(5, other, 'b'), gone(9, other)])), [
    { subnet: 'fc00:0:0:1::/64', holders: ['a', 'b'], from: 5, until: 9 },
  ])
})

test('findSharing allows one host two keys of one subnet', (t) => {
  const dual = '10.5.1.0-24&fc00:0:0:1::-64'
  t.deepEqual(findSharing(history([put(1, S1, 'a'), put(5, dual, 'a'), gone(9, S1)])), [])
})

test('findSharing goes by revisions where writes arrive out of order', (t) => {
  const writes = [
    { at: 20, revision: 2, key: S1 },
    { at: 19, revision: 3, key: S1, holder: 'b' },
    { at: 1, revision: 1, key: S1, holder: 'a' },
  ]
  t.deepEqual(findSharing(history(writes, [says(2, 'a', S1, 18)])), [])
})

test('findSharing knows that a store put back from a copy says other things', (t) => {
  const before = { list: { at: 0, revision: 9, holders: { [S1]: 'a' } }, writes: [] }
  const moved = [put(10, S2, 'a'), gone(11, S1), put(12, S1, 'b')]
  const after = {
    list: { at: 100, revision: 9, holders: { [S1]: 'a' } },
    writes: [{ at: 107, revision: 11, key: S1 }],
  }
  const beliefs = [says(5, 'a', S1, 50), says(10, 'a', S2, 500), says(13, 'b', S1, 500)]
  const found = findSharing({ stores: [{ ...before, writes: moved }, after], beliefs, end: 1000 })
  t.deepEqual(found, [{ subnet: '10.5.1.0/24', holders: ['a', 'b'], from: 100, until: 107 }])
})

test('findSharing joins what is shared without a gap', (t) => {
  const writes = [put(1, S1, 'a'), put(60, S1, 'b')]
  const beliefs = [says(2, 'a', S1, 100), says(70, 'a', S1, 100), says(80, 'b', S1, 100)]
  const found = findSharing(history(writes, beliefs))
  t.deepEqual(found, [{ subnet: '10.5.1.0/24', holders: ['a', 'b'], from: 60, until: 100 }])
})

const key = fc.constantFrom(S1, S2)
const holder = fc.constantFrom('a', 'b', 'c')
const time = fc.integer({ min: 1, max: 40 })
const anyHistory = fc
  .record({
    writes: fc.uniqueArray(fc.record({ at: time, key, holder: fc.option(holder) }), {
      selector: ({ at }) => at,
    }),
    beliefs: fc.uniqueArray(fc.record({ at: time, holder, key: fc.option(key), until: time }), {
      selector: ({ at, holder: who }) => `${at} ${who}`,
    }),
  })
  .map(
    ({ writes, beliefs }): History => ({
      ...history(
        writes.map(({ at, key: k, holder: who }) => (who === null ? gone(at, k) : put(at, k, who))),
        beliefs.map(({ at, holder: who, key: k, until }) => says(at, who, k ?? undefined, until)),
      ),
      end: 41,
    }),
  )

/** Who holds `subnet` just after a moment, found the slow way. */
function holdersAt({ stores, beliefs }: History, subnet: string, moment: number): Set<string> {
  const isPast = ({ at }: { at: number }) => at <= moment
  const latest = <T extends { at: number }>(all: readonly T[]): T | undefined =>
    all.filter(isPast).toSorted((a, b) => b.at - a.at)[0]
  const holders = new Set<string>()
  const write = latest((stores[0]?.writes ?? []).filter((one) => one.key === subnet))
  if (write?.holder !== undefined) holders.add(write.holder)
  for (const who of ['a', 'b', 'c']) {
    const last = latest(beliefs.filter((one) => one.holder === who))
    if (last?.key === subnet && moment < last.until) holders.add(who)
  }
  return holders
}

test('findSharing agrees with a look at every single moment', (t) => {
  const check = (recorded: History): void => {
    const found = findSharing(recorded)
    for (const [subnet, text] of [
      [S1, '10.5.1.0/24'],
      [S2, '10.5.2.0/24'],
    ] as const) {
      for (let moment = 0; moment <= 40; moment++) {
        const pairs = found.filter((s) => s.subnet === text && s.from <= moment && moment < s.until)
        const shared = [...new Set(pairs.flatMap(({ holders }) => holders))].toSorted().join()
        const holders = [...holdersAt(recorded, subnet, moment)].toSorted()
        const expected = holders.length > 1 ? holders.join() : ''
        if (shared !== expected) throw new Error(`${text} at ${moment}: ${shared} for ${expected}`)
      }
    }
  }
  t.notThrows(() => fc.assert(fc.property(anyHistory, check), { numRuns: 2_000 }))
})
