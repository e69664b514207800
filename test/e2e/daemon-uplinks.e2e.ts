import test from 'ava'
import { readLease } from '../../scripts/lab/heddle.ts'
import type { Host } from '../../scripts/lab/lab.ts'
import { ping, startPinging } from '../../scripts/lab/ping.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'
import { networkConfig } from '../../scripts/lab/store.ts'
import { statusOf } from './daemon-support.ts'
import { openLeases } from './lease-writer.ts'
import { attachAll, hostsFor, nth, startCluster } from './support.ts'

const soon = { timeoutMs: 15_000 }

function sh(host: Host, command: string): Promise<string> {
  return runAt(host, ['sh', '-c', command])
}

for (const [kind, type] of [
  ['etcd', 'vxlan'],
  ['sqlite', 'host-gw'],
] as const) {
  test(`heddled with ${type} follows its host to another address, MTU and a new interface, and keeps the subnet`, async (t) => {
    const hosts = await hostsFor(t, { name: `uplinks-${type}`, count: 2 })
    const config = networkConfig({ Type: type }, { ipv6: type === 'vxlan' })
    const cluster = await startCluster(t, hosts, { store: kind, config })
    const [host, peer] = [nth(hosts, 0), nth(hosts, 1)]
    const leases = openLeases(t, cluster.lab, kind)
    const [from, to] = await attachAll(hosts, 1)
    if (!from || !to) throw new Error('no containers')
    const before = readLease(host)
    const key = before.subnet.replace('/', '-')
    const publicIP = async (): Promise<unknown> =>
      (await leases.list()).find((lease) => lease.key.startsWith(key))?.value.PublicIP
    const reached = async (): Promise<boolean> => {
      const one = { count: 1, intervalMs: 0 }
      for (const address of to.addresses) {
        if ((await ping(from, address, one)).received !== 1) return false
      }
      return true
    }

    await until('the other host', reached, soon)
    const logFile = `${cluster.lab.directory}/mtu.log`
    const pinging = startPinging(from, nth(to.addresses, 0), { intervalMs: 20, logFile })
    await sh(host, 'ip link set eth0 mtu 1400')
    const mtu = type === 'vxlan' ? 1330 : 1400
    await until('the MTU', () => readLease(host).mtu === mtu, soon)
    if (type === 'vxlan') {
      const links = await sh(host, 'ip link')
      t.regex(links, /flannel\.1: .* mtu 1350 /)
      t.regex(links, /flannel-v6\.1: .* mtu 1330 /)
    }
    // Another address beside the one in use changes nothing.
    await sh(host, 'ip address add 10.100.0.201/24 dev eth0')
    const { sent, lost } = await pinging.stop()
    t.true(sent > 10, `sent ${sent}`)
    t.is(lost, 0, `of ${sent}`)
    t.is(await publicIP(), '10.100.0.1')

    const moves = [
      'echo 1 >/proc/sys/net/ipv4/conf/eth0/promote_secondaries',
      'ip address delete 10.100.0.1/24 dev eth0',
      'ip route replace default via 10.100.0.254',
    ]
    await sh(host, moves.join(' && '))
    await until('the lease to say so', async () => (await publicIP()) === '10.100.0.201', soon)
    await until('the other host', reached, soon)
    t.deepEqual((await statusOf(host)).lease?.publicIPs[0], '10.100.0.201')

    // The interface goes, as when a driver is loaded anew, and comes back under its name.
    await sh(host, 'ip link delete eth0')
    await until('it to be missed', async () => (await statusOf(host)).problems !== undefined, soon)
    t.is(readLease(host).subnet, before.subnet)
    const { lab, netns, port } = host
    const ip = (...words: string[]) => runAt(lab.switch, ['ip', ...words])
    await ip(
      'link',
      'add',
      port,
      'type',
      'veth',
      'peer',
      'name',
      'eth0',
      'netns',
      `/run/netns/${netns}`,
    )
    await ip('link', 'set', port, 'master', 'br0', 'up')
    const commands = [
      'ip link set eth0 addrgenmode none up',
      'ip address add fe80::1/64 dev eth0 nodad',
      'ip address add 10.100.0.1/24 dev eth0',
      'ip address add fd00:100::1/64 dev eth0 nodad',
      'ip route add default via 10.100.0.254',
      'ip route add ::/0 via fd00:100::fe',
    ]
    await sh(host, commands.join(' && '))
    await until('the other host', reached, soon)
    await until('the lease to say so', async () => (await publicIP()) === '10.100.0.1', soon)
    await until('all to be well', async () => (await statusOf(host)).problems === undefined, soon)
    const after = readLease(host)
    t.deepEqual([after.subnet, after.ipv6Subnet], [before.subnet, before.ipv6Subnet])
    t.is(after.mtu, type === 'vxlan' ? 1430 : 1500)
    for (const daemon of cluster.daemons) t.true(daemon.running())
    t.true((await statusOf(peer)).ready)
  })
}
