import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { readLease, startDaemon } from '../../scripts/lab/heddle.ts'
import { startPinging } from '../../scripts/lab/ping.ts'
import { until } from '../../scripts/lab/run.ts'
import { networkConfig } from '../../scripts/lab/store.ts'
import { configWriter } from './config-writer.ts'
import { statusOf } from './daemon-support.ts'
import { openLeases } from './lease-writer.ts'
import { attachAll, hostsFor, nth, startCluster } from './support.ts'

const kills = process.env['HEDDLE_LONG_TESTS'] ? 16 : 4
const soon = { timeoutMs: 20_000 }

test('heddled that is killed while its network changes keeps the subnet and loses no packet', async (t) => {
  const hosts = await hostsFor(t, { name: 'killed', count: 2 })
  const config = networkConfig({ Type: 'vxlan' })
  const configs = [networkConfig({ Type: 'vxlan', MTU: 1400 }, { ipv6: true }), config]
  const cluster = await startCluster(t, hosts, { store: 'etcd', config })
  const host = nth(hosts, 0)
  const write = configWriter(t, cluster.lab, 'etcd')
  const leases = openLeases(t, cluster.lab, 'etcd')
  const [from, to] = await attachAll(hosts, 1)
  if (!from || !to) throw new Error('no containers')
  const before = readLease(host).subnet
  const logFile = `${cluster.lab.directory}/ping.log`
  const pinging = startPinging(from, nth(to.addresses, 0), { intervalMs: 10, logFile })
  let daemon = nth(cluster.daemons, 0)
  t.teardown(() => {
    if (!t.passed) t.log(daemon.log())
  })
  for (let kill = 0; kill < kills; kill++) {
    await write(JSON.stringify(nth(configs, kill % 2)))
    // Not a wait for anything: the moment is to be another one each time.
    await sleep(Math.random() * 700)
    await daemon.stop('SIGKILL')
    daemon = await startDaemon(host, cluster.store, ['--iface', 'eth0'])
    const isReady = async (): Promise<boolean> => {
      const { ready, pid, lease } = await statusOf(host)
      return ready && pid === daemon.pid && lease?.subnets.length === (kill % 2 === 0 ? 2 : 1)
    }
    await until('it to be ready', () => isReady().catch(() => false), soon)
    t.is(readLease(host).subnet, before)
    const mine = (await leases.list()).filter(({ value }) => value.PublicIP === host.publicIP)
    t.is(mine.length, 1, mine.map(({ key }) => key).join(' '))
  }
  const { sent, lost } = await pinging.stop()
  t.true(sent > 100, `sent ${sent}`)
  t.is(lost, 0, `of ${sent}`)
})
