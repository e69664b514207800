import { existsSync, readFileSync, rmSync } from 'node:fs'
import test, { type ExecutionContext } from 'ava'
import { readLease, startDaemon, subnetFile } from '../../scripts/lab/heddle.ts'
import { type Host, hostFile } from '../../scripts/lab/lab.ts'
import { startPinging } from '../../scripts/lab/ping.ts'
import { type Background, runAt } from '../../scripts/lab/place.ts'
import { type Command, until } from '../../scripts/lab/run.ts'
import { type LabStore, networkConfig, type StoreKind } from '../../scripts/lab/store.ts'
import { changes } from './cni-support.ts'
import { checkHostGw, checkVxlan, type StoredLease } from './kernel-check.ts'
import { kernelDump } from './kernel-dump.ts'
import { openLeases, untilNoneWrong } from './lease-writer.ts'
import { attachAll, hostsFor, nth, startCluster } from './support.ts'

type BackendType = 'vxlan' | 'host-gw'

/** Things of somebody else on a host, close to the daemon's own. */
const strangers: readonly Command[] = [
  ['ip', 'route', 'add', '10.244.250.0/24', 'via', '10.100.0.254', 'proto', 'static'],
  [
    'ip',
    'link',
    'add',
    'other',
    'up',
    'type',
    'vxlan',
    'id',
    '77',
    'dev',
    'eth0',
    'dstport',
    '4790',
  ],
  ['bridge', 'fdb', 'add', '0e:00:00:00:00:77', 'dev', 'other', 'dst', '10.100.0.99'],
  ['ip', 'neigh', 'add', '10.100.0.98', 'lladdr', '0e:00:00:00:00:98', 'dev', 'eth0'],
]

/** A lease of a host that is not there; its address is on the hosts’ own link. */
function phantom(n: number, type: BackendType): StoredLease {
  const data = { VNI: 1, VtepMAC: `0e:00:00:00:01:${n.toString(16).padStart(2, '0')}` }
  const value = {
    PublicIP: `10.100.0.${100 + n}`,
    PublicIPv6: null,
    BackendType: type,
    ...(type === 'vxlan' ? { BackendData: data } : {}),
  }
  return { key: `10.244.${n}.0-24`, value }
}

async function check(
  host: Host,
  leases: readonly StoredLease[],
  type: BackendType,
): Promise<string[]> {
  const { subnet } = readLease(host)
  const own = subnet.replace('/', '-')
  const peers = leases.filter(({ key }) => key !== own)
  const others = [
    `${subnet} dev cni0 proto kernel`,
    '10.244.250.0/24 via 10.100.0.254 dev eth0 proto static',
  ]
  const routes = await runAt(host, ['ip', '-4', '-j', 'route', 'show', 'table', 'main'])
  if (type === 'host-gw') return checkHostGw(peers, { routes }, others)
  const of = ['dev', 'flannel.1'] as const
  const show = ['ip', '-4', '-j', 'neigh', 'show', ...of, 'nud', 'permanent'] as const
  const neighbours = await runAt(host, show)
  const fdb = await runAt(host, ['bridge', '-j', 'fdb', 'show', ...of])
  return checkVxlan(peers, { routes, neighbours, fdb }, others)
}

/** What of a stranger's is as it was. */
async function strangersOn(host: Host): Promise<string[]> {
  const lines = await Promise.all([
    runAt(host, ['ip', 'route', 'show', '10.244.250.0/24']),
    runAt(host, ['bridge', 'fdb', 'show', 'dev', 'other']),
    runAt(host, ['ip', 'neigh', 'show', '10.100.0.98']),
  ])
  return lines.map((line) => line.trim())
}

/** Starts the daemon anew on a host that had one, and waits until it says it is ready. */
async function startAgain(
  t: ExecutionContext,
  host: Host,
  store: LabStore,
  flags: readonly string[],
): Promise<Background> {
  // The status file of the run before says ready.
  const statusFile = hostFile(host, `${subnetFile}.status.json`)
  rmSync(statusFile)
  const daemon = await startDaemon(host, store, flags)
  t.teardown(() => {
    if (!t.passed) t.log(daemon.log())
  })
  const isReady = () =>
    existsSync(statusFile) && readFileSync(statusFile, 'utf8').includes('"ready":true')
  await until('heddled to be ready', isReady, { timeoutMs: 20_000 })
  return daemon
}

for (const [kind, type] of [
  ['sqlite', 'vxlan'],
  ['etcd', 'vxlan'],
  ['sqlite', 'host-gw'],
] as const satisfies [StoreKind, BackendType][]) {
  test(`heddled on ${kind} with ${type}: killed and started again it leaves what the leases say, and loses no packet`, async (t) => {
    const hosts = await hostsFor(t, { name: `restart-${kind}-${type}`, count: 2 })
    // Link-local addresses are there at once, so that dumps can be compared.
    for (const host of hosts) {
      await runAt(host, ['sh', '-c', 'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad'])
    }
    const flags = ['--iface', 'eth0', '--ip-masq']
    const config = {
      ...networkConfig({ Type: type }),
      SubnetMin: '10.244.100.0',
      SubnetMax: '10.244.200.0',
    }
    const cluster = await startCluster(t, hosts, { store: kind, config, flags: ['--ip-masq'] })
    const [from, to] = [nth(hosts, 0), nth(hosts, 1)]
    const leases = openLeases(t, cluster.lab, kind)
    const containers = await attachAll([from, to], 1)
    for (const command of strangers) await runAt(from, command)
    const before = await strangersOn(from)
    const logFile = `${cluster.lab.directory}/ping.log`
    const [source, target] = [nth(containers, 0), nth(nth(containers, 1).addresses, 0)]
    const pinging = startPinging(source, target, { intervalMs: 20, logFile })

    const thirty = Array.from({ length: 30 }, (_, n) => phantom(n + 1, type))
    for (const lease of thirty) await leases.put(lease)
    const look = async () => check(from, await leases.list(), type)
    t.deepEqual(await untilNoneWrong(look, 10_000), [])
    t.is((await leases.list()).length, 32)

    await nth(cluster.daemons, 0).stop('SIGKILL')
    for (const { key } of thirty.filter((_, n) => n % 2 === 0)) await leases.delete(key)
    // One has moved, too.
    const moved = { ...phantom(40, type), key: nth(thirty, 1).key }
    await leases.put(moved)
    t.is((await look()).length > 0, true, 'nobody was there to follow')
    let daemon = await startAgain(t, from, cluster.store, flags)
    t.deepEqual(await untilNoneWrong(look, 20_000), [])
    t.is((await leases.list()).length, 17)
    t.deepEqual(await strangersOn(from), before)

    const settled = await kernelDump(from)
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      t.is(await daemon.stop(signal), signal === 'SIGTERM' ? 0 : 'SIGKILL')
      t.deepEqual(changes(settled, await kernelDump(from)), [], `after ${signal}`)
      daemon = await startAgain(t, from, cluster.store, flags)
      const again = await kernelDump(from)
      t.deepEqual(changes(settled, again), [], `started again after ${signal}`)
      t.deepEqual(again, settled, 'in the same order')
    }
    const { sent, lost } = await pinging.stop()
    t.true(sent > 200, `sent ${sent}`)
    t.is(lost, 0, `of ${sent}`)
    t.deepEqual(await look(), [])
  })
}
