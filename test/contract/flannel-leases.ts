import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { parseNetworkConfig } from '../../conf/network-config.ts'
import { findConfig } from '../../daemon/config/network-config.ts'
import { hostClock } from '../../daemon/host/clock.ts'
import type { Claim } from '../../daemon/lease/acquire.ts'
import { LeaseStore } from '../../daemon/lease/lease-store.ts'
import { SubnetManager } from '../../daemon/lease/subnet-manager.ts'
import { newTelemetry } from '../../daemon/status/telemetry.ts'
import { parseAddress } from '../../ip/address.ts'
import { parsePrefix } from '../../ip/prefix.ts'
import { silent } from '../../log/logger.ts'
import type { Store } from '../../store/store.ts'
import type { StoreLab } from './store-contract.ts'
import { isDelete, isPut, record, some } from './store-recording.ts'

let prefixes = 0

interface Scene {
  readonly store: Store
  /** The network's folder in the store. */
  readonly prefix: string
  readonly lab: StoreLab
}

type Body = (t: ExecutionContext, scene: Scene) => Promise<void>

/**
 * Declares the lease scenarios of flannel's unit tests (pkg/subnet/etcd), by flannel's names, for a kind
 * of store.
 */
export function testFlannelLeases(name: string, lab: StoreLab): void {
  const run = (body: Body) => async (t: ExecutionContext) => {
    t.timeout(110_000)
    await using store = lab.open()
    prefixes += 1
    await body(t, { store, prefix: `/flannel/${process.pid}-${prefixes}`, lab })
  }
  const define = lab.define ?? test
  for (const [title, body] of Object.entries(scenarios)) {
    define(`${name}: flannel's ${title}`, run(body))
  }
  const defineAlone = lab.compact ? test.serial : define
  for (const [title, body] of Object.entries(compactions)) {
    defineAlone(`${name}: flannel's ${title}`, run(body))
  }
}

const network =
  '{"Network":"10.3.0.0/16","SubnetMin":"10.3.1.0","SubnetMax":"10.3.25.0","Backend":{"Type":"host-gw"}}'

/** What the host of this address asks for. */
function claim(ip: string, { config = network, previous = [] as string[] } = {}): Claim {
  const address = parseAddress(ip)
  const nodeId = `00000000-0000-4000-8000-${ip.replaceAll('.', '').padStart(12, '0')}`
  const attrs = {
    publicIP: address ? { 4: address } : {},
    backendType: 'host-gw',
    backendData: {},
    nodeId,
  }
  const subnets = previous.flatMap((text) => {
    const prefix = parsePrefix(text)
    return prefix ? [{ 4: prefix }] : []
  })
  return { pools: parseNetworkConfig(config).pools, attrs, previous: subnets }
}

function manager({ store, prefix }: Scene, ttlSeconds = 3600): SubnetManager {
  const leases = new LeaseStore(store, { prefix, ttlSeconds, log: silent })
  const rest = { clock: hostClock, log: silent, telemetry: newTelemetry() }
  return new SubnetManager({ leases, ttlSeconds, renewMarginSeconds: 3600, ...rest })
}

const never = new AbortController().signal

/** The key of the lease that a daemon starting now gets. */
async function acquire(scene: Scene, wanted: Claim): Promise<string> {
  return (await manager(scene).acquire(wanted, never)).lease.key
}

/** A manager at work, until it is disposed of. */
interface Running extends AsyncDisposable {
  /** The keys of peers that it told of, each time. */
  readonly told: readonly string[]
  stop(): Promise<void>
}

function start(made: SubnetManager): Running {
  const told: string[] = []
  const followers = {
    onPeers: (keys: readonly string[]) => void told.push(...keys),
    onListed: () => {},
    onOwn: () => {},
  }
  const end = new AbortController()
  const ended = made.run(followers, end.signal)
  const stop = async (): Promise<void> => {
    end.abort()
    await ended
  }
  return { told, stop, [Symbol.asyncDispose]: stop }
}

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!(await what())) {
    if (Date.now() > deadline) throw new Error(`never: ${String(what)}`)
    await sleep(25)
  }
}

/** Deletes a lease whatever its revision. */
async function remove({ store, prefix }: Scene, key: string): Promise<void> {
  const entry = some(await store.get(`${prefix}/subnets/${key}`))
  await store.delete(entry.key, entry.revision)
}

const scenarios: Readonly<Record<string, Body>> = {
  async TestEtcdRegistry(t, { store, prefix }) {
    t.is(await findConfig(store, prefix, { path: undefined, local: false }), undefined)
    await store.create(`${prefix}/config`, network)
    t.is(await findConfig(store, prefix, { path: undefined, local: false }), network)

    const leases = new LeaseStore(store, { prefix, ttlSeconds: 60, log: silent })
    const { leases: none, revision } = await leases.list()
    t.deepEqual(none, [])
    const watching = record(store, `${prefix}/subnets/`, revision)
    const [subnet, publicIP] = [some(parsePrefix('10.3.10.0/24')), some(parseAddress('1.2.3.4'))]
    const attrs = { publicIP: { 4: publicIP }, backendType: '', backendData: {} }
    const made = some(await leases.create({ 4: subnet }, attrs))
    t.is(await leases.create({ 4: subnet }, attrs), undefined)
    const path = `${prefix}/subnets/10.3.10.0-24`
    t.is((await store.get(path))?.value, '{"PublicIP":"1.2.3.4","PublicIPv6":null}')
    t.like((await leases.list()).leases, [{ key: '10.3.10.0-24', reserved: false }])
    await watching.until(isPut(path))
    t.true(await leases.delete(made))
    t.deepEqual((await leases.list()).leases, [])
    await watching.until(isDelete(path))
    await watching.stop()
  },

  async TestAcquireLease(t, scene) {
    const key = await acquire(scene, claim('1.2.3.4'))
    const [, octet] = /^10\.3\.(\d+)\.0-24$/.exec(key) ?? []
    t.true(Number(octet) >= 1 && Number(octet) <= 25, key)
    t.is(await acquire(scene, claim('1.2.3.4')), key, 'the same host has the same subnet')
    const taken = Number(octet) === 7 ? 8 : 7
    const previous = [`10.3.${taken}.0/24`]
    t.is(await acquire(scene, claim('1.2.3.5', { previous })), `10.3.${taken}.0-24`)
    const outside = ['10.3.77.0/24', '10.4.7.0/24', '10.3.8.0/25']
    t.regex(await acquire(scene, claim('1.2.3.6', { previous: outside })), /^10\.3\.\d+\.0-24$/)
  },

  async TestConfigChanged(t, scene) {
    const old = await acquire(scene, claim('1.2.3.4'))
    const config = network.replaceAll('10.3.', '10.4.')
    t.regex(await acquire(scene, claim('1.2.3.4', { config })), /^10\.4\.\d+\.0-24$/)
    t.is(await scene.store.get(`${scene.prefix}/subnets/${old}`), undefined)
  },

  async TestWatchLeaseAdded(t, scene) {
    const made = manager(scene)
    await made.acquire(claim('1.1.1.1'), never)
    await using running = start(made)
    const key = await acquire(scene, claim('1.1.1.2'))
    await until(() => running.told.includes(key))
    // One without an end, as a reservation.
    const value = '{"PublicIP":"1.1.1.3","PublicIPv6":null,"BackendType":"host-gw"}'
    await scene.store.create(`${scene.prefix}/subnets/10.3.30.0-24`, value)
    await until(() => running.told.length > 1)
    t.deepEqual(running.told, [key, '10.3.30.0-24'], 'and nothing of its own')
  },

  async TestWatchLeaseRemoved(t, scene) {
    const made = manager(scene)
    await made.acquire(claim('1.1.1.1'), never)
    const key = (await manager(scene, 3).acquire(claim('1.1.1.2'), never)).lease.key
    await using running = start(made)
    await until(() => made.peers.has(key))
    await until(() => made.peers.size === 0)
    t.deepEqual(running.told, [key, key])
  },

  async TestCompleteLease(t, scene) {
    const made = manager(scene)
    const { lease } = await made.acquire(claim('1.1.1.1'), never)
    await using _ = start(made)
    await remove(scene, lease.key)
    // To flannel that is the end; here it is put back.
    const path = `${scene.prefix}/subnets/${lease.key}`
    await until(async () => (await scene.store.get(path)) !== undefined)
    t.is(made.current?.problem, undefined)
  },

  async TestRenewLease(t, scene) {
    const made = manager(scene, 8)
    const { lease } = await made.acquire(claim('1.1.1.1'), never)
    const path = `${scene.prefix}/subnets/${lease.key}`
    const before = some(await scene.store.get(path))
    await using _ = start(made)
    await sleep(12_000)
    const after = some(await scene.store.get(path))
    t.true(after.revision > before.revision)
    t.deepEqual([after.value, after.leased], [before.value, true])
  },
}

/** While others run a store does not forget. */
const compactions: Readonly<Record<string, Body>> = {
  async TestWatchSubnetsRecoversFromCompaction(t, scene) {
    const made = manager(scene)
    await made.acquire(claim('1.1.1.1'), never)
    const unseen = await acquire(scene, claim('1.1.1.2'))
    await scene.lab.compact?.(scene.store)
    await using running = start(made)
    await until(() => running.told.includes(unseen))
    const later = await acquire(scene, claim('1.1.1.3'))
    await until(() => running.told.includes(later))
    t.deepEqual([...made.peers.keys()].toSorted(), [unseen, later].toSorted())
  },

  async TestWatchSubnetReportsRemovalAfterCompaction(t, scene) {
    const made = manager(scene)
    const { lease } = await made.acquire(claim('1.1.1.1'), never)
    await acquire(scene, claim('1.1.1.2'))
    await remove(scene, lease.key)
    await scene.lab.compact?.(scene.store)
    await using _ = start(made)
    const path = `${scene.prefix}/subnets/${lease.key}`
    await until(async () => (await scene.store.get(path)) !== undefined)
    t.is(made.current?.lease.key, lease.key)
  },

  async TestResyncWatchCancelWithBlockedReceiver(t, scene) {
    const made = manager(scene)
    await made.acquire(claim('1.1.1.1'), never)
    await acquire(scene, claim('1.1.1.2'))
    await scene.lab.compact?.(scene.store)
    const running = start(made)
    const began = performance.now()
    await running.stop()
    t.true(performance.now() - began < 3_000)
  },
}
