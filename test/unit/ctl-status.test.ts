import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import type { DaemonStatus } from '../../conf/daemon-status.ts'
import { ask } from '../../ctl/ask.ts'
import { showStatus } from '../../ctl/show-status.ts'
import { serveHealth, serveStatus } from '../../daemon/status-server.ts'

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

test('ask() gets what serveStatus() tells, on a socket for root alone', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-socket-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'deep/default.sock')
  const source = { status: () => Promise.resolve(status), isReady: () => true }
  {
    await using server = await serveStatus(path, source)
    t.truthy(server)
    t.is(statSync(path).mode & 0o777, 0o600)
    t.deepEqual(await ask(path, '/status'), status)
    const message = /does not answer on .*: it says 404/
    await t.throwsAsync(ask(path, '/else'), { name: 'DaemonUnreachableError', message })
  }
  await t.throwsAsync(ask(path, '/status'), { message: /there is no such socket/ })
})

test('serveHealth() answers as flannel does', async (t) => {
  let isReady = false
  const source = { status: () => Promise.resolve(status), isReady: () => isReady }
  // A port that is free at this moment: the test asks on whichever it gets.
  const port = 20_000 + (process.pid % 10_000)
  await using server = await serveHealth({ host: '127.0.0.1', port }, source)
  t.truthy(server)
  const get = async (path: string): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`)
    return `${response.status} ${await response.text()}`
  }
  t.is(await get('/healthz'), '200 flanneld is running')
  t.is(await get('/readyz'), '503 flanneld is not ready yet')
  isReady = true
  t.is(await get('/readyz'), '200 flanneld is ready')
  t.is(await get('/status'), '404 ')
})
