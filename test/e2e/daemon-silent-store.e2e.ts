import test from 'ava'
import { readLease, startDaemon } from '../../scripts/lab/heddle.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'
import { networkConfig } from '../../scripts/lab/store.ts'
import { statusOf } from './daemon-support.ts'
import { hostsFor, nth, startCluster } from './support.ts'

const soon = { timeoutMs: 10_000 }

/** Lets nothing through to etcd and answers nothing, as a broken switch does. */
const cut = [
  'nft add table ip cut',
  'nft add chain ip cut out "{ type filter hook output priority 0; }"',
  'nft add rule ip cut out ip daddr 10.100.0.254 tcp dport 2379 drop',
].join(' && ')

test('a store that does not answer holds up no change, no repair and no end', async (t) => {
  const hosts = await hostsFor(t, { name: 'silent', count: 2 })
  const config = networkConfig({ Type: 'vxlan' })
  const cluster = await startCluster(t, hosts, { store: 'etcd', config })
  const [host, peer] = [nth(hosts, 0), nth(hosts, 1)]
  const sh = (command: string): Promise<string> => runAt(host, ['sh', '-c', command])
  const { subnet } = readLease(peer)
  await sh(`PATH=/usr/sbin:$PATH; ${cut}`)
  let daemon = nth(cluster.daemons, 0)
  // Started again it works from what it remembers, with the question for its lease on the way.
  for (const isRemembered of [false, true]) {
    for (const mtu of [1400, 1410]) {
      await sh(`ip link set eth0 mtu ${mtu}; ip route delete ${subnet}`)
      await until('the MTU', () => readLease(host).mtu === mtu - 50, soon)
      await until('the route', async () => (await sh('ip route')).includes(subnet), soon)
    }
    t.true((await statusOf(host)).ready)
    const before = Date.now()
    t.is(await daemon.stop(), 0)
    const took = Date.now() - before
    t.true(took < 3_000, `it took ${took} ms to end`)
    if (isRemembered) continue
    daemon = await startDaemon(host, cluster.store, ['--iface', 'eth0'])
    const isBack = async (): Promise<boolean> => {
      const { ready, pid } = await statusOf(host)
      return ready && pid === daemon.pid
    }
    await until('it to be back', () => isBack().catch(() => false), { timeoutMs: 20_000 })
  }
})
