import test from 'ava'
import type { DaemonStatus } from '../../conf/daemon-status.ts'
import { describeChanges } from '../../ctl/config-changes.ts'
import { showLeases } from '../../ctl/lease.ts'
import { runCtl } from '../../ctl/main.ts'
import { showStatus } from '../../ctl/show-status.ts'

const status: DaemonStatus = {
  v: 1,
  version: '0.1.0',
  instance: 'default',
  pid: 42,
  started: '2026-11-21T04:00:00.000Z',
  ready: true,
  warnings: [],
  store: { name: 'etcd:http://10.0.0.9:2379', local: false, reachable: true },
  nodeId: 'e2c0a2b6-6b0e-4e0c-a1d5-000000000001',
  subnetFile: '/run/flannel/subnet.env',
  lease: {
    subnets: ['10.244.2.0/24', 'fd00:10:244:2::/64'],
    publicIPs: ['10.0.0.1', 'fd00::1'],
    backend: 'vxlan',
    interfaces: ['eth0'],
    mtu: 1430,
    expires: '2026-11-22T04:00:00.000Z',
  },
  peers: [
    {
      nodeId: 'b017d8b9-0000-4000-8000-000000000002',
      subnets: ['10.244.211.0/24'],
      publicIPs: ['10.0.0.2'],
      backend: 'vxlan',
      state: 'tunnel',
    },
    {
      subnets: ['10.244.9.0/24'],
      publicIPs: ['10.0.0.3'],
      backend: 'udp',
      state: 'skipped',
      problem: 'its backend is udp, ours is vxlan',
    },
  ],
}
const now = Date.parse('2026-11-21T04:30:00.000Z')

test('showStatus() shows the lease and every peer', (t) => {
  t.is(
    showStatus(status, now),
    `daemon       heddled 0.1.0, instance default, process 42
state        ready
store        etcd:http://10.0.0.9:2379 (reachable)
node         e2c0a2b6-6b0e-4e0c-a1d5-000000000001
subnet       10.244.2.0/24, fd00:10:244:2::/64
public IP    10.0.0.1, fd00::1 on eth0
backend      vxlan, MTU 1430
lease        held until 2026-11-22T04:00:00.000Z (23 h 30 min left)
subnet file  /run/flannel/subnet.env

NODE      PUBLIC IP  SUBNET           BACKEND  STATE
b017d8b9  10.0.0.2   10.244.211.0/24  vxlan    tunnel
-         10.0.0.3   10.244.9.0/24    udp      skipped: its backend is udp, ours is vxlan
`,
  )
})

test('showStatus() says what a daemon waits for', (t) => {
  const { lease: _, ...rest } = status
  const waiting = {
    ...rest,
    ready: false,
    error: 'out of subnets',
    store: { ...rest.store, reachable: false },
    warnings: ['unknown key "MTU"'],
    peers: [],
  }
  const lines = showStatus(waiting, now).split('\n')
  t.deepEqual(lines.slice(1, 5), [
    'state        not ready',
    'problem      out of subnets',
    'warning      unknown key "MTU"',
    'store        etcd:http://10.0.0.9:2379 (NOT REACHABLE)',
  ])
  t.is(lines.at(-2), 'no peers')
})

test('showStatus() shows every problem, what was repaired, and the last errors', (t) => {
  const degraded: DaemonStatus = {
    ...status,
    error: 'firewall: permission denied',
    problems: ['firewall: permission denied', 'the configuration in the store is not in force: no'],
    repairs: { device: 1, route: 12, fdb: 0 },
    recent: [
      { level: 'warn', message: 'waiting for=x', time: '2026-11-21T04:00:01.000Z', count: 3 },
      { level: 'error', message: 'repair failed', time: '2026-11-21T04:00:02.000Z', count: 1 },
    ],
  }
  const lines = showStatus(degraded, now).split('\n')
  t.deepEqual(lines.slice(1, 4), [
    'state        degraded',
    'problem      firewall: permission denied',
    'problem      the configuration in the store is not in force: no',
  ])
  t.true(lines.includes('repairs      1 device, 12 route'))
  t.deepEqual(lines.slice(-5), [
    '',
    'last warnings and errors',
    '2026-11-21T04:00:01.000Z  warn   waiting for=x (3 times)',
    '2026-11-21T04:00:02.000Z  error  repair failed',
    '',
  ])
})

test('showLeases() shows whose each is, and what is odd about it', (t) => {
  const lease = { key: 'x', publicIPs: ['10.0.0.1'], backend: 'vxlan', reserved: false, own: false }
  t.is(
    showLeases([
      { ...lease, subnets: ['10.5.1.0/24'], nodeId: 'n1', own: true },
      { ...lease, subnets: ['10.5.2.0/24'], publicIPs: [], backend: '', reserved: true },
      { ...lease, subnets: ['10.5.3.0/24'], expires: '2026-11-22T04:00:00.000Z' },
    ]),
    `SUBNET       PUBLIC IP  NODE  BACKEND  NOTES
10.5.1.0/24  10.0.0.1   n1    vxlan    this host
10.5.2.0/24  -          -     -        reserved
10.5.3.0/24  10.0.0.1   -     vxlan    until 2026-11-22T04:00:00.000Z
`,
  )
})

test('describeChanges() says key by key what would be other than before', (t) => {
  const before = '{"Network":"10.5.0.0/16","SubnetLen":24,"Backend":{"Type":"vxlan","MTU":1400}}'
  const after =
    '{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan","MTU":1300,"DirectRouting":true}}'
  t.deepEqual(describeChanges(before, after), [
    '+ Backend.DirectRouting: true',
    '~ Backend.MTU: 1400 -> 1300',
    '- SubnetLen: 24',
  ])
  t.deepEqual(describeChanges(before, before), ['nothing changes'])
  t.deepEqual(describeChanges(undefined, '{"a":[1]}'), ['+ a: [1]'])
  t.deepEqual(describeChanges('no json', '{"a":null}'), ['+ a: null'])
})

const misused = test.macro<[argv: readonly string[]]>({
  exec: async (t, argv) => {
    const checkConfig = () => Promise.reject(new Error('not to be called'))
    t.is(await runCtl(argv, { version: '0.1.0', checkConfig }), 2)
  },
  title: (_, argv) => `runCtl() takes no "heddlectl ${argv.join(' ')}"`,
})
test(misused, [])
test(misused, ['lease'])
test(misused, ['lease', 'reserve'])
test(misused, ['lease', 'ls', '10.5.1.0/24'])
test(misused, ['config', 'set'])
test(misused, ['constructor'])
test(misused, ['status', '--format', 'yaml'])
test(misused, ['status', '--verbose'])
