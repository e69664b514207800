import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { createBackend } from '../../daemon/backend/create-backend.ts'
import { Macs } from '../../daemon/host/identity.ts'
import { AlreadyRunningError } from '../../daemon/host/locks.ts'
import { DataPath } from '../../daemon/kernel/data-path.ts'
import { DeviceConflictError, removeFormerDevices } from '../../daemon/kernel/devices.ts'
import { upPause } from '../../daemon/session.ts'
import { Tally } from '../../daemon/status/telemetry.ts'
import { parseAddress } from '../../ip/address.ts'
import { parseMac } from '../../ip/mac.ts'
import { parsePrefix } from '../../ip/prefix.ts'
import { silent } from '../../log/logger.ts'
import type { Request } from '../../netlink/codec/message.ts'
import { Connection } from '../../netlink/connection.ts'
import { NetlinkError } from '../../netlink/errors.ts'
import type { Link } from '../../netlink/link.ts'
import type { Route } from '../../netlink/route.ts'

function need<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('bad example')
  return value
}

const ip = (text: string) => need(parseAddress(text))
const prefix = (text: string) => need(parsePrefix(text))
const mac = need(parseMac('02:00:00:00:00:01'))

function link(index: number, name: string, more: Partial<Link> = {}): Link {
  const state = { up: true, running: true, operstate: 0, promiscuous: false }
  return { index, name, mac, mtu: 1450, ...state, ...more }
}

/** Answers questions by what they are called, and notes down what else is asked of it. */
class FakeKernel extends Connection {
  links: Link[] = [link(2, 'eth0')]
  addresses = new Map<number, string[]>()
  routes: Route[] = []
  readonly done: string[] = []

  constructor() {
    const none = (): never => {
      throw new Error('no socket here')
    }
    super({ fd: -1, portId: 0, send: none, receive: none, [Symbol.dispose]: () => undefined })
  }

  override get<R>({ op }: Request<R>): R {
    const found = this.links.find(({ name }) => op === `get link ${name}`)
    if (!found) throw new NetlinkError({ op, errno: 19, source: 'kernel' })
    return found as R
  }

  override dump<R>({ op }: Request<R>): R[] {
    if (op === 'list IPv4 routes') return this.routes as R[]
    const index = /^list addresses of link (\d+)$/.exec(op)?.[1]
    const held = index === undefined ? [] : (this.addresses.get(Number(index)) ?? [])
    if (index !== undefined) return held.map((text) => ({ prefix: prefix(text) })) as R[]
    return (op.includes('links') ? this.links : []) as R[]
  }

  override execute({ op }: Request<unknown>): void {
    this.done.push(op)
  }

  override batch(requests: Iterable<Request<unknown>>): undefined[] {
    return [...requests].map(({ op }) => {
      this.done.push(op)
      return undefined
    })
  }
}

function dataPath(kernel: FakeKernel, type: string, formerNetworks: readonly string[] = []) {
  const uplink = { index: 2, name: 'eth0', mtu: 1500, address: ip('192.168.0.1') }
  const uplinks = { 4: { ...uplink, publicIP: uplink.address } }
  const backend = createBackend({ config: { type, options: {} }, uplinks, macFor: () => mac })
  const looked: string[] = []
  const path = new DataPath({
    connection: kernel,
    ours: {
      backend,
      networks: { 4: prefix('10.244.0.0/16') },
      subnets: { 4: prefix('10.244.1.0/24') },
      uplinks,
    },
    formerNetworks: formerNetworks.map(prefix),
    repairs: new Tally([]),
    log: silent,
    onTrouble: () => undefined,
    onDevice: ({ name }) => looked.push(name),
    onCommands: () => undefined,
    wasWanted: () => false,
    tellsAll: false,
    relieve: () => undefined,
  })
  return { path, looked }
}

function strayRoute(destination: string, oif: number): Route {
  const fields = { protocol: 104, table: 254, type: 'unicast' } as const
  return { destination: prefix(destination), gateway: ip('10.9.9.9'), oif, onlink: true, ...fields }
}

test('a repair says that somebody else’s interface has our device’s name, and writes nothing onto it', (t) => {
  const kernel = new FakeKernel()
  kernel.links.push(link(3, 'flannel.1', { kind: 'bridge' }))
  kernel.addresses.set(3, ['10.1.1.1/24'])
  kernel.routes.push(strayRoute('10.244.9.0/24', 2))
  const { path, looked } = dataPath(kernel, 'vxlan')
  const { deviceErrors, isRight } = path.repair(new Map(), { prune: true })
  t.false(isRight)
  t.true(deviceErrors[0] instanceof DeviceConflictError)
  t.deepEqual(path.problems, [
    'interface flannel.1 exists and is no vxlan device but bridge: rename it, or give Backend another VNI',
  ])
  // The rest is repaired none the less.
  t.is(kernel.done.length, 1)
  t.regex(kernel.done[0] ?? '', /^delete route 10\.244\.9\.0\/24/)
  t.deepEqual(looked, [])

  kernel.links.pop()
  kernel.routes = []
  t.true(path.repair(new Map(), { prune: true }).deviceErrors.length === 0)
  t.true(kernel.done.includes('add link flannel.1'))
  t.deepEqual(looked, ['flannel.1'])
})

test('each whole repair looks at the settings of the devices that are there', (t) => {
  const kernel = new FakeKernel()
  const vxlan = {
    id: 1,
    link: 2,
    local: ip('192.168.0.1'),
    port: 8472,
    learning: false,
    gbp: false,
  }
  kernel.links.push(link(3, 'flannel.1', { kind: 'vxlan', vxlan }))
  const { path, looked } = dataPath(kernel, 'vxlan')
  path.repair(new Map(), { prune: false })
  path.repair(new Map(), { prune: false })
  t.deepEqual(looked, ['flannel.1', 'flannel.1'])
})

test('routes into a network of earlier runs go once, and only those over what is ours', (t) => {
  const kernel = new FakeKernel()
  kernel.links.push(link(4, 'flannel.2', { kind: 'vxlan' }))
  kernel.routes = [strayRoute('10.64.3.0/24', 2), strayRoute('10.64.4.0/24', 4)]
  const { path } = dataPath(kernel, 'host-gw', ['10.64.0.0/16'])
  path.repair(new Map(), { prune: false })
  t.deepEqual(kernel.done, [])
  path.repair(new Map(), { prune: true })
  t.is(kernel.done.length, 1)
  t.regex(kernel.done[0] ?? '', /^delete route 10\.64\.3\.0\/24/)
  path.repair(new Map(), { prune: true })
  t.is(kernel.done.length, 1)
})

test('removeFormerDevices() deletes what is ours still: not locked, changed or in other networks', (t) => {
  const kernel = new FakeKernel()
  const others = need(parseMac('02:00:00:00:00:02'))
  const names = ['flannel.1', 'flannel.2', 'flannel.3', 'flannel.4', 'flannel.5', 'flannel.6']
  const kinds = ['vxlan', 'vxlan', 'vxlan', 'vxlan', 'vxlan', 'bridge']
  kernel.links.push(...names.map((name, at) => link(10 + at, name, { kind: need(kinds[at]) })))
  kernel.links = kernel.links.map((one) =>
    one.name === 'flannel.5' ? { ...one, mac: others } : one,
  )
  kernel.addresses.set(11, ['10.64.1.0/32', 'fe80::1/64'])
  kernel.addresses.set(12, ['10.99.1.0/32'])
  const released: string[] = []
  const removed = removeFormerDevices(kernel, {
    known: new Map([...names, 'flannel.7'].map((name) => [name, mac])),
    wanted: [{ name: 'flannel.1' } as never],
    networks: [prefix('10.64.0.0/16')],
    claim: (name) => {
      if (name === 'flannel.4') throw new AlreadyRunningError(name, 'instance b', undefined)
      return { [Symbol.dispose]: () => released.push(name) }
    },
  })
  t.deepEqual(removed, ['flannel.2'])
  t.deepEqual(kernel.done, ['delete link number 11'])
  t.deepEqual(released, ['flannel.2'])
})

test('upPause() grows with failures and leaves time for the rest of the daemon', (t) => {
  t.deepEqual(
    [1, 2, 3, 6, 2000].map((failures) => upPause(failures, 5)),
    [1_000, 2_000, 4_000, 30_000, 30_000],
  )
  t.is(upPause(1, 20_000), 60_000)
})

test('Macs forgets devices that are gone, over a restart too', async (t) => {
  const place = await mkdtemp(join(tmpdir(), 'heddle-macs-'))
  t.teardown(() => rm(place, { recursive: true }))
  const macs = new Macs(place)
  const kept = macs.for('flannel.1', undefined)
  macs.for('flannel.2', mac)
  macs.forget(['flannel.2'])
  for (const known of [macs.known, new Macs(place).known]) {
    t.deepEqual([...known], [['flannel.1', kept]])
  }
})
