import test from 'ava'
import { losses, pingAll } from '../../scripts/lab/mesh.ts'
import { networkConfig } from '../../scripts/lab/store.ts'
import { attachAll, hostsFor, startCluster } from './support.ts'

test('heddled on etcd with vxlan: all containers of twenty hosts reach each other in both families', async (t) => {
  const hosts = await hostsFor(t, { name: 'twenty', count: 20 })
  const config = networkConfig({ Type: 'vxlan' }, { ipv6: true })
  await startCluster(t, hosts, { store: 'etcd', config })
  const containers = await attachAll(hosts, 2)
  const results = await pingAll(containers)
  t.is(results.length, 40 * 39 * 2)
  t.deepEqual(losses(results), [])
})
