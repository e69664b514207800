import { readFileSync } from 'node:fs'
import test from 'ava'
import { readLease, startDaemon } from '../../scripts/lab/heddle.ts'
import { hostFile } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'
import { networkConfig } from '../../scripts/lab/store.ts'
import { configWriter } from './config-writer.ts'
import { hostsFor, nth, startCluster } from './support.ts'

/** For some seconds after a start a lease may still turn up that explains what nobody wants. */
const pruned = { timeoutMs: 30_000 }

test('heddled removes the device of its earlier run once, and what others have in its former network stays', async (t) => {
  const hosts = await hostsFor(t, { name: 'former', count: 1 })
  const host = nth(hosts, 0)
  const config = networkConfig({ Type: 'vxlan' })
  const cluster = await startCluster(t, hosts, { store: 'sqlite', config })
  const sh = (command: string): Promise<string> => runAt(host, ['sh', '-c', command])
  const macs = (): string =>
    readFileSync(hostFile(host, '/var/lib/heddle/default/macs.json'), 'utf8')
  t.regex(macs(), /flannel\.1"/)
  await nth(cluster.daemons, 0).stop()

  // Another daemon of this host has a part of that network now, over a device of its own.
  const theirs = '10.244.200.0/24 via 10.244.200.0 dev other onlink proto 104'
  await sh('ip link add other up type vxlan id 77 dev eth0 dstport 4790')
  await sh(`ip route add ${theirs}`)
  const write = configWriter(t, cluster.lab, 'sqlite')
  await write(
    JSON.stringify({ ...networkConfig({ Type: 'vxlan', VNI: 2 }), Network: '10.64.0.0/16' }),
  )
  await startDaemon(host, cluster.store, ['--iface', 'eth0'])
  const links = (): Promise<string> => sh('ip -o link show type vxlan')
  await until(
    'the former device to go',
    async () => !(await links()).includes(' flannel.1:'),
    pruned,
  )
  await until('it to be forgotten', () => !macs().includes('flannel.1"'), pruned)
  t.regex(await links(), / flannel\.2:/)
  t.regex(await links(), / other:/)
  t.regex(await sh('ip route show 10.244.200.0/24'), /dev other/)
  t.regex(readLease(host).subnet, /^10\.64\./)
})
