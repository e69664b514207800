import test from 'ava'
import { readLease } from '../../scripts/lab/heddle.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { etcdctl, networkConfig } from '../../scripts/lab/store.ts'
import { hostsFor, nth, startCluster } from './support.ts'

/** A key and its value, as `etcdctl get --prefix` prints them: on two lines. */
function parseEntries(output: string): [key: string, value: string][] {
  const lines = output.split('\n')
  return lines.flatMap((line, i) => (i % 2 === 0 ? [[line, lines[i + 1] ?? '']] : []))
}

async function entriesUnder(
  host: Parameters<typeof runAt>[0],
  prefix: string,
): Promise<[string, string][]> {
  return parseEntries(await runAt(host, etcdctl('get', '--prefix', prefix)))
}

test("heddled on etcd: keys and values have flannel's form", async (t) => {
  const hosts = await hostsFor(t, { name: 'etcd-v4', count: 3 })
  const config = networkConfig({ Type: 'vxlan' })
  await startCluster(t, hosts, { store: 'etcd', config })
  const host = nth(hosts, 0)
  const entries = await entriesUnder(host, '/coreos.com/network')
  const leases = new Map(entries.slice(1))

  t.deepEqual(entries[0], ['/coreos.com/network/config', JSON.stringify(config)])
  t.is(leases.size, 3)
  for (const each of hosts) {
    const key = `/coreos.com/network/subnets/${readLease(each).subnet.replace('/', '-')}`
    // Byte for byte what Go's encoder writes; our own field comes after flannel's.
    const ip = each.publicIP.replaceAll('.', '\\.')
    const mac = '[0-9a-f]{2}(?::[0-9a-f]{2}){5}'
    t.regex(
      leases.get(key) ?? `no key ${key}`,
      new RegExp(
        `^\\{"PublicIP":"${ip}","PublicIPv6":null,"BackendType":"vxlan",` +
          `"BackendData":\\{"VNI":1,"VtepMAC":"${mac}"\\},"NodeID":"[0-9a-f-]{36}"\\}$`,
      ),
    )
    const json = await runAt(host, etcdctl('get', key, '-w', 'json'))
    const lease = BigInt(/"lease":(\d+)/.exec(json)?.[1] ?? 0).toString(16)
    const life = await runAt(host, etcdctl('lease', 'timetolive', lease))
    t.regex(life, /granted with TTL\(86400s\), remaining\(86[34]\d\ds\)/, 'leases live a day')
  }
})

test("heddled on etcd: dual-stack and host-gw leases have flannel's form", async (t) => {
  const hosts = await hostsFor(t, { name: 'etcd-dual', count: 1 })
  const config = networkConfig({ Type: 'host-gw' }, { ipv6: true })
  await startCluster(t, hosts, { store: 'etcd', config })
  const host = nth(hosts, 0)
  const { subnet, ipv6Subnet = '' } = readLease(host)
  const entries = await entriesUnder(host, '/coreos.com/network/subnets')
  t.is(entries.length, 1)
  const [key, value] = nth(entries, 0)
  const words = [subnet, ipv6Subnet].map((cidr) => cidr.replace('/', '-'))
  t.is(key, `/coreos.com/network/subnets/${words.join('&')}`)
  t.regex(
    value,
    /^\{"PublicIP":"10\.100\.0\.1","PublicIPv6":"fd00:100::1","BackendType":"host-gw","NodeID":"[0-9a-f-]{36}"\}$/,
  )
})
