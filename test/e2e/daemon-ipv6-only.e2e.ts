import { readFileSync } from 'node:fs'
import test from 'ava'
import { attach, startDaemon, subnetFile } from '../../scripts/lab/heddle.ts'
import { hostFile } from '../../scripts/lab/lab.ts'
import { ping } from '../../scripts/lab/ping.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'
import { openStore } from '../../scripts/lab/store.ts'
import { openLeases } from './lease-writer.ts'
import { hostsFor, nth } from './support.ts'

const config = {
  EnableIPv4: false,
  EnableIPv6: true,
  IPv6Network: 'fd00:10:244::/48',
}

for (const [kind, type] of [
  ['etcd', 'vxlan'],
  ['sqlite', 'host-gw'],
] as const) {
  test(`heddled with ${type} on ${kind} and IPv6 alone: containers reach each other, leases have no IPv4`, async (t) => {
    const hosts = await hostsFor(t, { name: `ipv6-${type}`, count: 2 })
    const { lab } = nth(hosts, 0)
    const store = await openStore(lab, kind, { ...config, Backend: { Type: type } })
    for (const host of hosts) {
      const daemon = await startDaemon(host, store, ['--iface', 'eth0', '--ip-masq'])
      t.teardown(() => {
        if (!t.passed) t.log(daemon.log())
      })
    }
    for (const host of hosts) {
      const routes = (): Promise<string> =>
        runAt(host, ['ip', '-6', 'route', 'show', 'proto', '104'])
      await until('the other host', async () => (await routes()) !== '', { timeoutMs: 10_000 })
      const text = readFileSync(hostFile(host, subnetFile), 'utf8')
      t.regex(
        text,
        /^FLANNEL_IPV6_NETWORK=fd00:10:244::\/48\nFLANNEL_IPV6_SUBNET=fd00:10:244:\S+::1\/64\n/,
      )
    }
    for (const { key, value } of await openLeases(t, lab, kind).list()) {
      t.regex(key, /^fd00:10:244:[\da-f]+::-64$/)
      t.is(value.PublicIP, '0.0.0.0')
    }
    const [a, b] = [await attach(nth(hosts, 0), 'a'), await attach(nth(hosts, 1), 'a')]
    const address = nth(b.addresses, 0)
    await until(
      'an answer',
      async () => (await ping(a, address, { count: 1, intervalMs: 0 })).received === 1,
      {
        timeoutMs: 10_000,
      },
    )
  })
}
