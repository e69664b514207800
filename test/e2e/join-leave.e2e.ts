import { statSync } from 'node:fs'
import test from 'ava'
import { attach, readLease, startDaemon, subnetFile } from '../../scripts/lab/heddle.ts'
import { addHost, type Host, hostFile } from '../../scripts/lab/lab.ts'
import { ping, startPinging } from '../../scripts/lab/ping.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { mapLimit, until } from '../../scripts/lab/run.ts'
import { networkConfig, storeKinds } from '../../scripts/lab/store.ts'
import { attachAll, hostsFor, nth, startCluster } from './support.ts'

const leaseSeconds = 10
/** How long a peer's entries stay after its lease is gone, in case its owner puts it back. */
const graceSeconds = 5

/** What a host's kernel holds that mentions another host or its subnet: routes, neighbours, FDB. */
async function entriesAbout(host: Host, words: readonly string[]): Promise<string[]> {
  const dumps = await mapLimit(
    [
      ['ip', '-4', 'route', 'show', 'table', 'all'],
      ['ip', '-4', 'neigh', 'show', 'dev', 'flannel.1'],
      ['bridge', 'fdb', 'show', 'dev', 'flannel.1'],
    ] as const,
    1,
    (command) => runAt(host, command),
  )
  const isAbout = (line: string) => line.split(' ').some((word) => words.includes(word))
  return dumps.flatMap((dump) => dump.split('\n')).filter(isAbout)
}

for (const store of storeKinds) {
  test(`heddled on ${store}: a host joins and another leaves, and the others lose no packet`, async (t) => {
    const hosts = await hostsFor(t, { name: `join-${store}`, count: 3 })
    const flags = ['--subnet-lease-ttl', String(leaseSeconds)]
    const config = networkConfig({ Type: 'vxlan' })
    const cluster = await startCluster(t, hosts, { store, config, flags })
    const [one, two, three] = [nth(hosts, 0), nth(hosts, 1), nth(hosts, 2)]
    const staying = await attachAll([one, three], 2)
    await attach(two, 'a')

    const pings = staying.flatMap((from) =>
      staying
        .filter((to) => to !== from)
        .map((to) => {
          const file = `ping-${from.name}-${to.name}`.replaceAll('/', '-')
          const logFile = `${cluster.lab.directory}/${file}.log`
          return startPinging(from, nth(to.addresses, 0), { intervalMs: 50, logFile })
        }),
    )

    const fourth = await addHost(cluster.lab, 4)
    await startDaemon(fourth, cluster.store, ['--iface', 'eth0', ...flags])
    const leasedAt = statSync(hostFile(fourth, subnetFile)).mtimeMs
    const newcomer = await attach(fourth, 'a')
    const answers = async () => {
      const result = await ping(nth(staying, 0), nth(newcomer.addresses, 0), {
        count: 1,
        intervalMs: 0,
      })
      return result.received === 1
    }
    await until('the fourth host to be reached', answers, { timeoutMs: 10_000, everyMs: 10 })
    const reachedAfterMs = Date.now() - leasedAt
    t.true(reachedAfterMs <= 2000, `reached ${reachedAfterMs} ms after its lease`)

    const { subnet } = readLease(two)
    const words = [subnet, subnet.replace('/24', ''), two.publicIP]
    t.is((await entriesAbout(one, words)).length, 3, 'a route, a neighbour and an FDB entry')
    await nth(cluster.daemons, 1).stop()
    t.is(
      (await entriesAbout(one, words)).length,
      3,
      'stopping a daemon is not the end of its lease',
    )
    for (const host of [one, three, fourth]) {
      const isGone = async () => (await entriesAbout(host, words)).length === 0
      const timeoutMs = (leaseSeconds + graceSeconds + 5) * 1000
      await until(`${host.name} to forget the second host`, isGone, { timeoutMs, everyMs: 250 })
    }

    for (const [i, pinging] of pings.entries()) {
      const { sent, lost } = await pinging.stop()
      t.true(sent > 100, `ping ${i} sent ${sent}`)
      t.is(lost, 0, `ping ${i} of ${sent}`)
    }
  })
}
