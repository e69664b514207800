import test from 'ava'
import * as fc from 'fast-check'
import {
  type Entry,
  entryId,
  ourRoute,
  type RouteEntry,
  renderEntry,
} from '../../daemon/backend/kernel-state.ts'
import { type Found, type Operation, planChanges, planRepair } from '../../daemon/reconcile.ts'
import { Wanted } from '../../daemon/wanted.ts'
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
const strangers = (entries: readonly Entry[]): Found[] =>
  entries.map((entry) => ({ entry, ours: false }))

function show(operations: readonly Operation[]): string[] {
  return operations.map(({ verb, entry }) => `${verb} ${renderEntry(entry)}`)
}

test('planRepair() has nothing to do when all is there', (t) => {
  const wanted = [...peer(1), ...peer(2), route(3)]
  t.deepEqual(planRepair(wanted, ours(wanted), { prune: true }), { operations: [], conflicts: [] })
})

test('planRepair() adds before it deletes, what leads somewhere after where it leads', (t) => {
  const { operations } = planRepair(peer(2), ours(peer(1)), { prune: true })
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
  const { operations } = planRepair(peer(1, 7), ours(peer(1, 1)), { prune: true })
  t.deepEqual(show(operations), [
    'replace fdb 02:00:00:00:00:01 dev flannel.1 dst 192.168.0.7 self permanent',
  ])
})

test('planRepair() deletes nothing without leave', (t) => {
  t.deepEqual(planRepair([], ours(peer(1)), { prune: false }).operations, [])
})

test('planRepair() leaves strangers alone and says what they are in the way of', (t) => {
  const theirs = route(1, 9, { protocol: 4 })
  const repair = planRepair([route(1)], strangers([theirs, route(5, 5, { protocol: 4 })]), {
    prune: true,
  })
  t.deepEqual(repair, {
    operations: [],
    conflicts: [
      '"route 10.5.1.0/24 via 192.168.0.9 dev eth0 proto 4" is in the way of "route 10.5.1.0/24 via 192.168.0.1 dev eth0 proto 104"',
    ],
  })
})

test('planRepair() takes over flannel’s route by replacing it', (t) => {
  const { operations, conflicts } = planRepair(
    [route(1)],
    strangers([route(1, 1, { protocol: 3 })]),
    { prune: true },
  )
  t.deepEqual(show(operations), ['replace route 10.5.1.0/24 via 192.168.0.1 dev eth0 proto 104'])
  t.deepEqual(conflicts, [])
})

test('planRepair() deletes surplus entries of ours that share an identity', (t) => {
  const { operations } = planRepair([route(1)], ours([route(1, 8), route(1, 1), route(1, 9)]), {
    prune: false,
  })
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
    return wanted.entries()
  })
  fc.assert(
    fc.property(state, state, (before, after) => {
      const { operations } = planRepair(after, ours(before), { prune: true })
      const kernel = applied(before, operations)
      t.deepEqual([...kernel.values()].map(renderEntry).sort(), after.map(renderEntry).sort())
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
      const repair = planRepair(wanted.entries(), ours([...kernel.values()]), { prune: true })
      t.deepEqual(repair.operations, [])
    }),
  )
})
