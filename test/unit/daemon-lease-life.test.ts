import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { parseLeaseKey } from '../../conf/lease.ts'
import { parseNetworkConfig } from '../../conf/network-config.ts'
import { hostClock } from '../../daemon/host/clock.ts'
import type { Claim } from '../../daemon/lease/acquire.ts'
import { LeaseStore } from '../../daemon/lease/lease-store.ts'
import { SubnetManager } from '../../daemon/lease/subnet-manager.ts'
import { newTelemetry, type Telemetry } from '../../daemon/status/telemetry.ts'
import { parseAddress } from '../../ip/address.ts'
import { silent } from '../../log/logger.ts'
import { MemoryStore } from './memory-store.ts'

const SUBNETS = '/net/subnets/'
const V4 = { Network: '10.5.0.0/16' }
const DUAL = { ...V4, EnableIPv6: true, IPv6Network: 'fc00::/48' }
const never = new AbortController().signal

function nodeId(node: number): string {
  return `00000000-0000-4000-8000-${`${node}`.padStart(12, '0')}`
}

function claim(node: number, { config = V4, ip = `192.168.0.${node}`, data = {} } = {}): Claim {
  const address = parseAddress(ip)
  const attrs = {
    publicIP: address ? { 4: address } : {},
    backendType: 'vxlan',
    backendData: { 4: data },
    nodeId: nodeId(node),
  }
  return { pools: parseNetworkConfig(JSON.stringify(config)).pools, attrs, previous: [] }
}

interface Node {
  readonly manager: SubnetManager
  readonly telemetry: Telemetry
  /** Peers that came, changed or went, by key. */
  readonly peers: string[]
  /** How `run` ended. */
  readonly ended: Promise<'end' | 'released'>
  stop(): Promise<void>
  /** At work again after a stop, with the lease it had. */
  goOn(): void
}

/** A node at work until the test ends. */
async function start(t: ExecutionContext, store: MemoryStore, wanted: Claim): Promise<Node> {
  const telemetry = newTelemetry()
  const leases = new LeaseStore(store, { prefix: '/net', ttlSeconds: 3600, log: silent })
  const manager = new SubnetManager({
    ...{ leases, ttlSeconds: 3600, renewMarginSeconds: 600 },
    ...{ clock: hostClock, log: silent, telemetry },
  })
  await manager.acquire(wanted, never)
  const peers: string[] = []
  const followers = {
    onPeers: (keys: readonly string[]) => void peers.push(...keys),
    onListed: () => {},
    onOwn: () => {},
  }
  const run = (): Pick<Node, 'ended' | 'stop'> => {
    const end = new AbortController()
    const ended = manager.run(followers, end.signal)
    const stop = async (): Promise<void> => {
      end.abort()
      await ended
    }
    t.teardown(stop)
    return { ended, stop }
  }
  return { manager, telemetry, peers, ...run(), goOn: () => void run() }
}

function keyOf({ manager }: Node): string {
  return manager.current?.lease.key ?? 'none'
}

async function keys(store: MemoryStore): Promise<string[]> {
  const { entries } = await store.list(SUBNETS)
  return entries.map(({ key }) => key.slice(SUBNETS.length))
}

async function valueOf(store: MemoryStore, key: string): Promise<string> {
  return (await store.get(SUBNETS + key))?.value ?? ''
}

/** As an operator or a hostile writer does. */
async function write(store: MemoryStore, key: string, value: object, ttlSeconds?: number) {
  const now = await store.get(SUBNETS + key)
  const options = ttlSeconds === undefined ? {} : { ttlSeconds }
  const text = JSON.stringify(value)
  if (now) await store.put(SUBNETS + key, text, now.revision, options)
  else await store.create(SUBNETS + key, text, options)
}

async function remove(store: MemoryStore, key: string): Promise<void> {
  await store.delete(SUBNETS + key, (await store.get(SUBNETS + key))?.revision ?? 0)
}

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    if (await what()) return
    await sleep(25)
  }
  throw new Error(`never: ${String(what)}`)
}

test('a node that starts again lists the leases once and reads none by itself but its own', async (t) => {
  const store = new MemoryStore()
  for (let n = 1; n <= 100; n++) {
    await write(store, `10.5.${n}.0-24`, { PublicIP: `172.16.0.${n}`, PublicIPv6: null }, 3600)
  }
  const first = await start(t, store, claim(1))
  await first.stop()
  Object.assign(store.calls, { get: 0, list: 0, create: 0, put: 0, delete: 0, watch: 0 })
  const again = await start(t, store, claim(1))
  await until(() => store.calls.watch === 1)
  t.is(again.manager.peers.size, 100)
  await until(() => store.calls.get === 2)
  t.deepEqual(store.calls, { get: 2, list: 1, create: 0, put: 1, delete: 0, watch: 1 })
})

test('a new node lists the leases once, and reads on from there for who came meanwhile', async (t) => {
  const store = new MemoryStore()
  await start(t, store, claim(2))
  Object.assign(store.calls, { list: 0, create: 0, put: 0, delete: 0, watch: 0 })
  const node = await start(t, store, claim(1))
  await until(() => store.calls.watch === 2)
  const { list, create, put, delete: deleted } = store.calls
  t.deepEqual({ list, create, put, deleted }, { list: 1, create: 1, put: 0, deleted: 0 })
  t.is(node.manager.peers.size, 1)
})

test('update() writes the lease anew under the same key, lists nothing and asks nobody', async (t) => {
  const store = new MemoryStore()
  const node = await start(t, store, claim(1))
  const key = keyOf(node)
  const { list } = store.calls
  node.manager.update(claim(1, { ip: '192.168.0.99', data: { VNI: 1 } }))
  await until(async () => (await valueOf(store, key)).includes('192.168.0.99'))
  t.regex(await valueOf(store, key), /"BackendData":\{"VNI":1\}/)
  await until(() => node.manager.current?.lease.attrs.publicIP[4]?.value === 0xc0_a8_00_63n)
  t.is(node.manager.contested, undefined)
  t.is(store.calls.list, list)
  t.deepEqual(await keys(store), [key])
})

test('update() reaches the store when that is there again', async (t) => {
  const store = new MemoryStore()
  const node = await start(t, store, claim(1))
  store.isAway = true
  node.manager.update(claim(1, { ip: '192.168.0.99' }))
  await until(() => node.telemetry.renewals.counts.get('failed') !== 0)
  store.isAway = false
  await until(async () => (await valueOf(store, keyOf(node))).includes('192.168.0.99'))
  t.pass()
})

test('a node whose lease another one has does not take it by an update', async (t) => {
  const store = new MemoryStore()
  const node = await start(t, store, claim(1))
  const theirs = { PublicIP: '192.168.0.66', PublicIPv6: null, NodeID: nodeId(66) }
  await write(store, keyOf(node), theirs, 3600)
  await until(() => node.manager.contested !== undefined)
  t.is(node.manager.contested?.holder, `192.168.0.66 (node ${nodeId(66)})`)
  t.is(node.telemetry.renewals.counts.get('lost'), 1)
  node.manager.update(claim(1, { ip: '192.168.0.99' }))
  await sleep(1_500)
  t.regex(await valueOf(store, keyOf(node)), /192\.168\.0\.66/)
  await remove(store, keyOf(node))
  await until(() => node.manager.contested === undefined)
  t.regex(await valueOf(store, keyOf(node)), /192\.168\.0\.99/)
})

test('release() gives the lease back, ends the run, and the lease is not taken again', async (t) => {
  const store = new MemoryStore()
  const node = await start(t, store, claim(1))
  t.true(await node.manager.release())
  t.is(await node.ended, 'released')
  t.deepEqual(await keys(store), [])
  t.regex(node.manager.current?.problem ?? '', /given back on request/)
  t.is(node.manager.memory.own, undefined)
  t.false(await node.manager.release())
  await sleep(100)
  t.deepEqual(await keys(store), [])
})

test('release() keeps a reservation, without the data of who had it, and its peers forget it', async (t) => {
  const store = new MemoryStore()
  await write(store, '10.5.77.0-24', { PublicIP: '192.168.0.1', PublicIPv6: null })
  const peer = await start(t, store, claim(2))
  t.is(peer.manager.peers.size, 0)
  const node = await start(t, store, claim(1))
  t.is(keyOf(node), '10.5.77.0-24')
  await until(() => peer.manager.peers.size === 1)
  t.true(await node.manager.release())
  const entry = await store.get(`${SUBNETS}10.5.77.0-24`)
  t.false(entry?.leased)
  t.is(entry?.value, `{"PublicIP":"0.0.0.0","PublicIPv6":null,"NodeID":"${nodeId(1)}"}`)
  await until(() => peer.manager.peers.get('10.5.77.0-24')?.dropAt !== undefined)
  t.is(keyOf(await start(t, store, claim(1, { ip: '192.168.0.50' }))), '10.5.77.0-24')
})

test('release() does nothing to a lease that is another node’s', async (t) => {
  const store = new MemoryStore()
  const node = await start(t, store, claim(1))
  await write(store, keyOf(node), { PublicIP: '192.168.0.66', PublicIPv6: null }, 3600)
  t.false(await node.manager.release())
  t.regex(await valueOf(store, keyOf(node)), /192\.168\.0\.66/)
})

test('release() while the store is away says so, and the lease is kept', async (t) => {
  const store = new MemoryStore()
  const node = await start(t, store, claim(1))
  store.isAway = true
  await t.throwsAsync(node.manager.release(), { name: 'StoreError' })
  store.isAway = false
  t.is(node.manager.current?.problem, undefined)
  await remove(store, keyOf(node))
  await until(async () => (await keys(store)).length === 1)
  t.deepEqual(await keys(store), [keyOf(node)])
})

test('a lease that an operator turns into a reservation stays this node’s, without an end', async (t) => {
  const store = new MemoryStore()
  const node = await start(t, store, claim(1))
  const key = keyOf(node)
  await write(store, key, { PublicIP: '0.0.0.0', PublicIPv6: null, NodeID: nodeId(1) })
  await until(async () => (await valueOf(store, key)).includes('192.168.0.1'))
  t.false((await store.get(SUBNETS + key))?.leased)
  await until(() => (node.manager.current?.heldUntil ?? 0) - hostClock().boot > 86_400_000)
  t.is(node.manager.contested, undefined)
})

test('what is reserved for a node comes before what it had; its old lease is given back', async (t) => {
  const store = new MemoryStore()
  const first = await start(t, store, claim(1))
  await first.stop()
  await write(store, '10.5.200.0-24', { PublicIP: '0.0.0.0', NodeID: nodeId(1) })
  t.is(keyOf(await start(t, store, claim(1))), '10.5.200.0-24')
  t.deepEqual(await keys(store), ['10.5.200.0-24'])
})

test('a node that gets a second family writes its lease once more after the old one went', async (t) => {
  const store = new MemoryStore()
  const peer = await start(t, store, claim(2))
  const node = await start(t, store, claim(1))
  const before = keyOf(node)
  await node.stop()
  await node.manager.acquire(claim(1, { config: DUAL }), never)
  const { key } = node.manager.current?.lease ?? {}
  t.true(key?.startsWith(`${before}&fc00:`))
  // Who watches as flanneld does takes the end of the old lease for the end of the subnet.
  const revision = (await store.get(SUBNETS + key))?.revision ?? 0
  t.is(revision, (await store.list('')).revision)
  await until(() => peer.manager.peers.get(before)?.dropAt !== undefined)
  t.is(peer.manager.peers.get(key ?? '')?.dropAt, undefined)
})

test('what changed while a watch was broken is seen whole: address, data, coming and going', async (t) => {
  const store = new MemoryStore()
  const [a, b] = ['10.5.1.0-24', '10.5.2.0-24']
  const lease = (ip: string, mac: string) => ({
    ...{ PublicIP: ip, PublicIPv6: null, BackendType: 'vxlan' },
    BackendData: { VNI: 1, VtepMAC: mac },
  })
  await write(store, a, lease('172.16.0.1', '02:00:00:00:00:01'), 3600)
  await write(store, b, lease('172.16.0.2', '02:00:00:00:00:02'), 3600)
  const node = await start(t, store, claim(1))
  await until(() => store.calls.watch === 2)
  await write(store, a, lease('172.16.0.1', '02:00:00:00:00:99'), 3600)
  await until(() => node.peers.length === 1)
  node.peers.length = 0
  const { watch } = store.calls
  // Nothing of this reaches the watch.
  const late = [
    write(store, b, lease('172.16.0.3', '02:00:00:00:00:02'), 3600),
    write(store, '10.5.3.0-24', lease('172.16.0.4', '02:00:00:00:00:04'), 3600),
    remove(store, a),
  ]
  store.cut()
  await Promise.all(late)
  await until(() => store.calls.watch > watch)
  await until(() => node.manager.peers.get(a)?.dropAt !== undefined)
  t.deepEqual([...new Set(node.peers)].toSorted(), [b, '10.5.3.0-24'])
  t.true((node.telemetry.resyncs.counts.get('watch') ?? 0) > 0)
})

test('a store that was set back gets a node’s lease again, and loses the one it had before', async (t) => {
  const store = new MemoryStore()
  const other = await start(t, store, claim(2))
  const node = await start(t, store, claim(1))
  const old = keyOf(node)
  const backup = store.snapshot()
  await node.stop()
  await remove(store, old)
  const moved = await start(t, store, {
    ...claim(1),
    previous: [parseLeaseKey('10.5.99.0-24') ?? {}],
  })
  const third = await start(t, store, { ...claim(3), previous: [parseLeaseKey(old) ?? {}] })
  t.deepEqual([keyOf(moved), keyOf(third)], ['10.5.99.0-24', old])
  store.restore(backup)
  await until(() => third.telemetry.renewals.counts.get('lost') === 1)
  const wanted = [keyOf(other), '10.5.99.0-24', old].toSorted()
  await until(async () => (await keys(store)).join() === wanted.join())
  await until(() => third.manager.contested === undefined)
  t.regex(await valueOf(store, old), /192\.168\.0\.3/)
})

test('a node hears from the one that had its subnet before the store was set back', async (t) => {
  const store = new MemoryStore()
  const backup = store.snapshot()
  const first = await start(t, store, claim(1))
  const previous = [parseLeaseKey(keyOf(first)) ?? {}]
  await first.stop()
  store.restore(backup)
  const second = await start(t, store, { ...claim(2), previous })
  first.goOn()
  await until(() => first.manager.contested !== undefined)
  await until(() => second.manager.disputed !== undefined)
  t.is(second.manager.disputed?.holder, `node ${nodeId(1)}`)
  t.is(second.manager.contested, undefined)
  await until(async () => !(await valueOf(store, keyOf(second))).includes('Challenge'))
  t.is(first.manager.contested?.holder, `192.168.0.2 (node ${nodeId(2)})`)
})
