import test from 'ava'
import { detach, readLease } from '../../scripts/lab/heddle.ts'
import { losses, pingAll } from '../../scripts/lab/mesh.ts'
import { ping } from '../../scripts/lab/ping.ts'
import { networkConfig, storeKinds } from '../../scripts/lab/store.ts'
import { attachAll, hostsFor, nth, startCluster } from './support.ts'

const quick = { count: 2, intervalMs: 200 }

for (const store of storeKinds) {
  for (const backend of ['vxlan', 'host-gw']) {
    for (const ipv6 of [false, true]) {
      const families = ipv6 ? 'IPv4 and IPv6' : 'IPv4'
      test(`heddled on ${store} with ${backend}: all containers of three hosts reach each other over ${families}`, async (t) => {
        const name = `${store}-${backend}-${ipv6 ? 'dual' : 'v4'}`
        const hosts = await hostsFor(t, { name, count: 3 })
        const config = networkConfig({ Type: backend }, { ipv6 })
        await startCluster(t, hosts, { store, config, flags: ['--ip-masq'] })

        const leases = hosts.map((host) => readLease(host))
        t.is(
          new Set(leases.map(({ subnet }) => subnet)).size,
          3,
          'each host has a subnet of its own',
        )
        t.true(leases.every(({ ipv6Subnet }) => (ipv6Subnet !== undefined) === ipv6))

        const containers = await attachAll(hosts, 2)
        const results = await pingAll(containers)
        t.is(results.length, 30 * (ipv6 ? 2 : 1))
        t.deepEqual(losses(results), [])

        // The world outside knows no container: answers come back only to a masqueraded request.
        const outside = ipv6 ? ['10.100.0.254', 'fd00:100::fe'] : ['10.100.0.254']
        for (const address of outside) {
          t.like(await ping(nth(containers, 0), address, quick), { received: 2 }, address)
        }

        const [first, second] = [nth(containers, 0), nth(containers, 5)]
        await detach(second)
        for (const address of second.addresses) {
          t.like(
            await ping(first, address, { count: 1, intervalMs: 200 }),
            { received: 0 },
            address,
          )
        }
      })
    }
  }
}
