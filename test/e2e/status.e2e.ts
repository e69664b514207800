import { request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import test from 'ava'
import type { DaemonStatus } from '../../conf/daemon-status.ts'
import { daemonRoutes, dist, readLease, startDaemon } from '../../scripts/lab/heddle.ts'
import { type Host, hostFile } from '../../scripts/lab/lab.ts'
import { attemptAt, runAt, startAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'
import { networkConfig } from '../../scripts/lab/store.ts'
import { readExposition, valueOf } from '../unit/exposition.ts'
import { hostsFor, nth, startCluster } from './support.ts'

const socketOf = (host: Host): string => hostFile(host, '/run/heddle/default.sock')

interface Reply {
  readonly status: number
  readonly text: string
}

/** Asks a host's daemon on its socket, whose file is seen from outside too. */
function askAt(host: Host, path: string, options: { method?: string; body?: string } = {}) {
  const { method = 'GET', body = '' } = options
  return new Promise<Reply>((resolve, reject) => {
    const socketPath = socketOf(host)
    const asked = request({ socketPath, path, method, agent: false }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('error', reject)
      response.on('close', () => reject(new Error('it hung up')))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    asked.on('error', reject)
    asked.end(body)
  })
}

const metricsOf = async (host: Host) => readExposition((await askAt(host, '/metrics')).text)
const statusOf = async (host: Host) =>
  JSON.parse((await askAt(host, '/status')).text) as DaemonStatus

const ctl = (host: Host, words: string, input?: string) =>
  attemptAt(host, [join(dist, 'heddlectl'), ...words.split(' ')], {
    ...(input !== undefined && { input }),
  })

/** Answers of a TCP port of the host's own, asked on the host. */
async function askTcp(host: Host, port: number, paths: readonly string[]): Promise<Reply[]> {
  const script = `
    const [port, ...paths] = process.argv.slice(1)
    const ask = async (path) => {
      const [method, rest] = path.startsWith('HEAD ') ? ['HEAD', path.slice(5)] : ['GET', path]
      const answer = await fetch('http://127.0.0.1:' + port + rest, { method })
      return { status: answer.status, text: await answer.text() }
    }
    console.log(JSON.stringify(await Promise.all(paths.map(ask))))`
  const words = [process.execPath, '--input-type=module', '-e', script, String(port), ...paths]
  return JSON.parse(await runAt(host, words as [string, ...string[]])) as Reply[]
}

test('heddled is ready only when its peers are in the kernel, and tells probes, scrapers and people', async (t) => {
  const hosts = await hostsFor(t, { name: 'status', count: 3 })
  const [first, second, late] = [nth(hosts, 0), nth(hosts, 1), nth(hosts, 2)]
  const config = networkConfig({ Type: 'vxlan' })
  const flags = ['--healthz-port', '8081']
  const { store } = await startCluster(t, [first, second], { store: 'sqlite', config, flags })

  const daemon = startAt(late, [join(dist, 'heddled'), ...store.flags, '--iface', 'eth0'], {
    logFile: `${late.lab.directory}/late.log`,
  })
  t.teardown(() => t.passed || t.log(daemon.log()))
  const readiness = async () => askAt(late, '/readyz').catch(() => undefined)
  const said = new Set<string>()
  await until(
    'the third daemon to be ready',
    async () => {
      const reply = await readiness()
      if (reply) said.add(`${reply.status} ${reply.text}`)
      return reply?.status === 200
    },
    { timeoutMs: 20_000, everyMs: 1 },
  )
  t.is((await daemonRoutes(late, '-4')).size, 2)
  said.delete('503 flanneld is not ready yet')
  t.deepEqual([...said], ['200 flanneld is ready'])

  await until('all to know all', async () => (await statusOf(first)).peers.length === 2, {
    timeoutMs: 10_000,
  })
  const metrics = await metricsOf(first)
  t.is(valueOf(metrics, 'heddle_ready'), 1)
  t.is(valueOf(metrics, 'heddle_store_reachable'), 1)
  t.is(valueOf(metrics, 'heddle_problems'), 0)
  t.is(valueOf(metrics, 'heddle_peers', { state: 'tunnel' }), 2)
  t.is(valueOf(metrics, 'heddle_entries', { kind: 'route' }), 2)
  t.is(valueOf(metrics, 'heddle_entries', { kind: 'fdb' }), 2)
  const held = valueOf(metrics, 'heddle_lease_held_seconds') ?? 0
  t.true(held > 86_000 && held <= 86_400, String(held))
  t.true((valueOf(metrics, 'heddle_store_call_seconds_count', { call: 'list' }) ?? 0) > 0)
  t.true((valueOf(metrics, 'heddle_netlink_messages_total', { protocol: 'route' }) ?? 0) > 10)
  t.true((valueOf(metrics, 'heddle_netlink_dumps_total', { protocol: 'route' }) ?? 0) > 0)
  t.true((valueOf(metrics, 'heddle_lease_events_total', { type: 'put' }) ?? 0) > 0)
  t.true((valueOf(metrics, 'heddle_event_to_kernel_seconds_count') ?? 0) > 0)

  const paths = ['/healthz', '/readyz', '/status', '/leases', 'HEAD /readyz', '/metrics']
  const [healthz, readyz, status, leases, head, scraped] = await askTcp(first, 8081, paths)
  t.deepEqual(healthz, { status: 200, text: 'flanneld is running' })
  t.deepEqual(readyz, { status: 200, text: 'flanneld is ready' })
  t.deepEqual(head, { status: 200, text: '' })
  t.deepEqual([status?.status, leases?.status], [404, 404])
  t.is(valueOf(readExposition(scraped?.text ?? ''), 'heddle_ready'), 1)

  const shown = await ctl(first, 'status')
  t.is(shown.code, 0)
  for (const host of [second, late]) t.true(shown.stdout.includes(host.publicIP), shown.stdout)
})

test('heddled counts what it put back after others, and nothing else', async (t) => {
  const hosts = await hostsFor(t, { name: 'repairs', count: 2 })
  const [host, peer] = [nth(hosts, 0), nth(hosts, 1)]
  await startCluster(t, hosts, { store: 'sqlite', config: networkConfig({ Type: 'vxlan' }) })
  const kinds = ['device', 'address', 'neighbour', 'fdb', 'route', 'ruleset'] as const
  const repairs = async () => {
    const metrics = await metricsOf(host)
    return kinds.map((kind) => valueOf(metrics, 'heddle_repairs_total', { kind }) ?? -1)
  }
  t.deepEqual(await repairs(), [0, 0, 0, 0, 0, 0])
  const { subnet } = readLease(peer)
  const damage: Partial<Record<(typeof kinds)[number], string>> = {
    route: `ip route delete ${subnet}`,
    neighbour: 'ip neigh flush dev flannel.1 nud permanent',
    fdb: 'bridge fdb flush dev flannel.1',
    address: 'ip address flush dev flannel.1 scope global',
    ruleset: '/usr/sbin/nft delete table inet heddle-net-default',
    device: 'ip link delete flannel.1',
  }
  for (const [kind, command] of Object.entries(damage)) {
    const counted = async () =>
      valueOf(await metricsOf(host), 'heddle_repairs_total', { kind }) ?? 0
    const before = await counted()
    await runAt(host, ['sh', '-c', command])
    await until(`${kind} to be counted`, async () => (await counted()) > before, {
      timeoutMs: 5_000,
    })
  }
  const shown = (await ctl(host, 'status')).stdout
  t.regex(shown, /^repairs +.*1 device/m)
  t.true((await daemonRoutes(host, '-4')).has(subnet))
})

test('heddled that cannot reach its store says so wherever it is asked', async (t) => {
  const [host] = await hostsFor(t, { name: 'status-away', count: 1 })
  if (!host) return t.fail()
  // Nobody listens there.
  const flags = ['--store', 'etcd', '--etcd-endpoints', 'http://10.100.0.254:9']
  const daemon = startAt(host, [join(dist, 'heddled'), ...flags, '--iface', 'eth0'], {
    logFile: `${host.lab.directory}/heddled.log`,
  })
  t.teardown(() => t.passed || t.log(daemon.log()))
  const waiting = async () => (await statusOf(host).catch(() => undefined))?.error !== undefined
  await until('the daemon to say what it waits for', waiting, { timeoutMs: 20_000 })
  t.is((await askAt(host, '/healthz')).status, 200)
  t.deepEqual(await askAt(host, '/readyz'), { status: 503, text: 'flanneld is not ready yet' })
  const metrics = await metricsOf(host)
  t.is(valueOf(metrics, 'heddle_ready'), 0)
  t.is(valueOf(metrics, 'heddle_store_reachable'), 0)
  t.is(valueOf(metrics, 'heddle_lease_held_seconds'), undefined)
  t.true((valueOf(metrics, 'heddle_store_errors_total', { reason: 'unavailable' }) ?? 0) > 0)
  const shown = await ctl(host, 'status')
  t.is(shown.code, 3)
  t.regex(shown.stdout, /^state +not ready\nproblem +.*10\.100\.0\.254:9/m)
  t.regex(shown.stdout, /^store .*NOT REACHABLE/m)
  for (const words of ['lease ls', 'config get', 'lease reserve 10.244.9.0/24']) {
    const refused = await ctl(host, words)
    t.is(refused.code, 1, words)
    t.regex(refused.stderr, /^heddlectl: .*10\.100\.0\.254:9/, words)
  }
  t.deepEqual(JSON.parse((await ctl(host, 'status --format json')).stdout).peers, [])
})

test('heddlectl sees and changes leases and the configuration of a live cluster', async (t) => {
  const all = await hostsFor(t, { name: 'ctl', count: 3 })
  const [host, peer, newcomer] = [nth(all, 0), nth(all, 1), nth(all, 2)]
  const hosts = [host, peer]
  const config = { ...networkConfig({ Type: 'vxlan', MTU: 1400 }), SubnetLen: 24 }
  const { daemons, store } = await startCluster(t, hosts, { store: 'etcd', config })
  const [own, other] = [readLease(host).subnet, readLease(peer).subnet]
  const done = async (words: string, input?: string) => {
    const { code, stdout, stderr } = await ctl(host, words, input)
    t.is(code, 0, `${words}: ${stderr}`)
    return stdout
  }
  const refused = async (words: string, message: RegExp, input?: string) => {
    const { code, stdout, stderr } = await ctl(host, words, input)
    t.is(code, 1, `${words}: ${stdout}`)
    t.regex(stderr, message, words)
  }
  const row = async (subnet: string) =>
    (await done('lease ls')).split('\n').find((line) => line.startsWith(subnet)) ?? ''

  t.regex(await row(own), /this host/)
  t.true((await row(other)).includes(peer.publicIP))

  // Reservations: for a host to come, of what a host has, and what is not to be had.
  const candidates = [201, 202, 203, 204].map((third) => `10.244.${third}.0/24`)
  const [free = '', spare = ''] = candidates.filter((one) => one !== own && one !== other)
  const { publicIP } = newcomer
  t.regex(await done(`lease reserve ${free} --public-ip ${publicIP}`), /reserved for 10\.100\.0\.3/)
  t.regex(await row(free), /10\.100\.0\.3 .*reserved/)
  await startDaemon(newcomer, store, ['--iface', 'eth0'])
  t.is(readLease(newcomer).subnet, free)
  t.regex(await row(free), /10\.100\.0\.3 .*vxlan +reserved/)
  await done(`lease reserve ${own}`)
  t.regex(await row(own), /this host, reserved/)
  await refused(`lease reserve ${other} --public-ip 10.100.0.77`, /is leased by 10\.100\.0\.2/)
  await refused(`lease reserve ${spare.replace('.0/24', '.128/25')}`, /is not a \/24 of 10\.244/)
  await refused('lease reserve 10.9.9.0/24', /is not a \/24 of 10\.244\.0\.0\/16/)
  await refused(`lease reserve ${spare.replace('.0/24', '.7/24')}`, /host bits set/)
  await refused('lease reserve rubbish', /"rubbish" is no subnet/)
  t.regex(await done(`lease reserve ${spare}`), /reserved for nobody/)
  t.regex(await row(spare), /reserved/)
  await done(`lease release ${spare}`)
  t.is(await row(spare), '')
  await refused(`lease release ${spare}`, /there is no lease/)

  // A living host takes its lease again.
  t.regex(await done(`lease release ${other}`), /10\.100\.0\.2.* had it/)
  await until('the peer to take its lease again', async () => (await row(other)) !== '', {
    timeoutMs: 10_000,
  })
  t.true((await daemonRoutes(host, '-4')).has(other))

  // The configuration: looked at, judged, written.
  t.deepEqual(JSON.parse(await done('config get')), config)
  const with1300 = JSON.stringify({ ...config, Backend: { Type: 'vxlan', MTU: 1300 } })
  const plan = await done('config set - --dry-run', with1300)
  t.regex(plan, /^~ Backend\.MTU: 1400 -> 1300\ndaemons take it without a restart/)
  t.deepEqual(JSON.parse(await done('config get')), config)
  await done('config set -', with1300)
  t.deepEqual(JSON.parse(await done('config get')), JSON.parse(with1300))
  await until(
    'both daemons to work by it',
    async () => {
      const told = await Promise.all(hosts.map(statusOf))
      return told.every((status) => status.config?.inForce === with1300)
    },
    { timeoutMs: 10_000 },
  )
  const otherVni = JSON.stringify({ ...config, Backend: { Type: 'vxlan', MTU: 1300, VNI: 7 } })
  await refused('config set -', /not written/, otherVni)
  t.deepEqual(JSON.parse(await done('config get')), JSON.parse(with1300))
  t.regex(await done('config set - --force', otherVni), /refuse it: .*written/s)
  await until(
    'it to be refused by both',
    async () => {
      const scraped = await Promise.all(hosts.map(metricsOf))
      return scraped.every((metrics) => valueOf(metrics, 'heddle_config_refused') === 1)
    },
    { timeoutMs: 10_000 },
  )
  const told = await done('status')
  t.regex(told, /^problem +the configuration in the store is not in force: .*vni/im)
  t.is((await askAt(host, '/readyz')).status, 200)
  await done('config set -', with1300)
  await until(
    'it to be mended',
    async () => valueOf(await metricsOf(host), 'heddle_config_refused') === 0,
    { timeoutMs: 10_000 },
  )
  const applied = valueOf(await metricsOf(host), 'heddle_config_changes_total', {
    outcome: 'applied',
  })
  t.true((applied ?? 0) >= 1, String(applied))
  await refused('config set -', /Network/, '{"Network":"10.244.0.0/33","Backend":{"Type":"vxlan"}}')
  await refused('config set -', /neither JSON nor YAML/, '{"Network":')

  // It gives its own back, and ends.
  t.regex(await done('lease release'), /released: heddled ends/)
  const [daemon] = daemons
  await until('its daemon to end', () => daemon?.running() === false, { timeoutMs: 10_000 })
  t.is(await daemon?.ended, 0)
  const { stdout } = await ctl(peer, 'lease ls')
  t.false(stdout.includes(host.publicIP) && !/reserved/.test(stdout), stdout)
})

test('heddlectl config validate asks no daemon', async (t) => {
  const [host] = await hostsFor(t, { name: 'validate', count: 1 })
  if (!host) return t.fail()
  const validate = (text: string) => ctl(host, 'config validate -', text)
  const yaml = await validate('Network: 10.5.0.0/16\nBackend:\n  Type: vxlan\n  Vni: 5\n')
  t.deepEqual([yaml.code, yaml.stdout], [0, 'it can be used'])
  const odd = await validate(
    '{"Network":"10.5.0.0/16","Netwrok":1,"Backend":{"Type":"host-gw","MTU":1}}',
  )
  t.is(odd.code, 0)
  t.regex(odd.stdout, /warning: unknown key "Netwrok".*\nwarning: unknown key "mtu"/)
  for (const [text, message] of [
    ['{"Network":"10.5.0.0/16"}', /standard input.*no Backend/],
    ['{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan","VNI":"x"}}', /Backend\.VNI/],
    ['{"Network":"10.5.0.0/16","Backend":{"Type":"gre"}}', /unknown backend type: gre/],
    ['{"Network":"10.5.0.0/30","Backend":{"Type":"vxlan"}}', /too small/],
    ['[', /neither JSON nor YAML/],
    ['', /Network|object/],
  ] as const) {
    const { code, stderr } = await validate(text)
    t.is(code, 1, text)
    t.regex(stderr, message, text)
  }
  t.is((await ctl(host, 'config validate /nowhere')).code, 1)
  const unasked = await ctl(host, 'status')
  t.is(unasked.code, 1)
  t.regex(unasked.stderr, /there is no such socket/)
})

test('heddled serves on, however badly its socket is treated', async (t) => {
  const hosts = await hostsFor(t, { name: 'status-abuse', count: 1 })
  const host = nth(hosts, 0)
  const config = networkConfig({ Type: 'vxlan' })
  const { daemons, store } = await startCluster(t, hosts, { store: 'sqlite', config })
  const daemon = nth(daemons, 0)
  // Others that say nothing, or half of it, and stay.
  const idle = Array.from({ length: 50 }, (_, i) => {
    const socket = connect(socketOf(host))
    socket.on('error', () => {})
    if (i % 2 === 0) socket.write('POST /config HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{')
    return socket
  })
  t.teardown(() => idle.forEach((socket) => socket.destroy()))
  const replies = await Promise.all(Array.from({ length: 100 }, () => askAt(host, '/metrics')))
  for (const { status, text } of replies) {
    t.is(status, 200)
    t.is(valueOf(readExposition(text), 'heddle_ready'), 1)
  }
  const huge = { method: 'PUT', body: `{"text":"${'x'.repeat(5_000_000)}"}` }
  const reply = await askAt(host, '/config', huge).catch(() => undefined)
  t.true(reply === undefined || reply.status === 413, String(reply?.status))
  for (const [path, method, body, status] of [
    ['/config', 'PUT', 'rubbish', 400],
    ['/config', 'PUT', '[]', 400],
    ['/config', 'PUT', '{"text":1}', 400],
    ['/config', 'PUT', '{"text":"{}"}', 422],
    ['/config', 'PUT', '{"text":"{}","force":true}', 400],
    ['/config', 'DELETE', '', 405],
    ['/leases/release', 'GET', '', 405],
    ['/leases/release', 'POST', '{"subnet":"../../config"}', 400],
    ['/leases/reserve', 'POST', '{"subnet":"10.244.3.0/24","nodeId":"a b"}', 400],
    ['/__proto__', 'GET', '', 404],
  ] as const) {
    const answer = await askAt(host, path, { method, body })
    t.is(answer.status, status, `${method} ${path} ${body}: ${answer.text}`)
    t.is(typeof JSON.parse(answer.text).error, 'string')
  }
  t.deepEqual(JSON.parse((await ctl(host, 'config get')).stdout), config)
  t.is((await askAt(host, '/readyz')).status, 200)
  // Killed, it leaves its socket; the next one starts all the same.
  await daemon.stop('SIGKILL')
  await startDaemon(host, store)
  const ready = async () => (await askAt(host, '/readyz').catch(() => undefined))?.status === 200
  await until('the next daemon to be ready', ready, { timeoutMs: 10_000 })
  t.pass()
})
