import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { formatLeaseValue } from '../../conf/lease.ts'
import { parseNetworkConfig } from '../../conf/network-config.ts'
import { hostClock } from '../../daemon/host/clock.ts'
import type { Claim } from '../../daemon/lease/acquire.ts'
import { LeaseStore } from '../../daemon/lease/lease-store.ts'
import { SubnetManager } from '../../daemon/lease/subnet-manager.ts'
import { newTelemetry } from '../../daemon/status/telemetry.ts'
import { parseAddress } from '../../ip/address.ts'
import { silent } from '../../log/logger.ts'
import { type Store, StoreError } from '../../store/store.ts'
import { MemoryStore } from './memory-store.ts'

const SUBNETS = '/net/subnets/'
const V4 = { Network: '10.5.0.0/28', SubnetLen: 30, SubnetMin: '10.5.0.4', SubnetMax: '10.5.0.4' }
const WIDE = { Network: '10.5.0.0/16' }
const dual = (config: object): object => ({ ...config, EnableIPv6: true, IPv6Network: 'fc00::/48' })
const never = new AbortController().signal

function claim(node: number, config: object, ip = `192.168.0.${node}`): Claim {
  const address = parseAddress(ip)
  const nodeId = `00000000-0000-4000-8000-${`${node}`.padStart(12, '0')}`
  const publicIP = address ? { 4: address } : {}
  const attrs = { publicIP, backendType: 'vxlan', backendData: {}, nodeId }
  return { pools: parseNetworkConfig(JSON.stringify(config)).pools, attrs, previous: [] }
}

type Call = 'get' | 'list' | 'create' | 'put' | 'delete'

/** A store between which and one node a test stands. */
interface Way {
  readonly store: Store
  /** Called before a request goes out, and before its answer comes back. */
  before: (call: Call) => void | Promise<void>
  after: (call: Call) => void | Promise<void>
}

function wayTo(store: MemoryStore): Way {
  const through = async <T>(call: Call, work: () => Promise<T>): Promise<T> => {
    await way.before(call)
    const answer = await work()
    await way.after(call)
    return answer
  }
  const way: Way = {
    before: () => {},
    after: () => {},
    store: {
      name: store.name,
      get: (...args) => through('get', () => store.get(...args)),
      list: (...args) => through('list', () => store.list(...args)),
      create: (...args) => through('create', () => store.create(...args)),
      put: (...args) => through('put', () => store.put(...args)),
      delete: (...args) => through('delete', () => store.delete(...args)),
      watch: (...args) => store.watch(...args),
      [Symbol.asyncDispose]: async () => {},
    },
  }
  return way
}

function cut(): never {
  throw new StoreError('unavailable', 'memory', 'cut')
}

function managerAt(store: Store): SubnetManager {
  const leases = new LeaseStore(store, { prefix: '/net', ttlSeconds: 3600, log: silent })
  return new SubnetManager({
    ...{ leases, ttlSeconds: 3600, renewMarginSeconds: 600 },
    ...{ clock: hostClock, log: silent, telemetry: newTelemetry() },
  })
}

/** Lets it work until the test ends, or until it is stopped. */
function run(t: ExecutionContext, manager: SubnetManager): () => Promise<unknown> {
  const end = new AbortController()
  const none = { onPeers: () => {}, onListed: () => {}, onOwn: () => {} }
  const ended = manager.run(none, end.signal)
  const stop = (): Promise<unknown> => {
    end.abort()
    return ended
  }
  t.teardown(stop)
  return stop
}

async function keys(store: MemoryStore): Promise<string[]> {
  const { entries } = await store.list(SUBNETS)
  return entries.map(({ key }) => key.slice(SUBNETS.length))
}

async function valueOf(store: MemoryStore, key: string): Promise<string> {
  return (await store.get(SUBNETS + key))?.value ?? ''
}

/** As somebody does who asks nobody. */
async function overwrite(store: MemoryStore, key: string, value: string): Promise<void> {
  const { revision = 0 } = (await store.get(SUBNETS + key)) ?? {}
  await store.put(SUBNETS + key, value, revision)
}

async function remove(store: MemoryStore, key: string): Promise<void> {
  await store.delete(SUBNETS + key, (await store.get(SUBNETS + key))?.revision ?? 0)
}

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 800; tries++) {
    if (await what()) return
    await sleep(25)
  }
  throw new Error(`never: ${String(what)}`)
}

const lookFails = (way: Way): void => {
  way.before = (call) => (call === 'list' ? cut() : undefined)
}
const givingWayFails = (way: Way): void => {
  way.before = (call) => (call === 'delete' ? cut() : undefined)
}

for (const [what, fail] of [
  ['a look at others', lookFails],
  ['giving way', givingWayFails],
] as const) {
  test(`a lease that was taken without ${what} is given up for who has its subnet`, async (t) => {
    const store = new MemoryStore()
    const way = wayTo(store)
    const [first, late] = [managerAt(store), managerAt(way.store)]
    way.before = async (call) => {
      if (call !== 'create') return
      // Another node takes the subnet between the look and the writing.
      await first.acquire(claim(1, V4), never)
      fail(way)
    }
    const wanted = claim(2, dual(V4))
    await t.throwsAsync(late.acquire(wanted, never), { name: 'StoreError' })
    const [theirs, unproven = ''] = await keys(store)
    t.deepEqual([theirs, unproven.split('&')[0]], ['10.5.0.4-30', '10.5.0.4-30'])
    way.before = () => {}
    await t.throwsAsync(late.acquire(wanted, never), { name: 'OutOfSubnetsError' })
    t.deepEqual(await keys(store), ['10.5.0.4-30'])
    // One that was killed knows no more than what is in the store.
    const killed = formatLeaseValue(wanted.attrs)
    await store.create(SUBNETS + unproven, killed, { ttlSeconds: 3600 })
    const next = managerAt(store).acquire(wanted, never)
    await t.throwsAsync(next, { name: 'OutOfSubnetsError' })
    t.deepEqual(await keys(store), ['10.5.0.4-30'])
    t.is(first.current?.problem, undefined)
  })
}

test('a lease that is this node’s own again is kept beside another’s only if it was looked at', async (t) => {
  const store = new MemoryStore()
  const way = wayTo(store)
  const manager = managerAt(way.store)
  await manager.acquire(claim(2, dual(V4)), never)
  const key = manager.current?.lease.key ?? ''
  run(t, manager)
  way.before = async (call) => {
    if (call !== 'create') return
    await managerAt(store).acquire(claim(1, V4), never)
    lookFails(way)
  }
  await remove(store, key)
  await until(async () => (await keys(store)).length === 2)
  way.before = () => {}
  await until(async () => (await keys(store)).join() === '10.5.0.4-30')
  await until(() => manager.contested !== undefined)
  t.regex(manager.contested?.holder ?? '', /^192\.168\.0\.1 /)
})

test('a release in vain leaves the lease defended: it is taken again when the other lets go', async (t) => {
  const store = new MemoryStore()
  const manager = managerAt(store)
  await manager.acquire(claim(1, WIDE), never)
  run(t, manager)
  const key = manager.current?.lease.key ?? ''
  await overwrite(store, key, '{"PublicIP":"192.168.0.66","PublicIPv6":null}')
  await until(() => manager.contested !== undefined)
  t.false(await manager.release())
  t.regex(manager.current?.problem ?? '', /now belongs to 192\.168\.0\.66/)
  await remove(store, key)
  await until(async () => (await valueOf(store, key)).includes('192.168.0.1'))
  await until(() => manager.current?.problem === undefined)
  t.is(manager.contested, undefined)
})

test('a node whose address changed twice while answers were lost knows its lease', async (t) => {
  const store = new MemoryStore()
  const way = wayTo(store)
  const manager = managerAt(way.store)
  await manager.acquire(claim(1, WIDE), never)
  run(t, manager)
  const key = manager.current?.lease.key ?? ''
  way.after = (call) => (call === 'put' ? cut() : undefined)
  manager.update(claim(1, WIDE, '192.168.0.50'))
  await until(async () => (await valueOf(store, key)).includes('192.168.0.50'))
  manager.update(claim(1, WIDE, '192.168.0.99'))
  way.after = () => {}
  const isWritten = async (): Promise<boolean> =>
    (await valueOf(store, key)).includes('192.168.0.99')
  await until(async () => manager.contested !== undefined || (await isWritten()))
  t.is(manager.contested, undefined)
})

test('a value that nobody can read is no loss: the node writes its lease over it at once', async (t) => {
  const store = new MemoryStore()
  const manager = managerAt(store)
  await manager.acquire(claim(1, WIDE), never)
  run(t, manager)
  const key = manager.current?.lease.key ?? ''
  await overwrite(store, key, 'rubbish')
  await until(async () => (await valueOf(store, key)).includes('192.168.0.1'))
  t.true((await store.get(SUBNETS + key))?.leased)
  t.deepEqual([manager.contested, manager.current?.problem], [undefined, undefined])
})

test('a node that starts again writes its remembered lease over what nobody can read', async (t) => {
  const store = new MemoryStore()
  const before = managerAt(store)
  await before.acquire(claim(1, WIDE), never)
  const { key = '' } = before.current?.lease ?? {}
  await overwrite(store, key, 'rubbish')
  const after = managerAt(store)
  after.restore(before.memory)
  t.is((await after.acquire(claim(1, WIDE), never)).lease.key, key)
  t.deepEqual(await keys(store), [key])
  t.true((await valueOf(store, key)).includes('192.168.0.1'))
  // What ended before may be anybody's.
  await overwrite(store, key, 'rubbish')
  const late = managerAt(store)
  const { own } = after.memory
  late.restore({ ...after.memory, own: own && { ...own, heldUntil: hostClock().boot } })
  t.not((await late.acquire(claim(1, WIDE), never)).lease.key, key)
  t.is(await valueOf(store, key), 'rubbish')
})

test('two daemons that are one to the store write its lease once a second, not all the time', async (t) => {
  const store = new MemoryStore()
  const [one, other] = [managerAt(store), managerAt(store)]
  const copy = claim(1, WIDE)
  await one.acquire(claim(1, WIDE), never)
  const differs = { ...copy, attrs: { ...copy.attrs, backendData: { 4: { VNI: 2 } } } }
  await other.acquire(differs, never)
  run(t, one)
  run(t, other)
  const before = store.calls.put
  const began = performance.now()
  await until(() => store.calls.put >= before + 4)
  // Two at once, and each one more a second later.
  const seconds = (performance.now() - began) / 1000
  t.true(seconds > 0.8, `${seconds} s`)
  t.true(store.calls.put <= before + 4 + 2 * seconds, `${store.calls.put - before} puts`)
})

test('an old lease is not taken again once another one was taken in its place', async (t) => {
  const store = new MemoryStore()
  const way = wayTo(store)
  const manager = managerAt(way.store)
  await manager.acquire(claim(1, dual(WIDE)), never)
  const stop = run(t, manager)
  await until(() => store.calls.watch === 1)
  // The look at it is on its way, with nothing in the list yet.
  const answer = Promise.withResolvers<void>()
  let asked = false
  way.after = (call) => {
    if (call !== 'list' || asked) return
    asked = true
    return answer.promise
  }
  await remove(store, manager.current?.lease.key ?? '')
  await until(() => asked)
  const stopped = stop()
  const next = manager.acquire(claim(1, WIDE), never)
  await sleep(50)
  answer.resolve()
  await Promise.all([stopped, next])
  t.deepEqual(await keys(store), [manager.current?.lease.key ?? ''])
  t.notRegex(manager.current?.lease.key ?? '', /&/)
})
