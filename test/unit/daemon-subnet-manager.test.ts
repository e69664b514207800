import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { formatLeaseKey } from '../../conf/lease.ts'
import { parseNetworkConfig } from '../../conf/network-config.ts'
import { type Clock, hostClock } from '../../daemon/host/clock.ts'
import type { Claim } from '../../daemon/lease/acquire.ts'
import { LeaseStore } from '../../daemon/lease/lease-store.ts'
import { type Followers, SubnetManager } from '../../daemon/lease/subnet-manager.ts'
import { newTelemetry } from '../../daemon/status/telemetry.ts'
import { parseAddress } from '../../ip/address.ts'
import type { ByFamily } from '../../ip/by-family.ts'
import { type Prefix, parsePrefix } from '../../ip/prefix.ts'
import { silent } from '../../log/logger.ts'
import { openSqliteStore } from '../../store/sqlite/sqlite.ts'
import type { Store } from '../../store/store.ts'

const PREFIX = '/coreos.com/network'
const V4 = '{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}'
const DUAL =
  '{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fc00::/48","Backend":{"Type":"vxlan"}}'

/** A store of the test's own, closed and removed after it. */
function openStore(t: ExecutionContext): Store {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-manager-'))
  const store = openSqliteStore(join(folder, 'store.db'), silent)
  t.teardown(async () => {
    await store[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  })
  return store
}

function prefix(text: string): Prefix {
  const value = parsePrefix(text)
  if (!value) throw new Error(text)
  return value
}

function claim(
  node: number,
  { config = V4, ip = `192.168.0.${node}`, previous = [] as ByFamily<Prefix>[] } = {},
): Claim {
  const address = parseAddress(ip)
  const nodeId = `00000000-0000-4000-8000-${`${node}`.padStart(12, '0')}`
  const publicIP = address ? { 4: address } : {}
  const attrs = { publicIP, backendType: 'vxlan', backendData: {}, nodeId }
  return { pools: parseNetworkConfig(config).pools, attrs, previous }
}

function manager(
  store: Store,
  { ttlSeconds = 3600, clock = hostClock }: { ttlSeconds?: number; clock?: Clock } = {},
): SubnetManager {
  const leases = new LeaseStore(store, { prefix: PREFIX, ttlSeconds, log: silent })
  return new SubnetManager({
    leases,
    ttlSeconds,
    renewMarginSeconds: 3600,
    clock,
    log: silent,
    telemetry: newTelemetry(),
  })
}

const never = new AbortController().signal

/** The key of the lease that a daemon starting now gets. */
async function acquire(store: Store, wanted: Claim, clock?: Clock): Promise<string> {
  const { lease } = await manager(store, clock ? { clock } : {}).acquire(wanted, never)
  return lease.key
}

async function keys(store: Store): Promise<string[]> {
  const { entries } = await store.list(`${PREFIX}/subnets/`)
  return entries.map(({ key }) => key.slice(`${PREFIX}/subnets/`.length))
}

/** A clock on which 5 s pass between two looks. */
function hasty(): Clock {
  let boot = 0
  return () => ({ boot: (boot += 5_000), wall: Date.now() })
}

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (await what()) return
    await sleep(25)
  }
  throw new Error(`never: ${String(what)}`)
}

test('SubnetManager gives a node the same subnet every time, and writes flannel’s form', async (t) => {
  const store = openStore(t)
  const key = await acquire(store, claim(1))
  t.regex(key, /^10\.5\.\d+\.0-24$/)
  t.is(await acquire(store, claim(1)), key)
  const entry = await store.get(`${PREFIX}/subnets/${key}`)
  t.is(
    entry?.value,
    '{"PublicIP":"192.168.0.1","PublicIPv6":null,"BackendType":"vxlan","NodeID":"00000000-0000-4000-8000-000000000001"}',
  )
  t.true(entry?.leased)
})

test('SubnetManager knows flannel’s lease by the public address and puts its id into it', async (t) => {
  const store = openStore(t)
  const key = `${PREFIX}/subnets/10.5.77.0-24`
  await store.create(key, '{"PublicIP":"192.168.0.1","PublicIPv6":null}', { ttlSeconds: 60 })
  t.is(await acquire(store, claim(1)), '10.5.77.0-24')
  t.regex((await store.get(key))?.value ?? '', /"NodeID":"0{8}/)
})

test('SubnetManager leaves a lease with another node’s id alone, whatever its address', async (t) => {
  const store = openStore(t)
  const key = await acquire(store, claim(1, { ip: '192.168.0.9' }))
  t.not(await acquire(store, claim(2, { ip: '192.168.0.9' })), key)
})

test('SubnetManager takes the previous subnet if it fits and is free', async (t) => {
  const store = openStore(t)
  const previous = [{ 4: prefix('10.5.200.0/24') }]
  t.is(await acquire(store, claim(1, { previous })), '10.5.200.0-24')
  t.not(await acquire(store, claim(2, { previous })), '10.5.200.0-24')
  const outside = [{ 4: prefix('10.6.200.0/24') }, { 4: prefix('10.5.8.0/22') }]
  t.regex(await acquire(store, claim(3, { previous: outside })), /^10\.5\.\d+\.0-24$/)
})

test('SubnetManager gives back a subnet that the configuration no longer allows', async (t) => {
  const store = openStore(t)
  await acquire(store, claim(1))
  const key = await acquire(store, claim(1, { config: '{"Network":"10.9.0.0/16"}' }))
  t.regex(key, /^10\.9\./)
  t.deepEqual(await keys(store), [key])
})

test('SubnetManager keeps the IPv4 subnet when IPv6 comes, and when it goes', async (t) => {
  const store = openStore(t)
  const before = await acquire(store, claim(1))
  const dual = await acquire(store, claim(1, { config: DUAL }))
  t.regex(dual, new RegExp(`^${before}&fc00:0:0:[0-9a-f]+::-64$`))
  t.deepEqual(await keys(store), [dual])
  t.is(await acquire(store, claim(1)), before)
  t.deepEqual(await keys(store), [before])
})

test('SubnetManager gives fifteen of twenty nodes that start at once one subnet each', async (t) => {
  const store = openStore(t)
  const config = '{"Network":"10.5.0.0/20"}'
  const results = await Promise.allSettled(
    Array.from({ length: 20 }, (_, node) => acquire(store, claim(node, { config }))),
  )
  const got = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  t.is(new Set(got).size, 15)
  t.is(got.length, 15)
  for (const result of results) {
    if (result.status === 'rejected') t.regex(String(result.reason), /out of subnets/)
  }
})

test('SubnetManager lets no two nodes have one subnet under different keys', async (t) => {
  const store = openStore(t)
  const narrow = { SubnetMin: '10.5.1.0', SubnetMax: '10.5.4.0' }
  const configs = [V4, DUAL].map((text) => JSON.stringify({ ...JSON.parse(text), ...narrow }))
  await Promise.allSettled(
    Array.from({ length: 6 }, (_, node) =>
      acquire(store, claim(node, { config: configs[node % 2] ?? V4 })),
    ),
  )
  const subnets = (await keys(store)).map((key) => key.split('&')[0])
  t.is(new Set(subnets).size, subnets.length)
  t.is(subnets.length, 4)
})

test('SubnetManager keeps a reservation a reservation', async (t) => {
  const store = openStore(t)
  const key = `${PREFIX}/subnets/10.5.77.0-24`
  await store.create(key, '{"PublicIP":"192.168.0.1","PublicIPv6":null}')
  t.is(await acquire(store, claim(1)), '10.5.77.0-24')
  t.false((await store.get(key))?.leased)
})

test('SubnetManager does not take what a lease that nobody can read holds', async (t) => {
  const store = openStore(t)
  const config = '{"Network":"10.5.0.0/20","SubnetMin":"10.5.1.0","SubnetMax":"10.5.2.0"}'
  await store.create(`${PREFIX}/subnets/10.5.1.0-24`, 'rubbish')
  await store.create(`${PREFIX}/subnets/rubbish`, 'rubbish')
  t.is(await acquire(store, claim(1, { config })), '10.5.2.0-24')
  await t.throwsAsync(acquire(store, claim(2, { config })), { name: 'OutOfSubnetsError' })
})

test('SubnetManager keeps its subnet when the host has moved to another address', async (t) => {
  const store = openStore(t)
  const key = await acquire(store, claim(1))
  t.is(await acquire(store, claim(1, { ip: '192.168.0.99' }), hasty()), key)
  const { entries } = await store.list(PREFIX)
  t.regex(
    entries[0]?.value ?? '',
    /^\{"PublicIP":"192\.168\.0\.99","PublicIPv6":null,"BackendType":"vxlan","NodeID":"[^"]+"\}$/,
  )
})

/** A manager with its lease, at work until the test ends. */
async function running(
  t: ExecutionContext,
  store: Store,
  wanted: Claim,
  {
    ttlSeconds = 3600,
    followers = {},
  }: { ttlSeconds?: number; followers?: Partial<Followers> } = {},
): Promise<SubnetManager> {
  const made = manager(store, { ttlSeconds })
  await made.acquire(wanted, never)
  const end = new AbortController()
  const none = { onPeers: () => {}, onListed: () => {}, onOwn: () => {} }
  const run = made.run({ ...none, ...followers }, end.signal)
  t.teardown(async () => {
    end.abort()
    await run
  })
  return made
}

test('SubnetManager refuses a node id under which a daemon lives elsewhere', async (t) => {
  const store = openStore(t)
  const first = await running(t, store, claim(1))
  const error = await t.throwsAsync(acquire(store, claim(1, { ip: '192.168.0.99' })), {
    name: 'NodeIdInUseError',
  })
  t.regex(error.message, /192\.168\.0\.1/)
  t.is(first.current?.problem, undefined)
  const { entries } = await store.list(`${PREFIX}/subnets/`)
  t.notRegex(entries[0]?.value ?? 'Challenge', /Challenge|\.99/)
})

test('SubnetManager renews a lease before it ends', async (t) => {
  const store = openStore(t)
  const { current } = await running(t, store, claim(1), { ttlSeconds: 1 })
  await sleep(2_500)
  t.deepEqual(await keys(store), [current?.lease.key])
})

test('SubnetManager takes its lease again when somebody deletes it', async (t) => {
  const store = openStore(t)
  const made = await running(t, store, claim(1))
  const key = `${PREFIX}/subnets/${made.current?.lease.key}`
  await store.delete(key, made.current?.lease.revision ?? 0)
  await until(async () => (await store.get(key)) !== undefined)
  t.is(made.current?.problem, undefined)
})

test('SubnetManager says loudly that another host has its subnet, and takes it back when it may', async (t) => {
  const store = openStore(t)
  let told = 0
  const followers = { onOwn: () => void told++ }
  const made = await running(t, store, claim(1), { followers })
  const { key = '', revision = 0 } = made.current?.lease ?? {}
  const path = `${PREFIX}/subnets/${key}`
  const theirs = await store.put(path, '{"PublicIP":"192.168.0.66","PublicIPv6":null}', revision)
  await until(() => made.current?.problem !== undefined)
  t.regex(made.current?.problem ?? '', /now belongs to 192\.168\.0\.66/)
  t.true(told > 0)
  await store.delete(path, theirs?.revision ?? 0)
  await until(() => made.current?.problem === undefined)
  t.regex((await store.get(path))?.value ?? '', /"PublicIP":"192\.168\.0\.1"/)
})

test('SubnetManager follows peers that come and change, and sees none in itself', async (t) => {
  const store = openStore(t)
  const changed: string[] = []
  const followers = { onPeers: (keys: readonly string[]) => void changed.push(...keys) }
  const made = await running(t, store, claim(1), { followers })
  const key = await acquire(store, claim(2))
  await until(() => changed.length === 1)
  await acquire(store, claim(2))
  await store.create(`${PREFIX}/subnets/10.5.0.0-26`, 'rubbish')
  await acquire(store, { ...claim(2), attrs: { ...claim(2).attrs, backendType: 'host-gw' } })
  await until(() => changed.length === 2)
  t.deepEqual(changed, [key, key])
  t.deepEqual([...made.peers.keys()], [key])
})

test('SubnetManager remembers over a restart what it held and whom it knew', async (t) => {
  const store = openStore(t)
  await acquire(store, claim(2))
  const made = await running(t, store, claim(1))
  const next = manager(store)
  next.restore(made.memory)
  t.deepEqual(next.peers, made.peers)
  const { subnets } = next.current?.lease ?? {}
  t.is(subnets && formatLeaseKey(subnets), made.current?.lease.key)
  t.is(next.current?.problem, undefined)
})

test('SubnetManager takes its subnet again at once in a store that lost everything', async (t) => {
  const [old, empty] = [openStore(t), openStore(t)]
  const peer = await acquire(old, claim(2))
  const before = manager(old)
  const { lease } = await before.acquire(claim(1), never)
  const after = manager(empty)
  after.restore(before.memory)
  t.is((await after.acquire(claim(1), never)).lease.key, lease.key)
  t.deepEqual([...after.peers.keys()], [peer])
  t.true(after.mayPruneIn > 50_000)
})
