import { readFileSync } from 'node:fs'
import test from 'ava'
import { readLease, startDaemon, subnetFile } from '../../scripts/lab/heddle.ts'
import { type Host, hostFile } from '../../scripts/lab/lab.ts'
import { ping, startPinging } from '../../scripts/lab/ping.ts'
import { type Background, runAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'
import { networkConfig, openStore } from '../../scripts/lab/store.ts'
import { metricsOf, statusOf } from './daemon-support.ts'
import { openLeases } from './lease-writer.ts'
import { attachAll, hostsFor, nth, startCluster } from './support.ts'

const soon = { timeoutMs: 10_000 }

function sh(host: Host, command: string): Promise<string> {
  return runAt(host, ['sh', '-c', command])
}

/** How the daemon of a host says that it reaches its one peer. */
async function stateOn(host: Host): Promise<string | undefined> {
  return (await statusOf(host)).peers[0]?.state
}

/** The daemon’s routes, by the device that each leads over. */
async function ways(host: Host): Promise<string> {
  const routes = await sh(host, 'ip -4 route show proto 104; ip -6 route show proto 104')
  return routes
    .trim()
    .split('\n')
    .map((line) => / dev (\S+)/.exec(line)?.[1] ?? line)
    .join(' ')
}

async function dumps(host: Host): Promise<number> {
  const { samples = [] } = (await metricsOf(host)).get('heddle_netlink_dumps_total') ?? {}
  return samples.find(({ labels }) => labels['protocol'] === 'route')?.value ?? Number.NaN
}

/** Leads a host’s packets for its peer over the router, and back. */
const detour = {
  add: 'ip route add 10.100.0.2 via 10.100.0.254; ip -6 route add fd00:100::2 via fd00:100::fe',
  delete: 'ip route delete 10.100.0.2; ip -6 route delete fd00:100::2',
}

test('heddled with DirectRouting takes the tunnel while a router is in between, and loses nothing', async (t) => {
  const hosts = await hostsFor(t, { name: 'direct', count: 2 })
  const config = networkConfig({ Type: 'vxlan', DirectRouting: true }, { ipv6: true })
  const { lab } = await startCluster(t, hosts, { store: 'sqlite', config })
  const host = nth(hosts, 0)
  const [from, to] = await attachAll(hosts, 1)
  if (!from || !to) throw new Error('no containers')
  t.is(await ways(host), 'eth0 eth0')
  const logFile = `${lab.directory}/ping.log`
  const pinging = startPinging(from, nth(to.addresses, 0), { intervalMs: 20, logFile })
  // The compare after which entries that no lease explains may go is over.
  await sh(host, 'ip route add 10.244.250.0/24 via 10.100.0.2 proto 104')
  const isPruned = async () => !(await sh(host, 'ip route')).includes('10.244.250.0')
  await until('pruning', isPruned, { timeoutMs: 15_000 })
  await until('the pause after it', async () => (await stateOn(host)) === 'direct', soon)
  const before = await dumps(host)
  for (let turn = 0; turn < 3; turn++) {
    await sh(host, detour.add)
    const isTunnelled = async () => (await ways(host)) === 'flannel.1 flannel-v6.1'
    await until('the tunnel', isTunnelled, soon)
    t.is(await stateOn(host), 'tunnel')
    await sh(host, detour.delete)
    await until('the direct way', async () => (await ways(host)) === 'eth0 eth0', soon)
    t.is(await stateOn(host), 'direct')
  }
  t.is((await dumps(host)) - before, 0, 'no table is read for that')
  // By another table, and by a link that goes.
  await sh(
    host,
    'ip route add 10.100.0.2 via 10.100.0.254 table 9; ip rule add lookup 9 priority 9',
  )
  await until('the tunnel', async () => (await ways(host)) === 'flannel.1 eth0', soon)
  await sh(host, 'ip rule delete priority 9')
  await until('the direct way', async () => (await ways(host)) === 'eth0 eth0', soon)
  const { sent, lost } = await pinging.stop()
  t.true(sent > 20, `sent ${sent}`)
  t.is(lost, 0, `of ${sent}`)
  t.deepEqual(await sh(host, 'bridge fdb show dev flannel.1'), '')
})

test('heddled with host-gw says of a peer behind a router that it cannot be reached, as long as that is so', async (t) => {
  const hosts = await hostsFor(t, { name: 'router', count: 2 })
  const config = networkConfig({ Type: 'host-gw' }, { ipv6: true })
  await startCluster(t, hosts, { store: 'sqlite', config })
  const host = nth(hosts, 0)
  await sh(host, detour.add)
  await until('the peer to be skipped', async () => (await stateOn(host)) === 'skipped', soon)
  const { problem } = (await statusOf(host)).peers[0] ?? {}
  t.is(
    problem,
    '10.100.0.2 is behind a router: host-gw reaches only hosts on its own link; fd00:100::2 is behind a router: host-gw reaches only hosts on its own link',
  )
  t.is(await ways(host), '')
  await sh(host, detour.delete)
  await until('the peer', async () => (await ways(host)) === 'eth0 eth0', soon)
  t.is(await stateOn(host), 'direct')
})

test('heddled with extension has an operator’s commands see to the paths', async (t) => {
  const hosts = await hostsFor(t, { name: 'extension', count: 2 })
  const script = [
    'ip route replace $SUBNET via $PUBLIC_IP',
    'ip -6 route replace $IPV6SUBNET via $PUBLIC_IPV6',
    // The first time it fails.
    'test -e /run/tried || { touch /run/tried; exit 1; }',
    'echo "add $(cat)" >>/run/commands',
  ]
  const ownScript = `test ! -e ${subnetFile} && echo own $SUBNET $IPV6SUBNET >>/run/commands`
  const config = networkConfig(
    {
      Type: 'extension',
      PreStartupCommand: ['sh', '-c', 'echo key of $(hostname)'],
      PostStartupCommand: ['sh', '-c', ownScript],
      SubnetAddCommand: ['sh', '-c', script.join(' && ')],
      SubnetRemoveCommand: 'ip route delete $SUBNET via $PUBLIC_IP',
    },
    { ipv6: true },
  )
  const lab = nth(hosts, 0).lab
  const store = await openStore(lab, 'sqlite', config)
  const daemons: Background[] = []
  for (const host of hosts) daemons.push(await startDaemon(host, store, ['--iface', 'eth0']))
  t.teardown(() => {
    if (!t.passed) for (const daemon of daemons) t.log(daemon.log())
  })
  const [host, peer] = [nth(hosts, 0), nth(hosts, 1)]
  const commandsOn = (on: Host) =>
    readFileSync(hostFile(on, '/run/commands'), 'utf8').trim().split('\n')
  for (const [on, other] of [
    [host, peer],
    [peer, host],
  ] as const) {
    const isDone = () => commandsOn(on).length === 2
    await until(`${on.name}’s commands`, isDone, soon)
    const { subnet, ipv6Subnet } = readLease(on)
    t.deepEqual(commandsOn(on), [`own ${subnet} ${ipv6Subnet}`, `add key of ${other.name}`])
  }
  t.is(readLease(host).mtu, 1500)
  t.is(await stateOn(host), 'commands')
  const [from, to] = await attachAll(hosts, 1)
  if (!from || !to) throw new Error('no containers')
  for (const address of to.addresses) {
    t.is((await ping(from, address, { count: 2, intervalMs: 200 })).received, 2, address)
  }
  const { subnet } = readLease(peer)
  await nth(daemons, 1).stop()
  const leases = openLeases(t, lab, 'sqlite')
  const key = (await leases.list()).find((lease) =>
    lease.key.startsWith(subnet.replace('/', '-')),
  )?.key
  await leases.delete(key ?? '')
  const isGone = async () => !(await sh(host, 'ip route')).includes(subnet)
  await until('the removal', isGone, { timeoutMs: 15_000 })
  t.is((await statusOf(host)).problems, undefined)
})

test('heddled with alloc leases subnets and touches nothing else', async (t) => {
  const hosts = await hostsFor(t, { name: 'alloc', count: 2 })
  const lab = nth(hosts, 0).lab
  const store = await openStore(lab, 'sqlite', networkConfig({ Type: 'alloc' }))
  for (const host of hosts) await startDaemon(host, store, ['--iface', 'eth0'])
  const [host, peer] = [nth(hosts, 0), nth(hosts, 1)]
  await until('each other', async () => (await stateOn(host)) === 'none', soon)
  t.not(readLease(host).subnet, readLease(peer).subnet)
  t.regex(readFileSync(hostFile(host, subnetFile), 'utf8'), /^FLANNEL_MTU=1500$/m)
  t.is(await sh(host, 'ip route show proto 104; ip link show type vxlan'), '')
  for (const { value } of await openLeases(t, lab, 'sqlite').list()) {
    t.deepEqual(Object.keys(value), ['PublicIP', 'PublicIPv6', 'NodeID'])
  }
  t.is((await statusOf(host)).problems, undefined)
})
