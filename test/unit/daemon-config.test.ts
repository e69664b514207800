import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { parseLeaseKey } from '../../conf/lease.ts'
import { findConfig, readConfig } from '../../daemon/config/network-config.ts'
import { Macs, nodeId } from '../../daemon/host/identity.ts'
import { StatusFile } from '../../daemon/host/subnet-file.ts'
import type { Lease } from '../../daemon/lease/lease.ts'
import { readMemory, writeMemory } from '../../daemon/lease/memory-file.ts'
import { type Mac, parseMac } from '../../ip/mac.ts'
import { silent } from '../../log/logger.ts'
import { openSqliteStore } from '../../store/sqlite/sqlite.ts'
import type { Store } from '../../store/store.ts'

const KEY = '/coreos.com/network/config'

function folder(t: ExecutionContext): string {
  const made = mkdtempSync(join(tmpdir(), 'heddle-config-'))
  t.teardown(() => rmSync(made, { recursive: true }))
  return made
}

function openStore(t: ExecutionContext): Store {
  const store = openSqliteStore(join(folder(t), 'store.db'), silent)
  t.teardown(() => store[Symbol.asyncDispose]())
  return store
}

function find(store: Store, { path, local = false }: { path?: string; local?: boolean } = {}) {
  return findConfig(store, '/coreos.com/network', { path, local })
}

/** The backend of the configuration in a store that all machines share. */
function readBackend(text: string | undefined): unknown {
  return text === undefined ? undefined : readConfig(text, { key: KEY, local: false }).backend
}

function backendOf(text: string | undefined): string | undefined {
  return text === undefined ? undefined : readConfig(text, { key: KEY, local: false }).backend.type
}

test('findConfig() finds none in a shared store until somebody writes one', async (t) => {
  const store = openStore(t)
  t.is(await find(store), undefined)
  t.is(await store.get(KEY), undefined)
  await store.create(KEY, '{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}')
  t.is(backendOf(await find(store)), 'vxlan')
})

test('findConfig() writes 10.244.0.0/16 with vxlan to an empty store of this machine', async (t) => {
  const store = openStore(t)
  const found = await find(store, { local: true })
  t.is(found, '{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}}')
  t.is((await store.get(KEY))?.value, found)
})

test('findConfig() writes the file when the key is absent, and only then', async (t) => {
  const store = openStore(t)
  const path = join(folder(t), 'net.json')
  writeFileSync(path, '{ "Network": "10.1.0.0/16", "Backend": { "Type": "host-gw" } }')
  t.is(backendOf(await find(store, { path })), 'host-gw')
  t.is((await store.get(KEY))?.value, readFileSync(path, 'utf8'))
  writeFileSync(path, '{ "Network": "10.2.0.0/16", "Backend": { "Type": "vxlan" } }')
  t.is(backendOf(await find(store, { path })), 'host-gw')
})

test('findConfig() reads YAML and writes JSON', async (t) => {
  const store = openStore(t)
  const path = join(folder(t), 'net.yaml')
  writeFileSync(path, '# ours\nNetwork: 10.1.0.0/16\nBackend:\n  Type: vxlan\n  VNI: 7\n')
  t.deepEqual(readBackend(await find(store, { path })), { type: 'vxlan', options: { vni: 7 } })
  t.is(
    (await store.get(KEY))?.value,
    '{"Network":"10.1.0.0/16","Backend":{"Type":"vxlan","VNI":7}}',
  )
})

test('findConfig() writes no configuration that it would refuse', async (t) => {
  const store = openStore(t)
  const path = join(folder(t), 'net.json')
  writeFileSync(path, '{ "Network": "10.1.0.0/29", "Backend": { "Type": "vxlan" } }')
  await t.throwsAsync(find(store, { path }), { message: /^network is too small/ })
  t.is(await store.get(KEY), undefined)
})

test('readConfig() refuses a shared configuration without Backend, naming the key and the mend', (t) => {
  const text = '{"Network":"10.5.0.0/16"}'
  const error = t.throws(() => readConfig(text, { key: KEY, local: false }), {
    name: 'ConfigError',
  })
  t.regex(error.message, /^\/coreos\.com\/network\/config has no Backend: .*udp.*"Type": "vxlan"/)
  t.is(readConfig(text, { key: KEY, local: true }).backend.type, 'vxlan')
})

test('nodeId() makes one id and keeps it, for root alone', (t) => {
  const state = join(folder(t), 'state')
  const id = nodeId(state)
  t.regex(id, /^[\da-f-]{36}$/)
  t.is(nodeId(state), id)
  t.is(statSync(join(state, 'node-id')).mode & 0o777, 0o600)
  writeFileSync(join(state, 'node-id'), 'x')
  t.throws(() => nodeId(state), { name: 'StateError', message: /node-id holds no UUID/ })
})

test('Macs keeps a device’s MAC, the one it has first', (t) => {
  const state = folder(t)
  const present = parseMac('c6:d2:32:6f:8f:44')
  t.is<Mac | undefined, Mac | undefined>(new Macs(state).for('flannel.1', present), present)
  t.is<Mac | undefined, Mac | undefined>(
    new Macs(state).for('flannel.1', parseMac('02:00:00:00:00:01')),
    present,
  )
  const made = new Macs(state).for('flannel-v6.1', undefined)
  // Locally administered, one station.
  t.is(Number.parseInt(made.slice(0, 2), 16) & 3, 2)
  t.is(new Macs(state).for('flannel-v6.1', undefined), made)
  writeFileSync(join(state, 'macs.json'), '{"v":2}')
  t.throws(() => new Macs(state), { name: 'StateError', message: /version 2/ })
})

test('Macs.for() that cannot write tries again', (t) => {
  const state = join(folder(t), 'state')
  const macs = new Macs(state)
  // A file where the folder should be stops root too.
  writeFileSync(state, '')
  for (let n = 0; n < 2; n++) {
    t.throws(() => macs.for('flannel.1', undefined), {
      name: 'StateError',
      message: /cannot write/,
    })
  }
  t.is(macs.known.size, 0)
  rmSync(state)
  const made = macs.for('flannel.1', undefined)
  t.is(new Macs(state).for('flannel.1', undefined), made)
})

const DAY = 86_400_000

/** A moment of one boot, or of the `next`. */
function at(boot: number, wall: number, bootId = 'this') {
  return { now: { boot, wall }, bootId, ttlMs: DAY }
}

test('readMemory() inverts writeMemory() over a boot', (t) => {
  const path = join(folder(t), 'leases.json')
  t.is(readMemory(path, at(0, 0), silent), undefined)
  const lease = (n: number): Lease => ({
    key: `10.5.${n}.0-24`,
    subnets: parseLeaseKey(`10.5.${n}.0-24`) ?? {},
    attrs: { publicIP: {}, backendType: 'vxlan', backendData: { 4: { VNI: 1 } }, nodeId: `${n}` },
    revision: n,
    reserved: n === 2,
  })
  const memory = {
    clusterId: 'c',
    revision: 9,
    own: { lease: lease(1), heldUntil: 5000 },
    peers: [
      { lease: lease(2), expires: 6000 },
      { lease: lease(3), expires: 7000, dropAt: 2000 },
    ],
  }
  writeMemory(path, { config: '{}', memory }, at(1000, 1e12 + 1000))
  const read = readMemory(path, at(101_000, 1e12 + 1000, 'next'), silent)
  t.deepEqual(read, {
    config: '{}',
    memory: {
      ...memory,
      own: { lease: lease(1), heldUntil: 105_000 },
      peers: [
        { lease: lease(2), expires: 106_000 },
        { lease: lease(3), expires: 107_000, dropAt: 102_000 },
      ],
    },
  })
})

test('readMemory() goes on without a file that was cut off, and refuses a newer one', (t) => {
  const path = join(folder(t), 'leases.json')
  writeFileSync(path, '{"v":1,"peers":[{"key":')
  t.is(readMemory(path, at(0, 0), silent), undefined)
  writeFileSync(path, '{"v":2}')
  t.throws(() => readMemory(path, at(0, 0), silent), { name: 'StateError' })
})

/** A file of a run that held a lease of its own, a reservation or not, and knew of one peer. */
function remember(path: string, { reserved = false, longer = 0 } = {}): void {
  const attrs = { publicIP: {}, backendType: 'vxlan', backendData: {} }
  const lease = (key: string): Lease => ({
    ...{ key, subnets: parseLeaseKey(key) ?? {}, attrs, revision: 1 },
    reserved: reserved && key === '10.5.1.0-24',
  })
  const own = { lease: lease('10.5.1.0-24'), heldUntil: DAY + longer }
  const peers = [{ lease: lease('10.5.2.0-24'), expires: DAY + longer, dropAt: DAY + longer }]
  const memory = { clusterId: 'c', revision: 1, own, peers }
  writeMemory(path, { config: '{}', memory }, at(1000, 1e12))
}

/** Until when its own lease is held and its peer is known, and when that goes. */
function timesOf(path: string, when: ReturnType<typeof at>): (number | undefined)[] {
  const { own, peers } = readMemory(path, when, silent)?.memory ?? {}
  return [own?.heldUntil, peers?.[0]?.expires, peers?.[0]?.dropAt]
}

test('readMemory() goes by the clock that nobody sets as long as the host runs', (t) => {
  const path = join(folder(t), 'leases.json')
  remember(path)
  for (const days of [-7, 0, 7]) {
    t.deepEqual(timesOf(path, at(5000, 1e12 + days * DAY)), [DAY, DAY, DAY])
  }
})

test('readMemory() believes in no time beyond that of a new lease, but for a reservation', (t) => {
  const path = join(folder(t), 'leases.json')
  remember(path)
  const back = at(5000, 1e12 - 7 * DAY, 'next')
  t.deepEqual(timesOf(path, back), [DAY + 5000, DAY + 5000, DAY + 5000])
  remember(path, { longer: 7 * DAY })
  t.deepEqual(timesOf(path, at(5000, 1e12)), [DAY + 5000, DAY + 5000, DAY + 5000])
  remember(path, { longer: 7 * DAY, reserved: true })
  t.deepEqual(timesOf(path, at(5000, 1e12)), [8 * DAY, DAY + 5000, DAY + 5000])
})

test('readMemory() believes in no time that is none', (t) => {
  const path = join(folder(t), 'leases.json')
  remember(path)
  for (const rubbish of ['null', '"soon"', '{}', '1e999']) {
    const text = readFileSync(path, 'utf8')
    const edited = text.replaceAll(/"(heldUntil|expires|dropAt|wall)":[^,}]+/g, `"$1":${rubbish}`)
    t.not(edited, text)
    writeFileSync(path, edited)
    t.deepEqual(timesOf(path, at(5000, 1e12)), [5000, 5000, undefined])
    remember(path)
  }
})

test('StatusFile keeps `since` while nothing changes', (t) => {
  const path = join(folder(t), 'subnet.env')
  const read = (): { since: string } => JSON.parse(readFileSync(`${path}.status.json`, 'utf8'))
  const file = new StatusFile(path, silent)
  file.write({ ready: false, error: 'waiting' })
  const first = read()
  file.write({ ready: false, error: 'waiting', held: { expires: 5, bootId: 'b' } })
  t.deepEqual(read(), { ...first, expires: 5, bootId: 'b' } as typeof first)
})
