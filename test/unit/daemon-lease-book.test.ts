import test from 'ava'
import { parseLeaseKey } from '../../conf/lease.ts'
import type { Instant } from '../../daemon/host/clock.ts'
import type { Lease } from '../../daemon/lease/lease.ts'
import { LeaseBook, type Listed } from '../../daemon/lease/lease-book.ts'

const HOUR = 3_600_000

/** `seconds` after the host's boot; the wall clock runs a billion seconds ahead. */
function at(seconds: number): Instant {
  return { boot: seconds * 1000, wall: 1e12 + seconds * 1000 }
}

function lease(n: number, revision = n, backendType = 'vxlan', expiresAt?: number): Lease {
  const key = `10.5.${n}.0-24`
  const subnets = parseLeaseKey(key) ?? {}
  const attrs = { publicIP: {}, backendType, backendData: {} }
  return { key, subnets, attrs, revision, reserved: false, ...(expiresAt && { expiresAt }) }
}

function listed(leases: Lease[], revision: number, more: Partial<Listed> = {}): Listed {
  return { clusterId: 'a', revision, leases, unreadable: [], own: 'present', ...more }
}

function book(): LeaseBook {
  const made = new LeaseBook(24 * HOUR)
  made.list(listed([lease(1), lease(2), lease(3)], 10, { own: 'not expected' }), at(0))
  return made
}

function keys(of: LeaseBook): string[] {
  return [...of.held.keys()].map((key) => key.split('.')[2] ?? '')
}

test('LeaseBook reports what is new or different, and not what is the same', (t) => {
  const of = book()
  const verdict = of.list(listed([lease(1, 11), lease(2, 12, 'host-gw'), lease(4)], 12), at(1))
  t.deepEqual(verdict, { changed: ['10.5.2.0-24', '10.5.4.0-24'] })
  t.deepEqual(of.put(lease(4, 13), at(2)), [])
  t.deepEqual(of.put(lease(4, 14, 'host-gw'), at(2)), ['10.5.4.0-24'])
})

test('LeaseBook drops a peer that a believed list lacks after 5 s', (t) => {
  const of = book()
  of.list(listed([lease(1)], 12), at(100))
  t.is(of.nextDrop(), at(105).boot)
  t.deepEqual(of.expire(at(104.9)), [])
  t.deepEqual(of.expire(at(105)), ['10.5.2.0-24', '10.5.3.0-24'])
  t.deepEqual(keys(of), ['1'])
  t.is(of.nextDrop(), undefined)
})

test('LeaseBook drops a deleted peer after 5 s, unless its owner puts it back', (t) => {
  const of = book()
  of.delete('10.5.1.0-24', 11, at(100))
  of.delete('10.5.2.0-24', 12, at(101))
  of.delete('10.5.99.0-24', 13, at(101))
  t.deepEqual(of.put(lease(1, 14), at(104)), [])
  t.deepEqual(of.expire(at(110)), ['10.5.2.0-24'])
  t.deepEqual(keys(of), ['1', '3'])
})

const bad: [why: string, list: Partial<Listed> & { revision: number }, reason: RegExp][] = [
  ['comes from another store', { revision: 12, clusterId: 'b' }, /another store/],
  ['comes from the past', { revision: 9 }, /went back from 10 to 9/],
  ['lacks our own lease', { revision: 12, own: 'missing' }, /own lease is not in it/],
]
for (const [why, list, reason] of bad) {
  test(`LeaseBook keeps peers to the end of their leases when a list ${why}`, (t) => {
    const of = book()
    const verdict = of.list(listed([lease(1)], list.revision, list), at(100))
    t.regex(verdict.distrust ?? '', reason)
    t.deepEqual(of.expire(at(24 * 3600 - 1)), [])
    t.deepEqual(keys(of), ['1', '2', '3'])
    t.deepEqual(of.expire(at(24 * 3600)), ['10.5.2.0-24', '10.5.3.0-24'])
  })

  test(`LeaseBook prunes nothing for 60 s and takes nothing for 30 s when a list ${why}`, (t) => {
    const of = book()
    t.is(of.mayPruneFrom, at(5).boot)
    of.list(listed([lease(1)], list.revision, list), at(100))
    t.is(of.mayPruneFrom, at(160).boot)
    t.is(of.mayTakeFrom, at(130).boot)
  })
}

test('LeaseBook keeps a peer at least 60 s after bad news, however soon its lease ends', (t) => {
  const of = new LeaseBook(24 * HOUR)
  of.list(listed([lease(1, 1, 'vxlan', at(20).wall)], 10, { own: 'not expected' }), at(0))
  of.list(listed([], 3), at(10))
  t.is(of.nextDrop(), at(70).boot)
})

test('LeaseBook lets a lease go soon after bad news when its node has another one', (t) => {
  const of = new LeaseBook(24 * HOUR)
  const by = (node: string, one: Lease): Lease => ({
    ...one,
    attrs: { ...one.attrs, nodeId: node },
  })
  const before = [by('a', lease(1)), by('b', lease(2)), by('c', lease(3))]
  of.list(listed(before, 10, { own: 'not expected' }), at(0))
  of.list(listed([by('a', lease(4))], 4), at(100))
  of.put(by('b', lease(5)), at(102))
  t.deepEqual(of.expire(at(106)), ['10.5.1.0-24'])
  t.deepEqual(of.expire(at(107)), ['10.5.2.0-24'])
  t.deepEqual(keys(of), ['3', '4', '5'])
})

for (const [why, list] of bad.slice(0, 2)) {
  test(`LeaseBook keeps what it knows of a lease that was another host’s before, when a list ${why}`, (t) => {
    const of = book()
    const older = listed([lease(1), lease(2, 1, 'older'), lease(3, 3)], list.revision, list)
    t.deepEqual(of.list(older, at(100)).changed, [])
    t.is(of.held.get('10.5.2.0-24')?.lease.attrs.backendType, 'vxlan')
    // Listed again, it is still nobody’s word.
    t.deepEqual(of.list(older, at(110)), { changed: [] })
    t.is(of.nextDrop(), at(130).boot)
    t.deepEqual(of.put(lease(2, 13, 'new'), at(120)), ['10.5.2.0-24'])
    t.is(of.nextDrop(), undefined)
  })

  test(`LeaseBook believes after 30 s what nobody puts right, when a list ${why}`, (t) => {
    const of = book()
    const older = listed([lease(1), lease(2, 1, 'older'), lease(3)], list.revision, list)
    of.list(older, at(100))
    t.deepEqual(of.expire(at(129)), [])
    t.deepEqual(of.expire(at(130)), ['10.5.2.0-24'])
    t.is(of.held.get('10.5.2.0-24')?.lease.attrs.backendType, 'older')
    t.is(of.nextDrop(), undefined)
  })
}

test('LeaseBook does not take a question in a lease it doubts for the holder’s word', (t) => {
  const asked = (one: Lease): Lease => ({ ...one, attrs: { ...one.attrs, challenge: 'node a' } })
  const of = book()
  of.list(listed([lease(1), lease(2, 1, 'older'), lease(3)], 9), at(100))
  t.deepEqual(of.put(asked(lease(2, 12, 'older')), at(101)), [])
  t.is(of.held.get('10.5.2.0-24')?.lease.attrs.backendType, 'vxlan')
  t.deepEqual(of.put(lease(2, 13, 'older'), at(102)), ['10.5.2.0-24'])
  const late = book()
  late.list(listed([lease(1), asked(lease(2, 12, 'older')), lease(3)], 9), at(100))
  t.is(late.held.get('10.5.2.0-24')?.lease.attrs.backendType, 'vxlan')
})

test('LeaseBook forgets what it doubts when that is gone from the store', (t) => {
  const of = book()
  of.list(listed([lease(1), lease(2, 1, 'older'), lease(3)], 9), at(100))
  of.list(listed([lease(1), lease(3)], 11), at(101))
  t.deepEqual(of.expire(at(140)), ['10.5.2.0-24'])
  t.deepEqual(keys(of), ['1', '3'])
})

test('LeaseBook believes a lease that was written after what it knows, whatever else is missing', (t) => {
  const of = book()
  const verdict = of.list(listed([lease(2, 11, 'new')], 12, { own: 'missing' }), at(100))
  t.deepEqual(verdict.changed, ['10.5.2.0-24'])
})

test('LeaseBook keeps the lease of a node whose older one a store from the past shows', (t) => {
  const of = new LeaseBook(24 * HOUR)
  const by = (node: string, one: Lease): Lease => ({
    ...one,
    attrs: { ...one.attrs, nodeId: node },
  })
  const before = [by('a', lease(1, 9)), by('b', lease(2, 8))]
  of.list(listed(before, 10, { own: 'not expected' }), at(0))
  // The second subnet was the first node’s once.
  of.list(listed([by('a', lease(2, 3))], 4), at(100))
  t.deepEqual(of.expire(at(129)), [])
  t.deepEqual(keys(of), ['1', '2'])
  t.is(of.held.get('10.5.2.0-24')?.lease.attrs.nodeId, 'b')
})

test('LeaseBook does not take an older lease of a node for its new one', (t) => {
  const of = new LeaseBook(24 * HOUR)
  const by = (node: string, one: Lease): Lease => ({
    ...one,
    attrs: { ...one.attrs, nodeId: node },
  })
  of.list(listed([by('a', lease(1, 9))], 10, { own: 'not expected' }), at(0))
  of.list(listed([by('a', lease(2, 3))], 4), at(100))
  t.deepEqual(of.expire(at(1_000)), [])
  t.deepEqual(keys(of), ['1', '2'])
})

test('LeaseBook does not let a second list shorten what bad news gave', (t) => {
  const of = book()
  of.list(listed([], 3), at(100))
  t.is(of.list(listed([], 4), at(101)).distrust, undefined)
  t.is(of.nextDrop(), 24 * HOUR)
})

test('LeaseBook follows the new store from then on, and takes back who returns', (t) => {
  const of = book()
  of.list(listed([], 3, { clusterId: 'b' }), at(100))
  t.deepEqual(of.put(lease(1, 4), at(101)), [])
  t.is(of.list(listed([lease(1, 4)], 4, { clusterId: 'b' }), at(102)).distrust, undefined)
  t.deepEqual(of.position, { clusterId: 'b', revision: 4 })
})

test('LeaseBook keeps what it knew of a lease that nobody can read any more', (t) => {
  const of = book()
  of.list(listed([lease(1)], 12, { unreadable: ['10.5.2.0-24'] }), at(100))
  t.deepEqual(of.expire(at(200)), ['10.5.3.0-24'])
})

test('LeaseBook prunes nothing before the first list, nor at once after it', (t) => {
  const of = new LeaseBook(24 * HOUR)
  of.restore({ clusterId: 'a', revision: 5 }, [{ lease: lease(1), expires: 1000 }])
  t.is(of.mayPruneFrom, Number.POSITIVE_INFINITY)
  t.deepEqual(keys(of), ['1'])
  of.list(listed([lease(1)], 6), at(1e6))
  t.is(of.mayPruneFrom, at(1e6 + 5).boot)
})

test('LeaseBook remembers over a restart which peers were on their way out', (t) => {
  const of = book()
  of.delete('10.5.1.0-24', 11, at(100))
  const next = new LeaseBook(24 * HOUR)
  next.restore(of.position, of.held.values())
  t.deepEqual(next.expire(at(105)), ['10.5.1.0-24'])
})
