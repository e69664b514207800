import { existsSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { cni, dist, pluginConf, readLease, subnetFile } from '../../scripts/lab/heddle.ts'
import { addPod, hostFile } from '../../scripts/lab/lab.ts'
import { startPinging } from '../../scripts/lab/ping.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'
import { networkConfig } from '../../scripts/lab/store.ts'
import { statusFile, statusOf } from './daemon-support.ts'
import { openLeases } from './lease-writer.ts'
import { attachAll, hostsFor, nth, startCluster } from './support.ts'

const soon = { timeoutMs: 10_000 }

test('a host whose lease another one has says so, gives no addresses, breaks nothing, and goes on when it may', async (t) => {
  const hosts = await hostsFor(t, { name: 'contest', count: 2 })
  const config = networkConfig({ Type: 'vxlan' })
  const cluster = await startCluster(t, hosts, { store: 'etcd', config })
  const [host, peer] = [nth(hosts, 0), nth(hosts, 1)]
  const leases = openLeases(t, cluster.lab, 'etcd')
  const [from, to] = await attachAll(hosts, 1)
  if (!from || !to) throw new Error('no containers')
  const key = readLease(host).subnet.replace('/', '-')
  const holder = async (): Promise<unknown> =>
    (await leases.list()).find((lease) => lease.key === key)?.value.PublicIP
  // Within one host the network does not depend on the store.
  const logFile = `${cluster.lab.directory}/ping.log`
  const gateway = readLease(host).subnet.replace('.0/24', '.1')
  const pinging = startPinging(from, gateway, { intervalMs: 10, logFile })

  const data = { VNI: 1, VtepMAC: '0e:00:00:00:00:99' }
  const theirs = { PublicIP: '10.100.0.99', PublicIPv6: null, BackendType: 'vxlan' }
  await leases.put({
    key,
    value: { ...theirs, BackendData: data },
  })
  const isLost = /the subnet \S+ of this host now belongs to 10\.100\.0\.99/
  await until('the loss to be told', () => isLost.test(statusFile(host).error ?? ''), soon)
  t.is(statusFile(host).ready, false)
  t.false((await statusOf(host)).ready)
  const refused = await t.throwsAsync(cni(await addPod(host, 'new'), 'ADD', pluginConf))
  t.regex(refused?.message ?? '', /"code": ?11/)
  t.regex(refused?.message ?? '', isLost)
  t.is(await holder(), '10.100.0.99', 'it is not fought over')
  t.is(readLease(host).subnet.replace('/', '-'), key)
  // Nobody is left without a say: the other hosts go where the store says.
  const fdb = async (): Promise<string> =>
    runAt(peer, ['bridge', 'fdb', 'show', 'dev', 'flannel.1'])
  await until('the other host to follow', async () => (await fdb()).includes('10.100.0.99'), soon)

  await leases.delete(key)
  await until('the lease to be back', async () => (await holder()) === host.publicIP, soon)
  await until('all to be well', () => statusFile(host).ready === true, soon)
  await cni(await addPod(host, 'newer'), 'ADD', pluginConf)
  const { sent, lost } = await pinging.stop()
  t.true(sent > 10, `sent ${sent}`)
  t.is(lost, 0, `of ${sent}`)
})

test('a lease that is given back ends the daemon, and the next host may have the subnet', async (t) => {
  const hosts = await hostsFor(t, { name: 'release', count: 2 })
  const config = { ...networkConfig({ Type: 'vxlan' }), Network: '10.244.0.0/22', SubnetLen: 24 }
  const pool = { SubnetMin: '10.244.1.0', SubnetMax: '10.244.2.0' }
  const cluster = await startCluster(t, hosts, { store: 'sqlite', config: { ...config, ...pool } })
  const [host, peer] = [nth(hosts, 0), nth(hosts, 1)]
  const { subnet } = readLease(host)
  await runAt(host, [join(dist, 'heddlectl'), 'lease', 'release'])
  const daemon = nth(cluster.daemons, 0)
  await until('the daemon to end', () => !daemon.running(), soon)
  t.is(await daemon.ended, 0)
  t.regex(statusFile(host).error ?? '', /was given back on request/)
  t.true(existsSync(hostFile(host, subnetFile)))
  const refused = await t.throwsAsync(cni(await addPod(host, 'new'), 'ADD', pluginConf))
  t.regex(refused?.message ?? '', /"code": ?11/)
  const routes = (): Promise<string> => runAt(peer, ['ip', 'route', 'show', 'proto', '104'])
  await until('the other host to forget it', async () => !(await routes()).includes(subnet), soon)
})
