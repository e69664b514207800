import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { dist } from '../../scripts/lab/heddle.ts'
import { type Host, hostFile } from '../../scripts/lab/lab.ts'
import { startPinging } from '../../scripts/lab/ping.ts'
import { attemptAt, type Background, runAt, startAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'
import { etcdctl, networkConfig, openStore } from '../../scripts/lab/store.ts'
import { hostsFor, nth } from './support.ts'

const heddled = join(dist, 'heddled')
const waitMs = { timeoutMs: 20_000 }

/** flannel's functional test "multi": two networks on each host, each with a daemon, a prefix and a file of its own. */
const networks = {
  vxlan: { config: { Network: '10.11.0.0/16', Backend: { Type: 'vxlan' } } },
  hostgw: { config: { Network: '10.12.0.0/16', Backend: { Type: 'host-gw' } } },
} as const
type Name = keyof typeof networks
const names = ['vxlan', 'hostgw'] as const

const subnetFile = (name: Name): string => `/run/${name}.env`

async function startBoth(t: ExecutionContext, host: Host, flags: readonly string[]) {
  const start = async (name: Name): Promise<Background> => {
    const own = ['--etcd-prefix', `/${name}/network`, '--subnet-file', subnetFile(name)]
    const words = [heddled, ...flags, ...own, '--iface', 'eth0', '--ip-masq', '--instance', name]
    const daemon = startAt(host, words as [string, ...string[]], {
      logFile: `${host.lab.directory}/${host.name}/${name}.log`,
    })
    t.teardown(() => {
      if (!t.passed) t.log(`${host.name} ${name}:\n${daemon.log()}`)
    })
    const isThere = () => existsSync(hostFile(host, subnetFile(name))) || !daemon.running()
    await until(`the subnet file of ${name}`, isThere, waitMs)
    return daemon
  }
  return { vxlan: await start('vxlan'), hostgw: await start('hostgw') }
}

/** Gives a host an address of each of its subnets, as flannel's test does; the addresses. */
async function takeAddresses(host: Host): Promise<Record<Name, string>> {
  const take = async (name: Name): Promise<string> => {
    const text = readFileSync(hostFile(host, subnetFile(name)), 'utf8')
    const [, gateway = ''] = /^FLANNEL_SUBNET=(.*)$/m.exec(text) ?? []
    await runAt(host, ['ip', 'link', 'add', name, 'type', 'bridge'])
    await runAt(host, ['ip', 'addr', 'add', gateway, 'dev', name])
    await runAt(host, ['ip', 'link', 'set', name, 'up'])
    return gateway.replace(/\/.*/, '')
  }
  return { vxlan: await take('vxlan'), hostgw: await take('hostgw') }
}

/** Of three pings bound to an address or an interface, how many come back. */
async function pings(host: Host, to: string, from: string): Promise<number> {
  const count = ['-c', '3', '-i', '0.05', '-W', '1']
  const { stdout } = await attemptAt(host, ['ping', ...count, '-I', from, to])
  return Number(/(\d+) received/.exec(stdout)?.[1] ?? 0)
}

function replies(logFile: string): number {
  return readFileSync(logFile, 'utf8').split('icmp_seq=').length - 1
}

test('two networks stand on the same hosts, vxlan and host-gw (flannel’s F8), and one goes without the other', async (t) => {
  const hosts = await hostsFor(t, { name: 'instances', count: 2 })
  const [one, two] = [nth(hosts, 0), nth(hosts, 1)]
  const store = await openStore(one.lab, 'etcd', networkConfig({ Type: 'vxlan' }))
  for (const name of names) {
    const value = JSON.stringify(networks[name].config)
    await runAt(one.lab.switch, etcdctl('put', `/${name}/network/config`, value))
  }
  const daemons = await startBoth(t, one, store.flags)
  await startBoth(t, two, store.flags)
  const [here, there] = [await takeAddresses(one), await takeAddresses(two)]

  for (const name of names) {
    const routes = async () =>
      (await runAt(one, ['ip', 'route', 'show', 'proto', '104'])).split('\n')
    const prefix = networks[name].config.Network.replace('0.0/16', '')
    const has = async () => (await routes()).some((line) => line.startsWith(prefix))
    await until(`the route of ${name}`, has, waitMs)
    t.is(await pings(one, there[name], here[name]), 3, `${name} there`)
    t.is(await pings(two, here[name], there[name]), 3, `${name} back`)
  }
  t.is(await pings(one, there.hostgw, 'flannel.1'), 0, 'not by the tunnel')
  t.is(await pings(one, there.vxlan, 'eth0'), 0, 'not by the link itself')

  const second = await attemptAt(one, [heddled, ...store.flags, '--instance', 'hostgw'])
  t.is(second.code, 1)
  t.regex(
    second.stderr,
    /instance hostgw belongs to a running daemon: instance hostgw, process \d+/,
  )

  // One network goes from a host; the other one's packets must not notice.
  const logFile = `${one.lab.directory}/ping.log`
  const pinging = startPinging(one, there.vxlan, { intervalMs: 10, logFile })
  const answers = (more: number) => {
    const wanted = replies(logFile) + more
    return until(`${more} more answers`, () => replies(logFile) >= wanted, waitMs)
  }
  await answers(10)
  const refused = await attemptAt(one, [heddled, 'cleanup', '--instance', 'hostgw'])
  t.regex(refused.stderr, /stop it first/)
  await daemons.hostgw.stop()
  await runAt(one, ['ip', 'link', 'del', 'hostgw'])
  const before = (await runAt(one, ['ip', 'route'])).split('\n')
  const { code, stdout } = await attemptAt(one, [heddled, 'cleanup', '--instance', 'hostgw'])
  t.is(code, 0, stdout)
  const after = (await runAt(one, ['ip', 'route'])).split('\n')
  t.deepEqual(
    before.filter((line) => !after.includes(line)).map((line) => line.replace(/ .*/, '')),
    [there.hostgw.replace(/\.1$/, '.0/24')],
  )
  const tables = await runAt(one, ['/usr/sbin/nft', 'list', 'tables'])
  t.true(tables.includes('heddle-net-vxlan') && !tables.includes('heddle-net-hostgw'), tables)
  t.false(existsSync(hostFile(one, subnetFile('hostgw'))))
  t.true(existsSync(hostFile(one, subnetFile('vxlan'))))
  await answers(10)
  t.true(daemons.vxlan.running())
  const { sent, lost } = await pinging.stop()
  t.is(lost, 0, `of ${sent}`)
})
