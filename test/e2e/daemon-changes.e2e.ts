import test from 'ava'
import { attach, readLease } from '../../scripts/lab/heddle.ts'
import type { Host } from '../../scripts/lab/lab.ts'
import { ping, startPinging } from '../../scripts/lab/ping.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'
import { networkConfig } from '../../scripts/lab/store.ts'
import { configWriter } from './config-writer.ts'
import { attachAll, hostsFor, nth, startCluster } from './support.ts'

const soon = { timeoutMs: 10_000 }

/** What `ip` says, as lines. */
async function ip(host: Host, ...words: string[]): Promise<string> {
  return runAt(host, ['ip', ...words])
}

async function mtuOf(host: Host, device: string): Promise<number> {
  return Number(/ mtu (\d+) /.exec(await ip(host, 'link', 'show', device))?.[1])
}

/** The routes to the other hosts, by where they lead. */
async function routes(host: Host): Promise<string> {
  return ip(host, '-4', 'route', 'show', 'proto', '104')
}

test('heddled follows the configuration under traffic: MTU, DirectRouting and a second family', async (t) => {
  const hosts = await hostsFor(t, { name: 'changes', count: 2 })
  const config = networkConfig({ Type: 'vxlan' })
  const cluster = await startCluster(t, hosts, { store: 'etcd', config })
  const [one, two] = [nth(hosts, 0), nth(hosts, 1)]
  const [daemon] = cluster.daemons
  const write = configWriter(t, cluster.lab, 'etcd')
  const put = (value: object): Promise<void> => write(JSON.stringify(value))
  const before = hosts.map(readLease)
  const [from, to] = await attachAll(hosts, 1)
  if (!from || !to || !daemon) throw new Error('no containers')
  const address = nth(to.addresses, 0)
  const logFile = `${cluster.lab.directory}/ping.log`
  const pinging = startPinging(from, address, { intervalMs: 10, logFile })
  const links = (): Promise<string[]> => Promise.all(hosts.map((h) => ip(h, '-o', 'link')))
  const [index] = await links()

  await put(networkConfig({ Type: 'vxlan', MTU: 1400 }))
  for (const host of hosts) {
    await until('the MTU', async () => (await mtuOf(host, 'flannel.1')) === 1350, soon)
    await until('the subnet file', () => readLease(host).mtu === 1350, soon)
  }

  await put(networkConfig({ Type: 'vxlan', MTU: 1400, DirectRouting: true }))
  for (const host of hosts) {
    await until('a plain route', async () => /dev eth0/.test(await routes(host)), soon)
  }
  await put(networkConfig({ Type: 'vxlan' }))
  for (const host of hosts) {
    await until('the tunnel', async () => /dev flannel\.1/.test(await routes(host)), soon)
    await until('the MTU', async () => (await mtuOf(host, 'flannel.1')) === 1450, soon)
  }

  const dual = networkConfig({ Type: 'vxlan' }, { ipv6: true })
  await put(dual)
  for (const host of hosts) {
    await until('a second subnet', () => readLease(host).ipv6Subnet !== undefined, soon)
    const has = async (): Promise<boolean> =>
      (await ip(host, '-6', 'route', 'show', 'proto', '104')) !== ''
    await until('the other host in IPv6', has, soon)
  }
  t.deepEqual(
    hosts.map(readLease).map(({ subnet }) => subnet),
    before.map(({ subnet }) => subnet),
  )
  const [a, b] = [await attach(one, 'dual'), await attach(two, 'dual')]
  for (const target of b.addresses) {
    t.is((await ping(a, target, { count: 3, intervalMs: 100 })).received, 3, target)
  }
  // The same devices all along.
  const device = (text = ''): string | undefined => /^(\d+): flannel\.1:/m.exec(text)?.[1]
  t.is(device((await links())[0]), device(index))

  const { sent, lost } = await pinging.stop()
  t.true(sent > 200, `sent ${sent}`)
  t.is(lost, 0, `of ${sent}`)
  for (const one of cluster.daemons) t.true(one.running())
})
