import test from 'ava'
import * as fc from 'fast-check'
import {
  type Entry,
  entryId,
  ourRoute,
  type RouteEntry,
  renderEntry,
} from '../../daemon/backend/kernel-state.ts'
import {
  type Found,
  type Operation,
  planChanges,
  planRepair,
} from '../../daemon/kernel/reconcile.ts'
import { Wanted } from '../../daemon/kernel/wanted.ts'
import { parseAddress } from '../../ip/address.ts'
import { parseMac } from '../../ip/mac.ts'
import { parsePrefix } from '../../ip/prefix.ts'

function need<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('bad example')
  return value
}

const ip = (text: string) => need(parseAddress(text))
const prefix = (text: string) => need(parsePrefix(text))
const mac = (n: number) => need(parseMac(`02:00:00:00:00:0${n}`))

function route(n: number, via = n, more: Partial<RouteEntry> = {}): RouteEntry {
  const gateway = ip(`192.168.0.${via}`)
  return {
    ...ourRoute(prefix(`10.5.${n}.0/24`), { gateway, device: 'eth0', onlink: false }),
    ...more,
  }
}

function peer(n: number, host = n, station = n): Entry[] {
  const device = 'flannel.1'
  const address = ip(`10.5.${n}.0`)
  return [
    { kind: 'neighbour', device, address, mac: mac(station) },
    { kind: 'fdb', device, mac: mac(station), destination: ip(`192.168.0.${host}`) },
    ourRoute(prefix(`10.5.${n}.0/24`), { gateway: address, device, onlink: true }),
  ]
}

const ours = (entries: readonly Entry[]): Found[] => entries.map((entry) => ({ entry, ours: true }))
/** As one lease wants them. */
function wantedOf(entries: readonly Entry[]): Wanted {
  const wanted = new Wanted()
  wanted.set('a lease', 1, entries)
  return wanted
}

const strangers = (entries: readonly Entry[]): Found[] =>
  entries.map((entry) => ({ entry, ours: false }))

function show(operations: readonly Operation[]): string[] {
  return operations.map(({ verb, entry }) => `${verb} ${renderEntry(entry)}`)
}

test('planRepair() has nothing to do when all is there', (t) => {
  const wanted = [...peer(1), ...peer(2), route(3)]
  const { operations, conflicts } = planRepair(wantedOf(wanted), ours(wanted), { prune: true })
  t.deepEqual([operations, conflicts], [[], []])
})

test('planRepair() adds before it deletes, what leads somewhere after where it leads', (t) => {
  const { operations } = planRepair(wantedOf(peer(2)), ours(peer(1)), { prune: true })
  t.deepEqual(show(operations), [
    'add neigh 10.5.2.0 lladdr 02:00:00:00:00:02 dev flannel.1 nud permanent',
    'add fdb 02:00:00:00:00:02 dev flannel.1 dst 192.168.0.2 self permanent',
    'add route 10.5.2.0/24 via 10.5.2.0 dev flannel.1 onlink proto 104',
    'delete route 10.5.1.0/24 via 10.5.1.0 dev flannel.1 onlink proto 104',
    'delete fdb 02:00:00:00:00:01 dev flannel.1 dst 192.168.0.1 self permanent',
    'delete neigh 10.5.1.0 lladdr 02:00:00:00:00:01 dev flannel.1 nud permanent',
  ])
})

test('planRepair() replaces in place what is there and wrong', (t) => {
  const { operations } = planRepair(wantedOf(peer(1, 7)), ours(peer(1, 1)), { prune: true })
  t.deepEqual(show(operations), [
    'replace fdb 02:00:00:00:00:01 dev flannel.1 dst 192.168.0.7 self permanent',
  ])
})

test('planRepair() deletes nothing without leave', (t) => {
  t.deepEqual(planRepair(wantedOf([]), ours(peer(1)), { prune: false }).operations, [])
})

test('planRepair() leaves strangers alone, and puts its own IPv4 route before theirs', (t) => {
  const theirs = route(1, 9, { protocol: 4 })
  const apart = route(5, 5, { protocol: 4 })
  const first = planRepair(wantedOf([route(1)]), strangers([theirs, apart]), { prune: true })
  t.deepEqual(show(first.operations), [
    'prepend route 10.5.1.0/24 via 192.168.0.1 dev eth0 proto 104',
  ])
  t.deepEqual(first.conflicts, [])
  t.deepEqual(first.outranked, [
    '"route 10.5.1.0/24 via 192.168.0.9 dev eth0 proto 4" stays behind "route 10.5.1.0/24 via 192.168.0.1 dev eth0 proto 104"',
  ])
  const both = [...ours([route(1)]), ...strangers([theirs])]
  const again = planRepair(wantedOf([route(1)]), both, { prune: true })
  t.deepEqual([again.operations, again.conflicts], [[], []])
  t.deepEqual([...again.disputed.keys()], [entryId(route(1))])
})

test('planRepair() says what a stranger’s IPv4 route before ours prevents', (t) => {
  const theirs = route(1, 9, { protocol: 4 })
  const found = [...strangers([theirs]), ...ours([route(1)])]
  const { operations, conflicts } = planRepair(wantedOf([route(1)]), found, { prune: true })
  t.deepEqual(operations, [])
  t.deepEqual(conflicts, [
    '"route 10.5.1.0/24 via 192.168.0.9 dev eth0 proto 4" is in the way of "route 10.5.1.0/24 via 192.168.0.1 dev eth0 proto 104"',
  ])
})

test('planRepair() changes its own IPv4 route beside a stranger’s without a replace', (t) => {
  const theirs = route(1, 9, { protocol: 4 })
  const found = [...ours([route(1, 7)]), ...strangers([theirs])]
  const { operations } = planRepair(wantedOf([route(1)]), found, { prune: true })
  t.deepEqual(show(operations), [
    'prepend route 10.5.1.0/24 via 192.168.0.1 dev eth0 proto 104',
    'delete route 10.5.1.0/24 via 192.168.0.7 dev eth0 proto 104',
  ])
})

test('planRepair() puts an IPv6 route before a stranger’s by its metric, as long as theirs is there', (t) => {
  const via = { device: 'eth0', onlink: false }
  const wanted = ourRoute(prefix('fc00:0:0:5::/64'), { gateway: ip('fd00::2'), ...via })
  const theirs = { ...wanted, gateway: ip('fd00::9'), protocol: 4 }
  const first = planRepair(wantedOf([wanted]), strangers([theirs]), { prune: true })
  const better = 'route fc00:0:0:5::/64 via fd00::2 dev eth0 proto 104 metric 1023'
  t.deepEqual(show(first.operations), [`add ${better}`])
  t.deepEqual(first.conflicts, [])
  const standIn = { ...wanted, metric: 1023 }
  const there = [...strangers([theirs]), ...ours([standIn])]
  t.deepEqual(planRepair(wantedOf([wanted]), there, { prune: true }).operations, [])
  const after = planRepair(wantedOf([wanted]), ours([standIn]), { prune: true })
  t.deepEqual(show(after.operations), [
    'add route fc00:0:0:5::/64 via fd00::2 dev eth0 proto 104',
    `delete ${better}`,
  ])
  // For an on-link gateway inside the destination there is a route of its own for that moment.
  const tunnel = { gateway: ip('fc00:0:0:5::'), device: 'flannel-v6.1', onlink: true }
  const onLink = ourRoute(prefix('fc00:0:0:5::/64'), tunnel)
  t.deepEqual(
    show(planRepair(wantedOf([onLink]), strangers([theirs]), { prune: false }).operations),
    [
      'add route fc00:0:0:5::/128 dev flannel-v6.1 proto 104 metric 1023',
      'add route fc00:0:0:5::/64 via fc00:0:0:5:: dev flannel-v6.1 onlink proto 104 metric 1023',
      'delete route fc00:0:0:5::/128 dev flannel-v6.1 proto 104 metric 1023',
    ],
  )
  const taken = [...strangers([theirs, { ...theirs, metric: 1023 }])]
  const blocked = planRepair(wantedOf([wanted]), taken, { prune: true })
  t.is(blocked.conflicts.length, 1)
  t.deepEqual(blocked.operations, [])
})

test('planChanges() gives an IPv6 gateway a way over the tunnel while it takes the direct way’s place', (t) => {
  const destination = prefix('fc00:0:0:5::/64')
  const before = ourRoute(destination, { gateway: ip('fd00::2'), device: 'eth0', onlink: false })
  const gateway = ip('fc00:0:0:5::')
  const after = ourRoute(destination, { gateway, device: 'flannel-v6.1', onlink: true })
  t.deepEqual(show(planChanges([{ before, after }])), [
    'add route fc00:0:0:5::/128 dev flannel-v6.1 proto 104',
    'replace route fc00:0:0:5::/64 via fc00:0:0:5:: dev flannel-v6.1 onlink proto 104',
    'delete route fc00:0:0:5::/128 dev flannel-v6.1 proto 104',
  ])
  t.deepEqual(show(planChanges([{ before: after, after: before }])), [
    'replace route fc00:0:0:5::/64 via fd00::2 dev eth0 proto 104',
  ])
})

test('planRepair() removes a stale address before it adds routes, and after another one came', (t) => {
  const address = (n: number): Entry => ({
    kind: 'address',
    device: 'flannel.1',
    prefix: prefix(`10.5.${n}.0/32`),
  })
  const wanted = wantedOf([address(1), ...peer(2)])
  const { operations } = planRepair(wanted, ours([address(2)]), { prune: false })
  t.deepEqual(
    operations.map(({ verb, entry }) => `${verb} ${entry.kind}`),
    ['add address', 'delete address', 'add neighbour', 'add fdb', 'add route'],
  )
})

test('planRepair() takes over flannel’s route by replacing it', (t) => {
  const { operations, conflicts } = planRepair(
    wantedOf([route(1)]),
    strangers([route(1, 1, { protocol: 3 })]),
    { prune: true },
  )
  t.deepEqual(show(operations), ['replace route 10.5.1.0/24 via 192.168.0.1 dev eth0 proto 104'])
  t.deepEqual(conflicts, [])
})

test('planRepair() deletes surplus entries of ours that share an identity', (t) => {
  const { operations } = planRepair(
    wantedOf([route(1)]),
    ours([route(1, 8), route(1, 1), route(1, 9)]),
    {
      prune: false,
    },
  )
  t.deepEqual(show(operations), [
    'delete route 10.5.1.0/24 via 192.168.0.8 dev eth0 proto 104',
    'delete route 10.5.1.0/24 via 192.168.0.9 dev eth0 proto 104',
  ])
})

test('Wanted gives the newer of two leases its way, and the older one its turn after', (t) => {
  const wanted = new Wanted()
  wanted.set('a', 1, [route(1, 1)])
  t.deepEqual(show(planChanges(wanted.set('b', 2, [route(1, 2)]))), [
    'replace route 10.5.1.0/24 via 192.168.0.2 dev eth0 proto 104',
  ])
  t.deepEqual(planChanges(wanted.set('a', 1, [])), [])
  wanted.set('c', 1, [route(1, 3)])
  t.deepEqual(show(planChanges(wanted.set('b', 2, []))), [
    'replace route 10.5.1.0/24 via 192.168.0.3 dev eth0 proto 104',
  ])
  t.deepEqual(show(planChanges(wanted.set('c', 1, []))), [
    'delete route 10.5.1.0/24 via 192.168.0.3 dev eth0 proto 104',
  ])
  t.deepEqual(wanted.entries(), [])
})

test('Wanted reports nothing when a lease is renewed unchanged', (t) => {
  const wanted = new Wanted()
  wanted.set('a', 1, peer(1))
  t.deepEqual(wanted.set('a', 5, peer(1)), [])
})

/** A kernel in which writing an entry replaces the one of the same identity. */
function applied(entries: readonly Entry[], operations: readonly Operation[]): Map<string, Entry> {
  const kernel = new Map(entries.map((entry) => [entryId(entry), entry]))
  for (const { verb, entry } of operations) {
    if (verb === 'delete') kernel.delete(entryId(entry))
    else kernel.set(entryId(entry), entry)
  }
  return kernel
}

const anyPeer = fc
  .tuple(
    fc.integer({ min: 1, max: 6 }),
    fc.integer({ min: 1, max: 4 }),
    fc.integer({ min: 1, max: 4 }),
  )
  .map(([n, host, station]) => peer(n, host, station))

test('planRepair() leads from any state of ours to any other', (t) => {
  const state = fc.array(anyPeer, { maxLength: 6 }).map((peers) => {
    const wanted = new Wanted()
    for (const [index, entries] of peers.entries()) wanted.set(`${index}`, index, entries)
    return wanted
  })
  fc.assert(
    fc.property(state, state, (before, after) => {
      const { operations } = planRepair(after, ours(before.entries()), { prune: true })
      const kernel = applied(before.entries(), operations)
      t.deepEqual(
        [...kernel.values()].map(renderEntry).sort(),
        after.entries().map(renderEntry).sort(),
      )
    }),
  )
})

test('planChanges() step by step ends where planRepair() finds nothing to do', (t) => {
  const step = fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.option(anyPeer, { nil: undefined }))
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const wanted = new Wanted()
      let kernel = new Map<string, Entry>()
      for (const [index, [owner, entries]] of steps.entries()) {
        const operations = planChanges(wanted.set(owner, index, entries ?? []))
        kernel = applied([...kernel.values()], operations)
      }
      const repair = planRepair(wanted, ours([...kernel.values()]), { prune: true })
      t.deepEqual(repair.operations, [])
    }),
  )
})
