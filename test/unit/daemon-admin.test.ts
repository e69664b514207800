import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import type { ConfigAnswer, ConfigVerdict, LeasesAnswer } from '../../conf/admin.ts'
import { formatLeaseValue, type LeaseAttrs } from '../../conf/lease.ts'
import { type AdminTools, adminRoutes } from '../../daemon/admin/admin.ts'
import { readLease } from '../../daemon/lease/lease.ts'
import { LeaseStore } from '../../daemon/lease/lease-store.ts'
import type { Answer } from '../../daemon/status/http-server.ts'
import { measuredStore } from '../../daemon/status/measured-store.ts'
import { newTelemetry } from '../../daemon/status/telemetry.ts'
import { parseAddress } from '../../ip/address.ts'
import { silent } from '../../log/logger.ts'
import { openSqliteStore } from '../../store/sqlite/sqlite.ts'
import type { Store } from '../../store/store.ts'

const prefix = '/coreos.com/network'
const config = '{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}'
const me = 'e2c0a2b6-6b0e-4e0c-a1d5-000000000001'

function attrs(publicIP: string, nodeId?: string): LeaseAttrs {
  const address = parseAddress(publicIP)
  return {
    publicIP: address ? { 4: address } : {},
    backendType: 'vxlan',
    backendData: { 4: { VNI: 1, VtepMAC: '0e:00:00:00:00:01' } },
    ...(nodeId !== undefined && { nodeId }),
  }
}

interface Site {
  readonly store: Store
  /** What a route answers; the body is sent as JSON. */
  readonly ask: (method: 'GET' | 'POST' | 'PUT', path: string, body?: unknown) => Promise<Answer>
  /** What a route throws: its status, and its message. */
  readonly refusal: (method: 'POST' | 'PUT', path: string, body: unknown) => Promise<string>
  /** The entry of a lease. */
  readonly lease: (key: string) => ReturnType<Store['get']>
}

/** A store with a configuration, this daemon's lease 10.5.1.0/24, and a flanneld's 10.5.2.0/24. */
async function site(t: ExecutionContext, more: Partial<AdminTools> = {}): Promise<Site> {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-admin-'))
  const store = openSqliteStore(join(folder, 'store.db'), silent)
  t.teardown(async () => {
    await store[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  })
  const path = (key: string) => `${prefix}/subnets/${key}`
  await store.create(`${prefix}/config`, config)
  const own = await store.create(path('10.5.1.0-24'), formatLeaseValue(attrs('10.0.0.1', me)), {
    ttlSeconds: 100,
  })
  const flannels = formatLeaseValue(attrs('10.0.0.2'))
  await store.create(path('10.5.2.0-24'), flannels, { ttlSeconds: 100 })
  const leases = leasesOf(store)
  const manager = {
    current: own && {
      lease: readLease(own, `${prefix}/subnets/`),
      heldUntil: Number.POSITIVE_INFINITY,
      problem: undefined,
    },
    release: async () => store.delete(path('10.5.1.0-24'), own?.revision ?? 0),
  }
  const tools = { store, storePrefix: prefix, isLocal: false, leases, manager, log: silent }
  const routes = adminRoutes({ ...tools, board: { inForce: config }, ...more })
  const ask: Site['ask'] = async (method, at, body = {}) => {
    const handler = routes[at]?.[method]
    if (!handler) throw new RangeError(`no ${method} ${at}`)
    return handler(JSON.stringify(body))
  }
  return {
    store,
    ask,
    refusal: async (method, at, body) => {
      const error = await t.throwsAsync(ask(method, at, body))
      const status = error && 'status' in error ? String(error.status) : error?.name
      return `${status} ${error?.message}`
    },
    lease: (key) => store.get(path(key)),
  }
}

test('GET /leases tells of every lease, also of those that cannot be read', async (t) => {
  const { store, ask } = await site(t)
  await store.create(`${prefix}/subnets/10.5.9.0-24`, 'rubbish')
  const { leases } = (await ask('GET', '/leases')).body as LeasesAnswer
  t.deepEqual(
    leases.map((lease) => ({ ...lease, expires: undefined })),
    [
      {
        key: '10.5.1.0-24',
        subnets: ['10.5.1.0/24'],
        publicIPs: ['10.0.0.1'],
        backend: 'vxlan',
        nodeId: me,
        reserved: false,
        own: true,
        expires: undefined,
      },
      {
        key: '10.5.2.0-24',
        subnets: ['10.5.2.0/24'],
        publicIPs: ['10.0.0.2'],
        backend: 'vxlan',
        reserved: false,
        own: false,
        expires: undefined,
      },
      {
        key: '10.5.9.0-24',
        subnets: ['10.5.9.0/24'],
        publicIPs: [],
        backend: '',
        reserved: false,
        own: false,
        unreadable: true,
        expires: undefined,
      },
    ],
  )
  t.regex(leases[0]?.expires ?? '', /^\d{4}-\d\d-\d\dT/)
})

test('POST /leases/release gives back the own lease, or deletes the one that is named', async (t) => {
  const { store, ask, refusal, lease } = await site(t)
  await store.create(`${prefix}/subnets/10.5.9.0-24`, 'rubbish')
  const other = await ask('POST', '/leases/release', { subnet: '10.5.2.0/24' })
  t.deepEqual(other.body, {
    subnets: ['10.5.2.0/24'],
    holder: '10.0.0.2',
    own: false,
    reserved: false,
  })
  t.is(await lease('10.5.2.0-24'), undefined)
  t.is(await refusal('POST', '/leases/release', { subnet: '10.5.2.0/24' }).then(statusOf), '404')
  // By its key, as the list has it; nobody has to be able to read the value.
  await ask('POST', '/leases/release', { subnet: '10.5.9.0-24' })
  t.is(await lease('10.5.9.0-24'), undefined)
  const own = await ask('POST', '/leases/release', {})
  t.like(own.body, { subnets: ['10.5.1.0/24'], own: true })
  t.is(await lease('10.5.1.0-24'), undefined)
  // Nothing but leases is in reach.
  t.is(await refusal('POST', '/leases/release', { subnet: '../config' }).then(statusOf), '400')
})

test('POST /leases/release says so when there is no lease', async (t) => {
  const none = await site(t, { manager: { current: undefined, release: async () => false } })
  t.is(await none.refusal('POST', '/leases/release', {}), '409 this daemon has no lease')
})

test('POST /leases/reserve makes a lease without an end, for whom it is told', async (t) => {
  const { ask, lease } = await site(t)
  const reserve = (body: object) => ask('POST', '/leases/reserve', body)
  const forIp = await reserve({ subnet: '10.5.7.0/24', publicIPs: ['10.0.0.7'] })
  t.deepEqual(forIp.body, { subnets: ['10.5.7.0/24'], holder: '10.0.0.7', wasHeld: false })
  const made = await lease('10.5.7.0-24')
  t.deepEqual([made?.leased, made?.value], [false, '{"PublicIP":"10.0.0.7","PublicIPv6":null}'])
  await reserve({ subnet: '10.5.8.0/24', nodeId: 'n-8' })
  const byNode = (await lease('10.5.8.0-24'))?.value
  t.is(byNode, '{"PublicIP":"0.0.0.0","PublicIPv6":null,"NodeID":"n-8"}')
  t.like((await reserve({ subnet: '10.5.10.0/24' })).body, { holder: 'nobody' })
})

test('POST /leases/reserve keeps the value of a lease that is there, byte for byte', async (t) => {
  const { ask, lease } = await site(t)
  for (const [key, body] of [
    ['10.5.2.0-24', { subnet: '10.5.2.0/24', publicIPs: ['10.0.0.2'] }],
    ['10.5.1.0-24', { subnet: '10.5.1.0/24' }],
  ] as const) {
    const before = await lease(key)
    t.true(before?.leased)
    t.like((await ask('POST', '/leases/reserve', body)).body, { wasHeld: true })
    const after = await lease(key)
    t.deepEqual([after?.value, after?.leased], [before?.value, false])
  }
})

test('POST /leases/reserve refuses what others have, and what is no subnet of the network', async (t) => {
  const { refusal, lease } = await site(t)
  const refused = (body: object) => refusal('POST', '/leases/reserve', body)
  const before = await lease('10.5.2.0-24')
  t.is(
    await refused({ subnet: '10.5.2.0/24', publicIPs: ['10.0.0.3'] }),
    '409 10.5.2.0-24 is leased by 10.0.0.2',
  )
  t.is(await refused({ subnet: '10.5.2.0/24', nodeId: 'x' }).then(statusOf), '409')
  t.deepEqual(await lease('10.5.2.0-24'), before)
  const rule = '422 10.5.0.0/24 is not a /24 of 10.5.0.0/16 from 10.5.1.0 to 10.5.255.0'
  t.is(await refused({ subnet: '10.5.0.0/24' }), rule)
  for (const [status, body] of [
    ['422', { subnet: '10.6.1.0/24' }],
    ['422', { subnet: '10.5.3.0/25' }],
    ['422', { subnet: '10.5.3.0/24,fd00::/64' }],
    ['422', { subnet: 'fd00::/64' }],
    ['400', { subnet: '10.5.3.7/24' }],
    ['400', { subnet: '10.5.3.0/24,10.5.4.0/24' }],
    ['400', { subnet: '' }],
    ['400', {}],
    ['400', { subnet: '10.5.3.0/24', publicIPs: ['0.0.0.0'] }],
    ['400', { subnet: '10.5.3.0/24', publicIPs: ['10.0.0.1', '10.0.0.2'] }],
    ['400', { subnet: '10.5.3.0/24', publicIPs: 'x' }],
    ['400', { subnet: '10.5.3.0/24', nodeId: '\u001B[31m' }],
    ['400', { subnet: '10.5.3.0/24', ttl: 1 }],
  ] as const) {
    t.is(await refused(body).then(statusOf), status, JSON.stringify(body))
  }
  t.is(await lease('10.5.3.0-24'), undefined)
})

test('leases of both families are found by either subnet, and never shared in one of them', async (t) => {
  const { store, ask, refusal, lease } = await site(t)
  const dual =
    '{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/48","Backend":{"Type":"vxlan"}}'
  const stored = await store.get(`${prefix}/config`)
  await store.put(`${prefix}/config`, dual, stored?.revision ?? 0)
  const both = '10.5.7.0/24,fd00:0:0:7::/64'
  const made = await ask('POST', '/leases/reserve', { subnet: both, nodeId: 'n-7' })
  t.like(made.body, { subnets: ['10.5.7.0/24', 'fd00:0:0:7::/64'] })
  const half = await refusal('POST', '/leases/reserve', {
    subnet: '10.5.8.0/24,fd00:0:0:7::/64',
    nodeId: 'n-8',
  })
  t.regex(half, /^409 .* overlaps the lease 10\.5\.7\.0-24&fd00:0:0:7::-64/)
  t.is(await refusal('POST', '/leases/reserve', { subnet: '10.5.9.0/24' }).then(statusOf), '422')
  await ask('POST', '/leases/release', { subnet: 'fd00:0:0:7::/64' })
  t.is(await lease('10.5.7.0-24&fd00:0:0:7::-64'), undefined)
})

test('POST /leases/reserve takes itself back when a host took one of the families meanwhile', async (t) => {
  const dual =
    '{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/48","Backend":{"Type":"vxlan"}}'
  const { store } = await site(t)
  const stored = await store.get(`${prefix}/config`)
  await store.put(`${prefix}/config`, dual, stored?.revision ?? 0)
  // Between the look and the write.
  const racing: Store = {
    ...bound(store),
    create: async (key, value, options) => {
      const rival = `${prefix}/subnets/10.5.7.0-24&fd00:0:0:9::-64`
      await store.create(rival, formatLeaseValue(attrs('10.0.0.9')), { ttlSeconds: 100 })
      return store.create(key, value, options)
    },
  }
  const other = await site(t, { store: racing, leases: leasesOf(store) })
  const subnet = '10.5.7.0/24,fd00:0:0:7::/64'
  t.regex(await other.refusal('POST', '/leases/reserve', { subnet }), /^409 .* overlaps/)
  t.is(await store.get(`${prefix}/subnets/10.5.7.0-24&fd00:0:0:7::-64`), undefined)
})

test('POST /leases/reserve has one winner among many at once', async (t) => {
  const { ask, lease } = await site(t)
  const outcomes = await Promise.allSettled(
    Array.from({ length: 20 }, (_, i) =>
      ask('POST', '/leases/reserve', { subnet: '10.5.7.0/24', publicIPs: [`10.0.1.${i + 1}`] }),
    ),
  )
  const won = outcomes.flatMap((one) => (one.status === 'fulfilled' ? [one.value.body] : []))
  t.is(won.length, 1)
  const [winner] = won as { holder: string }[]
  t.true((await lease('10.5.7.0-24'))?.value.includes(`"PublicIP":"${winner?.holder}"`))
})

/** What a request may be refused by; anything else is a bug of ours. */
const refusals = ['RequestError', 'ConfigError', 'DecodeError']

/** Requests of any kind, most of them with the keys their route takes. */
function requests(): fc.Arbitrary<readonly [method: 'POST' | 'PUT', path: string, body: unknown]> {
  const subnet = fc.oneof(
    fc.constantFrom(
      '10.5.7.0/24',
      '10.5.1.0-24',
      'fd00::/64',
      '10.5.7.0/24,fd00::/64',
      '../config',
    ),
    fc.string(),
    fc.jsonValue(),
  )
  const publicIPs = fc.oneof(fc.array(fc.oneof(fc.ipV4(), fc.ipV6())), fc.jsonValue())
  const nodeId = fc.oneof(fc.string(), fc.jsonValue())
  const text = fc.oneof(
    configs().map((config) => JSON.stringify(config)),
    fc.json(),
    fc.string(),
  )
  const revision = fc.oneof(fc.nat({ max: 9 }), fc.jsonValue())
  const some = { requiredKeys: [] }
  const route = (method: 'POST' | 'PUT', path: string, body: fc.Arbitrary<unknown>) =>
    fc.tuple(fc.constant(method), fc.constant(path), fc.oneof(body, body, body, fc.jsonValue()))
  return fc.oneof(
    route('POST', '/leases/release', fc.record({ subnet }, some)),
    route('POST', '/leases/reserve', fc.record({ subnet, publicIPs, nodeId }, some)),
    route('POST', '/config/judge', fc.record({ text })),
    route('PUT', '/config', fc.record({ text, revision }, some)),
  )
}

test('no request, whatever is in it, is answered by anything but a refusal or what was asked', async (t) => {
  const { ask, store } = await site(t)
  await fc.assert(
    fc.asyncProperty(requests(), async ([method, path, body]) => {
      try {
        t.is((await ask(method, path, body)).status, 200)
      } catch (error) {
        if (!(error instanceof Error) || !refusals.includes(error.name)) throw error
      }
    }),
    { numRuns: 1000 },
  )
  // Whatever they did, it was to leases and to the configuration.
  const { entries } = await store.list('')
  const isOurs = (key: string) => /^\/coreos\.com\/network\/(config$|subnets\/[\d.-]+$)/.test(key)
  t.deepEqual(
    entries.map(({ key }) => key).filter((key) => !isOurs(key)),
    [],
  )
})

/** Network configurations, most of them wrong somewhere. */
function configs(): fc.Arbitrary<object> {
  const odd = fc.oneof(fc.jsonValue(), fc.constantFrom('vxlan', 'host-gw', 'alloc', 'extension'))
  return fc.record(
    {
      Network: fc.oneof(fc.constantFrom('10.5.0.0/16', '10.0.0.0/8', '10.5.0.0/33'), odd),
      IPv6Network: fc.oneof(fc.constantFrom('fd00::/48', '::/0'), odd),
      SubnetLen: fc.oneof(fc.integer(), odd),
      SubnetMin: fc.oneof(fc.ipV4(), odd),
      Backend: fc.oneof(
        fc.record(
          { Type: odd, VNI: fc.oneof(fc.integer(), odd), MTU: odd, PreStartupCommand: odd },
          { requiredKeys: [] },
        ),
        odd,
      ),
    },
    { requiredKeys: [] },
  )
}

test('POST /config/judge judges by what is in force, whatever the store has meanwhile', async (t) => {
  const { ask } = await site(t, {
    board: { inForce: '{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan","VNI":3}}' },
  })
  const judge = async (backend: object) => {
    const text = JSON.stringify({ Network: '10.5.0.0/16', Backend: backend })
    return (await ask('POST', '/config/judge', { text })).body as ConfigVerdict
  }
  t.is((await judge({ Type: 'vxlan', VNI: 3 })).kind, 'same')
  t.is((await judge({ Type: 'vxlan', VNI: 3, MTU: 1300 })).kind, 'live')
  const refused = await judge({ Type: 'vxlan', VNI: 4, Odd: 1 })
  t.is(refused.kind, 'refused')
  t.regex(refused.reason ?? '', /vni/i)
  t.deepEqual(refused.warnings, ['unknown key "odd" for backend vxlan'])
})

test('POST /config/judge thinks of the other hosts too', async (t) => {
  const { store, ask } = await site(t)
  // Outside before and after.
  await store.create(`${prefix}/subnets/10.9.9.0-24`, formatLeaseValue(attrs('10.0.0.9')))
  const judge = async (more: object) => {
    const text = JSON.stringify({ ...JSON.parse(config), ...more })
    return (await ask('POST', '/config/judge', { text })).body as ConfigVerdict
  }
  t.is((await judge({ SubnetMax: '10.5.9.0' })).kind, 'live')
  // 10.5.1.0/24, which this host has, fits.
  t.deepEqual(await judge({ SubnetMax: '10.5.1.0' }), {
    kind: 'refused',
    reason: 'it leaves out 10.5.2.0/24 of 10.0.0.2: those hosts keep the old one',
    warnings: [],
  })
})

test('PUT /config writes over what was read and nothing else, and nothing that cannot be used', async (t) => {
  const { store, ask, refusal } = await site(t)
  const { revision, text } = (await ask('GET', '/config')).body as ConfigAnswer
  t.is(text, config)
  const next = config.replace('}}', ',"MTU":1300}}')
  const put = async (body: object) => refusal('PUT', '/config', body)
  t.is(await put({ text: '{', revision }).then(statusOf), 'DecodeError')
  // What all daemons read is JSON; heddlectl makes it of YAML.
  const yaml = 'Network: 10.5.0.0/16\nBackend: {Type: vxlan}'
  t.is(await put({ text: yaml, revision }).then(statusOf), 'DecodeError')
  t.is(await put({ text: '{"Network":"10.5.0.0/16"}', revision }).then(statusOf), 'ConfigError')
  t.is(await put({ text: next.replace('1300', '-1'), revision }).then(statusOf), 'ConfigError')
  t.is(await put({ text: next }).then(statusOf), '409')
  t.is(await put({ text: next, revision: 999 }).then(statusOf), '409')
  t.is((await store.get(`${prefix}/config`))?.value, config)
  const written = (await ask('PUT', '/config', { text: next, revision })).body as ConfigAnswer
  t.is((await store.get(`${prefix}/config`))?.value, next)
  t.is((await store.get(`${prefix}/config`))?.revision, written.revision)
  t.is(await put({ text: config, revision }).then(statusOf), '409')
})

function leasesOf(store: Store): LeaseStore {
  return new LeaseStore(store, { prefix, ttlSeconds: 100, log: silent })
}

/** A store's calls, to be mixed with others. */
function bound(store: Store): Store {
  return measuredStore(store, newTelemetry())
}

function statusOf(text: string): string {
  return text.split(' ')[0] ?? ''
}
