import { existsSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { dist, readLease, subnetFile } from '../../scripts/lab/heddle.ts'
import { type Host, hostFile } from '../../scripts/lab/lab.ts'
import { runAt, startAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'
import { etcdctl, networkConfig, openStore } from '../../scripts/lab/store.ts'
import { assertSharing, statusOf } from './faults-support.ts'
import { recordLeases } from './lease-recorder.ts'
import { openLeases } from './lease-writer.ts'
import { hostsFor, nth } from './support.ts'

const crowd = 50
/** A /20 has sixteen /24, and the first is left out. */
const places = 15
const timeoutMs = 180_000

type State = 'ready' | 'waits' | undefined

function stateOf(host: Host): State {
  if (!existsSync(hostFile(host, `${subnetFile}.status.json`))) return undefined
  const { ready, error = '' } = statusOf(host)
  if (ready) return 'ready'
  return error.startsWith('out of subnets: every /24 of 10.244.0.0/20') ? 'waits' : undefined
}

function hostsThat(state: State, hosts: readonly Host[]): Host[] {
  return hosts.filter((host) => stateOf(host) === state)
}

test('fifty daemons start at one moment where there are fifteen subnets: the others wait, say why, and take one that is released', async (t) => {
  const hosts = await hostsFor(t, { name: 'crowd', count: crowd })
  const { lab } = nth(hosts, 0)
  const config = { ...networkConfig({ Type: 'vxlan' }), Network: '10.244.0.0/20' }
  const store = await openStore(lab, 'etcd', config)
  const leases = openLeases(t, lab, 'etcd')
  const ctl = {
    etcdctl: (...args: readonly string[]) => runAt(lab.switch, etcdctl(...args)),
    etcdctlCommand: etcdctl,
  }
  const recorder = await recordLeases(t, lab, ctl, hosts)
  const daemons = hosts.map((host) =>
    startAt(host, [join(dist, 'heddled'), ...store.flags, '--iface', 'eth0'], {
      logFile: `${lab.directory}/${host.name}/heddled.log`,
    }),
  )
  t.teardown(() => {
    if (t.passed) return
    for (const [i, daemon] of daemons.entries()) t.log(`${nth(hosts, i).name}:\n${daemon.log()}`)
  })

  const isSettled = (others: number) => () =>
    hostsThat('ready', hosts).length === places && hostsThat('waits', hosts).length === others
  await until('fifteen to have a subnet', isSettled(crowd - places), { timeoutMs, everyMs: 250 })
  const holders = hostsThat('ready', hosts)
  const subnets = holders.map((host) => readLease(host).subnet)
  t.is(new Set(subnets).size, places)
  const keys = (await leases.list()).map(({ key }) => key.replace('-', '/'))
  t.deepEqual(keys.toSorted(), subnets.toSorted())
  t.false(keys.includes('10.244.0.0/24'))
  t.true(daemons.every((daemon) => daemon.running()))

  const leaving = nth(holders, 0)
  const released = readLease(leaving).subnet
  await runAt(leaving, [join(dist, 'heddlectl'), 'lease', 'release'])
  const gone = nth(daemons, hosts.indexOf(leaving))
  await until('its daemon to end', () => !gone.running(), { timeoutMs })
  t.is(await gone.ended, 0)
  const rest = hosts.filter((host) => host !== leaving)
  const taker = () => hostsThat('ready', rest).find((host) => !holders.includes(host))
  const found = await until('one that waits to take the place', taker, { timeoutMs, everyMs: 250 })
  t.is(readLease(found).subnet, released)
  t.is((await leases.list()).length, places)
  t.is(hostsThat('waits', rest).length, crowd - places - 1)
  assertSharing(t, await recorder.stop())
})
