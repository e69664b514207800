import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { silent } from '../../log/logger.ts'
import { addresses } from '../../scripts/lab/etcd-members.ts'
import { dist, readLease } from '../../scripts/lab/heddle.ts'
import { addHost, type Host, hostFile } from '../../scripts/lab/lab.ts'
import { attemptAt, type Background, runAt, startAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'
import { networkConfig } from '../../scripts/lab/store.ts'
import { openSqliteStore } from '../../store/sqlite/sqlite.ts'
import { leaseKey, leaseValue, networkConfigText } from '../fuzz/lease-values.ts'
import { seed } from '../fuzz/seed.ts'
import { changes } from './cni-support.ts'
import {
  assertNothingLost,
  etcdClusterFor,
  phantom,
  pingEveryPair,
  startShown,
  statusOf,
  wrongOn,
} from './faults-support.ts'
import { leasesIn, openLeases, untilNoneWrong } from './lease-writer.ts'
import { attachAll, hostsFor, nth, startCluster } from './support.ts'

const folder = '/coreos.com/network'

/** All that packets between hosts depend on. */
async function pathsOf(host: Host): Promise<string[]> {
  const texts = await Promise.all([
    runAt(host, ['ip', '-d', '-o', 'link', 'show', 'type', 'vxlan']),
    runAt(host, ['ip', '-o', 'address', 'show', 'dev', 'flannel.1']),
    runAt(host, ['ip', '-d', '-4', 'route', 'show', 'table', 'all']),
    runAt(host, ['ip', 'neigh', 'show', 'nud', 'permanent']),
    runAt(host, ['bridge', 'fdb', 'show', 'dev', 'flannel.1']),
    runAt(host, ['/usr/sbin/nft', 'list', 'table', 'inet', 'heddle-net-default']),
  ])
  // A device's own IPv6 address is tentative at first.
  return texts.join('\n').replaceAll(' tentative', '').split('\n').toSorted()
}

/** Nobody ended, nothing in the kernel is other than `before`. */
async function assertUnmoved(
  t: ExecutionContext,
  hosts: readonly Host[],
  daemons: readonly Background[],
  before: readonly (readonly string[])[],
): Promise<void> {
  for (const [i, host] of hosts.entries()) {
    const look = async () => changes(before[i] ?? [], await pathsOf(host))
    t.deepEqual(await untilNoneWrong(look, 20_000), [], host.name)
  }
  for (const daemon of daemons) t.true(daemon.running())
}

function isReady(host: Host): boolean {
  return statusOf(host).ready
}

/** Whether the plugin would give addresses there: the lease has not run out by what the file says. */
function holdsOn(host: Host): boolean {
  const { expires = 0 } = statusOf(host)
  const boot = Number.parseFloat(readFileSync('/proc/uptime', 'utf8')) * 1000
  return isReady(host) && expires > boot
}

/** Lines of a log that tell of a mistake of ours: the stack of an error nobody expected. */
function stacksIn(daemon: Background): string[] {
  return daemon
    .log()
    .split('\n')
    .filter((line) => /^\s+at |(?:Type|Range|Reference)Error/.test(line))
}

test('heddled takes no harm from what a hostile writer puts into the store', async (t) => {
  t.log(`HEDDLE_FUZZ_SEED=${seed}`)
  const hosts = await hostsFor(t, { name: 'hostile', count: 2 })
  const config = { ...networkConfig({ Type: 'vxlan' }), SubnetMin: '10.244.100.0' }
  const cluster = await startCluster(t, hosts, { store: 'sqlite', config })
  const { lab, daemons } = cluster
  const store = openSqliteStore(`${lab.directory}/store.db`, silent)
  t.teardown(() => store[Symbol.asyncDispose]())
  const pings = pingEveryPair(lab, await attachAll(hosts, 1))
  const [one, two] = [nth(hosts, 0), nth(hosts, 1)]
  const before = await Promise.all(hosts.map(pathsOf))
  const write = async (key: string, value: string): Promise<void> => {
    const now = await store.get(key)
    if (now) await store.put(key, value, now.revision)
    else await store.create(key, value)
  }

  const drop = async (key: string): Promise<void> => {
    const now = await store.get(`${folder}/subnets/${key}`)
    if (now) await store.delete(now.key, now.revision)
  }

  // Half of the second host's subnet, for the hostile writer's own.
  const half = readLease(two).subnet.replace('/24', '-25')
  const data = { VNI: 1, VtepMAC: '0e:00:00:00:99:99' }
  const hostile = (more: object) =>
    JSON.stringify({ PublicIP: '10.100.0.77', BackendType: 'vxlan', BackendData: data, ...more })
  const named: [key: string, value: string][] = [
    [half, hostile({})],
    ['10.244.9.0-24', hostile({ PublicIP: one.publicIP })],
    ['10.244.10.0-24', hostile({ PublicIP: '255.255.255.255' })],
    ['10.244.11.0-24', hostile({ PublicIP: '127.0.0.1' })],
    ['10.244.12.0-24', hostile({ PublicIP: '10.244.12.1' })],
    ['10.244.13.0-24', hostile({ BackendData: { VNI: 1, VtepMAC: 'ff:ff:ff:ff:ff:ff' } })],
    ['10.0.0.0-8', hostile({})],
    ['0.0.0.0-0', hostile({})],
    ['192.168.0.0-24', hostile({})],
    ['10.244.14.0-24', '\u001b[2J\u0007 not a lease'],
    [`10.244.15.0-24${'x'.repeat(100_000)}`, hostile({})],
  ]
  for (const [key, value] of named) await write(`${folder}/subnets/${key}`, value)
  const tells = (host: Host) => async () => {
    const status = await runAt(host, [join(dist, 'heddlectl'), 'status', '--format', 'json'])
    return status.includes('255.255.255.255 cannot be a host') && status.includes('10.244.12.1')
  }
  await until('the status to name them', tells(one), { timeoutMs: 20_000 })
  await assertUnmoved(t, [one], daemons, before)
  // To the second host that is a peer like any other.
  await drop('10.244.9.0-24')

  const keys = fc.sample(leaseKey, { numRuns: 200, seed })
  const values = fc.sample(leaseValue, { numRuns: 200, seed })
  for (const [i, key] of keys.entries()) {
    // A subnet of the network that nobody has is a peer's, whoever wrote it: none of those.
    if (key.startsWith('10.244.')) continue
    await write(`${folder}/subnets/${key}`, nth(values, i))
  }
  for (const text of fc.sample(networkConfigText, { numRuns: 20, seed })) {
    // A network that all of this one is inside of would be taken.
    if (/"Network":"[^"]*\/[0-8]"/.test(text)) continue
    await write(`${folder}/config`, text)
    await sleep(20)
  }
  await write(`${folder}/config`, '{"Network":')
  await assertUnmoved(t, hosts, daemons, before)
  // Nor does it when it starts with all that.
  await nth(daemons, 0).stop('SIGKILL')
  const again = await startShown(t, one, cluster.store)
  const hasStarted = () => again.log().split('ready subnet=').length === 3
  await until('heddled to be ready again', hasStarted, { timeoutMs: 20_000 })
  const running = [again, nth(daemons, 1)]
  await assertUnmoved(t, hosts, running, before)
  await write(`${folder}/config`, JSON.stringify(config))
  for (const { key, revision } of (await store.list(`${folder}/subnets/`)).entries) {
    const isReal = hosts.some((host) => key.endsWith(readLease(host).subnet.replace('/', '-')))
    if (!isReal) await store.delete(key, revision)
  }
  // Longer than a path stays whose lease has gone.
  await sleep(6_000)
  await assertUnmoved(t, hosts, running, before)
  await assertNothingLost(t, pings)
  for (const daemon of running) {
    t.deepEqual(stacksIn(daemon), [])
    t.true(daemon.log().length < 100_000, `${daemon.log().length} characters logged`)
    t.notRegex(daemon.log(), /\p{Cc}(?<!\n)/u)
  }
})

test('heddled goes on when what listens where the store was answers rubbish, and starts with it', async (t) => {
  t.log(`HEDDLE_FUZZ_SEED=${seed}`)
  const config = { ...networkConfig({ Type: 'vxlan' }), SubnetMin: '10.244.100.0' }
  const flags = ['--subnet-lease-ttl', '70', '--subnet-lease-renew-margin', '1']
  const options = { name: 'rubbish', count: 2, config, flags }
  const { lab, etcd, hosts, daemons } = await etcdClusterFor(t, options)
  const one = nth(hosts, 0)
  const pings = pingEveryPair(lab, await attachAll(hosts, 1))
  const before = await Promise.all(hosts.map(pathsOf))

  await Promise.all([0, 1, 2].map((member) => etcd.kill(member)))
  const file = join(import.meta.dirname, 'rubbish-server.ts')
  const rubbish = startAt(
    lab.switch,
    [process.execPath, file, String(seed), '2379', ...addresses],
    {
      logFile: `${lab.directory}/rubbish.log`,
    },
  )
  const isListening = () => rubbish.log().includes('ready')
  await until('the rubbish to be served', isListening, { timeoutMs: 20_000 })
  await nth(daemons, 0).stop('SIGKILL')
  const again = await startShown(t, one, etcd, flags)
  // A host that has never been in the cluster cannot start; it waits and says why.
  const stranger = await addHost(lab, 3)
  const logFile = `${lab.directory}/host3/heddled.log`
  const third = startAt(stranger, [join(dist, 'heddled'), ...etcd.flags, '--iface', 'eth0'], {
    logFile,
  })
  t.teardown(() => t.passed || t.log(third.log()))
  const waits = () => third.log().includes('waiting for=')
  await until('the new host to say what it waits for', waits, { timeoutMs: 30_000 })
  await sleep(5_000)
  await assertUnmoved(t, hosts, [again, nth(daemons, 1), third], before)

  await rubbish.stop('SIGKILL')
  await Promise.all([0, 1, 2].map((member) => etcd.start(member)))
  const all = [...hosts, stranger]
  await until('the new host to be ready', () => isReady(stranger), { timeoutMs: 40_000 })
  await attachAll([stranger], 1)
  const look = async () => {
    const leases = await leasesIn((...args) => etcd.etcdctl(...args)).list()
    if (leases.length < 3) return [`${leases.length} leases`]
    return (await Promise.all(all.map((host) => wrongOn(host, leases)))).flat()
  }
  t.deepEqual(await untilNoneWrong(look, 40_000), [])
  t.true(all.every(isReady))
  await assertNothingLost(t, pings)
  for (const daemon of [again, nth(daemons, 1), third]) t.deepEqual(stacksIn(daemon), [])
})

test('heddled goes on with a full disk, starts with one, and writes its files when there is room', async (t) => {
  const hosts = await hostsFor(t, { name: 'full', count: 2 })
  const host = nth(hosts, 0)
  const small = ['/run/flannel', '/var/lib/heddle']
  for (const path of small) {
    await runAt(host, ['sh', '-c', `mkdir -p ${path} && mount -t tmpfs -o size=64k tmpfs ${path}`])
  }
  const config = { ...networkConfig({ Type: 'vxlan' }), SubnetMin: '10.244.100.0' }
  const flags = ['--subnet-lease-ttl', '20']
  const { lab, daemons, store } = await startCluster(t, hosts, { store: 'sqlite', config, flags })
  const leases = openLeases(t, lab, 'sqlite')
  const pings = pingEveryPair(lab, await attachAll(hosts, 1))
  const look = async () => wrongOn(host, await leases.list())
  const lease = readLease(host)

  const fill = (path: string, file: string, ...more: string[]) =>
    attemptAt(host, ['dd', 'if=/dev/zero', `of=${path}/${file}`, 'bs=1k', ...more])
  for (const path of small) {
    await fill(path, 'spare', 'count=4')
    await fill(path, 'full')
    // One page is left: what is longer is cut short, and no error says so.
    await runAt(host, ['rm', `${path}/spare`])
  }
  const phantoms = Array.from({ length: 30 }, (_, n) => phantom(n + 1))
  for (const one of phantoms) await leases.put(one)
  t.deepEqual(await untilNoneWrong(look, 10_000), [])
  const cannotWrite = () => nth(daemons, 0).log().includes('ENOSPC')
  await until('the log to say that the disk is full', cannotWrite, { timeoutMs: 20_000 })
  const memory = hostFile(host, '/var/lib/heddle/default/leases.json')
  t.notThrows(() => JSON.parse(readFileSync(memory, 'utf8')), 'no file is half written')
  const before = await pathsOf(host)
  await nth(daemons, 0).stop('SIGKILL')
  // Not even for the names of those who hold the locks is there room.
  const locks = ['/run/flannel/subnet.env.lock', '/var/lib/heddle/default/lock']
  await runAt(host, ['rm', ...locks])
  for (const path of small) await fill(path, 'rest')
  const logFile = `${lab.directory}/full.log`
  const words = [join(dist, 'heddled'), ...store.flags, '--iface', 'eth0', ...flags] as const
  const again = startAt(host, words, { logFile })
  t.teardown(() => t.passed || t.log(again.log()))
  const saysReady = () => again.log().includes('ready subnet=')
  await until('heddled to be ready', saysReady, { timeoutMs: 20_000 })
  t.deepEqual(changes(before, await pathsOf(host)), [])
  for (const { key } of phantoms) await leases.delete(key)
  t.deepEqual(await untilNoneWrong(look, 20_000), [])

  for (const path of small) await runAt(host, ['rm', `${path}/full`, `${path}/rest`])
  await until('the status file to be true again', () => holdsOn(host), { timeoutMs: 40_000 })
  t.deepEqual(readLease(host), lease)
  t.true(again.running())
  await assertNothingLost(t, pings)
  t.deepEqual(stacksIn(again), [])
  t.true(again.log().length < 20_000, `${again.log().length} characters logged`)
})
