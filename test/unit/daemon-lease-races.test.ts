import test from 'ava'
import fc from 'fast-check'
import { parseNetworkConfig } from '../../conf/network-config.ts'
import { hostClock } from '../../daemon/host/clock.ts'
import { type Acquired, acquireLease, type Claim, takeSubnets } from '../../daemon/lease/acquire.ts'
import { type Lease, subnetsOverlap } from '../../daemon/lease/lease.ts'
import { LeaseStore } from '../../daemon/lease/lease-store.ts'
import { parseAddress } from '../../ip/address.ts'
import { parsePrefix } from '../../ip/prefix.ts'
import { silent } from '../../log/logger.ts'
import type { Store } from '../../store/store.ts'
import { MemoryStore } from './memory-store.ts'

const V4 = { Network: '10.5.0.0/16', SubnetMin: '10.5.1.0', SubnetMax: '10.5.3.0' }
const DUAL = { ...V4, EnableIPv6: true, IPv6Network: 'fc00::/48' }

function claim(node: number, config: object): Claim {
  const address = parseAddress(`192.168.0.${node}`)
  const nodeId = `00000000-0000-4000-8000-${`${node}`.padStart(12, '0')}`
  const publicIP = address ? { 4: address } : {}
  const attrs = { publicIP, backendType: 'vxlan', backendData: {}, nodeId }
  return { pools: parseNetworkConfig(JSON.stringify(config)).pools, attrs, previous: [] }
}

/** The store as one node sees it: each call is made, and answered, when the scheduler says so. */
function delayed(store: Store, schedule: <T>(work: () => Promise<T>) => Promise<T>): LeaseStore {
  const slow: Store = {
    name: store.name,
    ...(store.isOrdered && { isOrdered: true }),
    get: (...args) => schedule(() => store.get(...args)),
    list: (...args) => schedule(() => store.list(...args)),
    create: (...args) => schedule(() => store.create(...args)),
    put: (...args) => schedule(() => store.put(...args)),
    delete: (...args) => schedule(() => store.delete(...args)),
    watch: (...args) => store.watch(...args),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  }
  return new LeaseStore(slow, { prefix: '/net', ttlSeconds: 60, log: silent })
}

const never = new AbortController().signal

const subnet = nonNull(parsePrefix('10.5.2.0/24'))

function nonNull<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('nothing')
  return value
}

function tools(leases: LeaseStore, held: Lease | undefined) {
  return { leases, clock: hostClock, log: silent, signal: never, mayTakeFrom: () => 0, held }
}

interface Run {
  readonly store: MemoryStore
  readonly schedule: <T>(work: () => Promise<T>) => Promise<T>
}

async function acquire({ store, schedule }: Run, wanted: Claim, held?: Lease): Promise<Acquired> {
  const leases = delayed(store, schedule)
  return acquireLease(wanted, await leases.list(), tools(leases, held))
}

/** The leases that anybody believes in, when all is over. */
async function settled(work: readonly Promise<Acquired | undefined>[]): Promise<Lease[]> {
  const results = await Promise.allSettled(work)
  return results.flatMap((result) =>
    result.status === 'fulfilled' && result.value ? [result.value.lease] : [],
  )
}

function shared(leases: readonly Lease[]): string[] {
  return leases.flatMap((one, at) =>
    leases
      .slice(at + 1)
      .filter((other) => subnetsOverlap(one.subnets, other.subnets))
      .map((other) => `${one.key} and ${other.key}`),
  )
}

/** Plays a scene in many orders of its calls; each time nobody may share and nothing may be left over. */
async function play(
  scene: (run: Run) => Promise<readonly Lease[]>,
  check: (held: readonly Lease[], keys: readonly string[]) => void,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.boolean(), async (scheduler, isOrdered) => {
      const store = new MemoryStore({ isOrdered })
      const schedule = async <T>(work: () => Promise<T>): Promise<T> => {
        await scheduler.schedule(Promise.resolve())
        const answer = await work()
        await scheduler.schedule(Promise.resolve())
        return answer
      }
      const held = await scheduler.waitFor(scene({ store, schedule }))
      const { entries } = await store.list('/net/subnets/')
      check(
        held,
        entries.map(({ key }) => key.slice('/net/subnets/'.length)),
      )
    }),
    { numRuns: 40 },
  )
}

test('nodes with one family and nodes with two never share a subnet, in whatever order they come', async (t) => {
  await play(
    (run) => settled([V4, DUAL, DUAL, V4].map((config, n) => acquire(run, claim(n + 1, config)))),
    (held, keys) => {
      t.deepEqual(shared(held), [])
      t.deepEqual(held.map(({ key }) => key).toSorted(), [...keys])
      t.true(held.length <= 3)
    },
  )
})

test('a node that gets a second family keeps its IPv4 subnet, though others look for one meanwhile', async (t) => {
  await play(
    async (run) => {
      const now = { ...run, schedule: <T>(work: () => Promise<T>) => work() }
      const before = await acquire(now, claim(1, V4))
      const others = [2, 3, 4].map((n) => acquire(run, claim(n, n % 2 === 0 ? DUAL : V4)))
      const held = await settled([acquire(run, claim(1, DUAL), before.lease), ...others])
      const [dual] = held
      t.is(dual?.key.split('&')[0], before.lease.key)
      return held
    },
    (held, keys) => {
      t.deepEqual(shared(held), [])
      t.deepEqual(held.map(({ key }) => key).toSorted(), [...keys])
    },
  )
})

test('of an owner that puts its lease back and a newcomer that picks the same subnet at most one has it', async (t) => {
  let both = 0
  await play(
    async (run) => {
      const leases = delayed(run.store, run.schedule)
      const { attrs } = claim(1, V4)
      const wanted = { ...claim(2, DUAL), previous: [{ 4: subnet }] }
      const held = await settled([
        leases
          .list()
          .then((list) =>
            takeSubnets(attrs, { 4: subnet }, list, { leases, clock: hostClock, log: silent }),
          ),
        acquire(run, wanted),
      ])
      both += held.length === 2 ? 1 : 0
      return held
    },
    (held, keys) => {
      t.deepEqual(shared(held), [])
      t.deepEqual(held.map(({ key }) => key).toSorted(), [...keys])
    },
  )
  t.true(both > 0, 'the newcomer goes elsewhere')
})
