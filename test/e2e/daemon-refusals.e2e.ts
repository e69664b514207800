import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { dist, readLease, subnetFile } from '../../scripts/lab/heddle.ts'
import { hostFile } from '../../scripts/lab/lab.ts'
import { startPinging } from '../../scripts/lab/ping.ts'
import { runAt, startAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'
import { networkConfig, openStore } from '../../scripts/lab/store.ts'
import { configWriter } from './config-writer.ts'
import { statusFile, statusOf } from './daemon-support.ts'
import { attachAll, hostsFor, nth, startCluster } from './support.ts'

const soon = { timeoutMs: 10_000 }

/** Configurations that no daemon at work takes, and what it says of each. */
const refused: readonly (readonly [text: string | undefined, reason: RegExp])[] = [
  ['{"Network":"10.244.0.0/16","Backend":{"Type":"host-gw"}}', /^Backend\.Type cannot change/],
  ['{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan","VNI":7}}', /^Backend\.vni cannot/],
  ['{"Network":"10.250.0.0/16","Backend":{"Type":"vxlan"}}', /^Network cannot change/],
  ['{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan","MTU":"big"}}', /^Backend\.MTU must be/],
  ['{"Network":"10.244.0.0/16"', /is not JSON/],
  ['\u0000\u001b[31mrubbish', /is not JSON/],
  [undefined, /is gone from the store/],
]

test('heddled stays at work by the old configuration while the store has one that it cannot take', async (t) => {
  const hosts = await hostsFor(t, { name: 'refusals', count: 2 })
  const config = networkConfig({ Type: 'vxlan' })
  const cluster = await startCluster(t, hosts, { store: 'sqlite', config })
  const host = nth(hosts, 0)
  const write = configWriter(t, cluster.lab, 'sqlite')
  const [from, to] = await attachAll(hosts, 1)
  if (!from || !to) throw new Error('no containers')
  const before = readLease(host)
  const kept = async (): Promise<string> =>
    (await runAt(host, ['sh', '-c', 'ip -o link; ip route; bridge fdb'])) +
    (await runAt(host, ['cat', subnetFile]))
  const state = await kept()
  const logFile = `${cluster.lab.directory}/ping.log`
  const pinging = startPinging(from, nth(to.addresses, 0), { intervalMs: 20, logFile })

  for (const [text, reason] of refused) {
    await write(text)
    const isSaid = async (): Promise<boolean> =>
      reason.test((await statusOf(host)).config?.refused?.reason ?? '')
    await until(`${reason}`, isSaid, soon)
    const { ready, config: told } = await statusOf(host)
    t.true(ready, text)
    t.is(told?.inForce, JSON.stringify(config, undefined, 2).concat('\n'))
  }
  t.is(await kept(), state)

  // Ten times a second one that is taken, one that is refused and one that is none.
  const texts = [
    JSON.stringify(networkConfig({ Type: 'vxlan', MTU: 1300 })),
    JSON.stringify(networkConfig({ Type: 'vxlan', VNI: 9 })),
    'rubbish',
  ]
  for (let n = 0; n < 30; n++) {
    await write(nth(texts, n % texts.length))
    await sleep(100)
  }
  await write(JSON.stringify(networkConfig({ Type: 'vxlan', MTU: 1350 })))
  for (const one of hosts) {
    await until('the last one', () => readLease(one).mtu === 1300, soon)
    await until('all to be well', async () => (await statusOf(one)).problems === undefined, soon)
  }
  t.is(readLease(host).subnet, before.subnet)
  for (const daemon of cluster.daemons) {
    t.true(daemon.running())
    const lines = daemon.log().split('\n')
    t.true(lines.length < 150, `${lines.length} lines of log`)
  }
  const { sent, lost } = await pinging.stop()
  t.true(sent > 200, `sent ${sent}`)
  t.is(lost, 0, `of ${sent}`)
})

test('heddled waits while a route leads into its network or its configuration is none, says which, and goes on', async (t) => {
  const host = nth(await hostsFor(t, { name: 'overlap', count: 1 }), 0)
  const config = networkConfig({ Type: 'vxlan' })
  const store = await openStore(host.lab, 'sqlite', config)
  const write = configWriter(t, host.lab, 'sqlite')
  await write('{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan","MTU":"big"}}')
  await runAt(host, ['ip', 'route', 'add', '10.244.7.0/24', 'via', '10.100.0.254'])
  const daemon = startAt(host, [join(dist, 'heddled'), ...store.flags, '--iface', 'eth0'], {
    logFile: `${host.lab.directory}/heddled.log`,
  })
  t.teardown(() => {
    if (!t.passed) t.log(daemon.log())
  })
  const said =
    /^Network 10\.244\.0\.0\/16 overlaps .*"10\.244\.7\.0\/24 via 10\.100\.0\.254 dev eth0"/
  await until('it to say so', () => said.test(statusFile(host).error ?? ''), soon)
  t.false(existsSync(hostFile(host, subnetFile)))
  t.is((await runAt(host, ['ip', 'link'])).includes('flannel.1'), false)
  await runAt(host, ['ip', 'route', 'delete', '10.244.7.0/24'])
  const isTold = (): boolean => /Backend\.MTU must be/.test(statusFile(host).error ?? '')
  await until('it to say what is wrong with the configuration', isTold, soon)
  await write(JSON.stringify(config))
  await until('it to be ready', () => statusFile(host).ready === true, soon)
  // One that comes later stops nobody at work, nor does it after a restart.
  await runAt(host, ['ip', 'route', 'add', '10.244.7.0/24', 'via', '10.100.0.254'])
  t.is(await daemon.stop(), 0)
  await using again = startAt(host, [join(dist, 'heddled'), ...store.flags, '--iface', 'eth0'], {
    logFile: `${host.lab.directory}/again.log`,
  })
  await until('it to be ready', () => / ready /.test(again.log()), soon)
  t.pass()
})
