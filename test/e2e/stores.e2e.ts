import { mkdirSync, writeFileSync } from 'node:fs'
import type { ExecutionContext } from 'ava'
import { daemonRoutes, readLease, startDaemon, waitForPeers } from '../../scripts/lab/heddle.ts'
import type { Lab } from '../../scripts/lab/lab.ts'
import { losses, pingAll } from '../../scripts/lab/mesh.ts'
import { attemptAt, runAt, startAt } from '../../scripts/lab/place.ts'
import { type Command, mapLimit, until } from '../../scripts/lab/run.ts'
import { networkConfig } from '../../scripts/lab/store.ts'
import { CONSUL, consulMissing } from '../contract/consul-server.ts'
import { ZOOKEEPER } from '../contract/zookeeper-server.ts'
import { testUnless, testWith } from './installed.ts'
import { attachAll, hostsFor, nth } from './support.ts'

const ADDRESS = '10.100.0.254'
const CONFIG_KEY = '/coreos.com/network/config'
const LEASE_SECONDS = 12

/** A real server beyond a lab's switch, and its own command line. */
interface Server {
  readonly kind: 'consul' | 'zookeeper'
  readonly flags: readonly string[]
  /** Prints a key's value. */
  readonly show: (key: string) => Command
}

async function startAndWait(lab: Lab, kind: string, command: Command, probe: Command) {
  const server = startAt(lab.switch, command, { logFile: `${lab.directory}/${kind}.log` })
  const answers = async () => {
    if (!server.running()) throw new Error(`${kind} does not start: ${server.log()}`)
    return (await attemptAt(lab.switch, probe)).code === 0
  }
  await until(`${kind} to answer`, answers, { timeoutMs: 40_000, everyMs: 200 })
}

async function openConsul(lab: Lab): Promise<Server> {
  const url = `http://${ADDRESS}:8500`
  const words = [`-bind=${ADDRESS}`, `-client=${ADDRESS}`, `-data-dir=${lab.directory}/consul`]
  const more = ['-server', '-bootstrap-expect=1', '-log-level=warn']
  const probe = [CONSUL, 'kv', 'put', `-http-addr=${url}`, 'ready', 'yes'] as const
  await startAndWait(lab, 'consul', [CONSUL, 'agent', ...words, ...more], probe)
  return {
    kind: 'consul',
    flags: ['--store', 'consul', '--consul-endpoints', url],
    show: (key) => [CONSUL, 'kv', 'get', `-http-addr=${url}`, key.slice(1)],
  }
}

async function openZookeeper(lab: Lab): Promise<Server> {
  const folder = `${lab.directory}/zookeeper`
  mkdirSync(folder)
  const lines = [`dataDir=${folder}`, 'tickTime=500', `clientPortAddress=${ADDRESS}`]
  const more = ['clientPort=2181', 'admin.enableServer=false']
  writeFileSync(`${folder}/zoo.cfg`, `${[...lines, ...more].join('\n')}\n`)
  const java = ['java', '-Xmx96m', '-XX:TieredStopAtLevel=1', '-cp', ZOOKEEPER] as const
  const main = 'org.apache.zookeeper.server.quorum.QuorumPeerMain'
  const client = [
    ...java,
    'org.apache.zookeeper.ZooKeeperMain',
    '-server',
    `${ADDRESS}:2181`,
  ] as const
  await startAndWait(lab, 'zookeeper', [...java, main, `${folder}/zoo.cfg`], [...client, 'ls', '/'])
  return {
    kind: 'zookeeper',
    flags: ['--store', 'zookeeper', '--zookeeper-endpoints', `${ADDRESS}:2181`],
    show: (key) => [...client, 'get', key],
  }
}

/** Three hosts on the server: all reach each other, and one that dies is forgotten. */
async function serveThreeHosts(
  t: ExecutionContext,
  kind: Server['kind'],
  open: (lab: Lab) => Promise<Server>,
): Promise<void> {
  const hosts = await hostsFor(t, { name: `store-${kind}`, count: 3 })
  const { lab } = nth(hosts, 0)
  const server = await open(lab)
  const config = networkConfig({ Type: 'vxlan' })
  const file = `${lab.directory}/net-conf.json`
  writeFileSync(file, JSON.stringify(config))
  const rest = [
    '--iface',
    'eth0',
    '--net-config-path',
    file,
    '--subnet-lease-ttl',
    `${LEASE_SECONDS}`,
  ]
  const daemons = await mapLimit(hosts, 3, (host) => startDaemon(host, server, rest))
  t.teardown(() => {
    if (!t.passed) for (const daemon of daemons) t.log(daemon.log())
  })
  for (const host of hosts) await waitForPeers(host, 2)
  const subnets = hosts.map((host) => readLease(host).subnet)
  t.is(new Set(subnets).size, 3)
  t.deepEqual(losses(await pingAll(await attachAll(hosts, 1))), [])

  t.true((await runAt(lab.switch, server.show(CONFIG_KEY))).includes(JSON.stringify(config)))
  const key = `/coreos.com/network/subnets/${nth(subnets, 0).replace('/', '-')}`
  const lease = await runAt(lab.switch, server.show(key))
  t.regex(lease, /\{"PublicIP":"10\.100\.0\.1","PublicIPv6":null,"BackendType":"vxlan",/)

  const [one, dead] = [nth(hosts, 0), nth(subnets, 2)]
  const knows = async (subnet: string) => (await daemonRoutes(one, '-4')).has(subnet)
  t.true(await knows(dead))
  await nth(daemons, 2).stop('SIGKILL')
  await until('the lease of a dead host to expire', async () => !(await knows(dead)), {
    timeoutMs: 60_000,
    everyMs: 500,
  })
  t.true(await knows(nth(subnets, 1)), 'a lease that is renewed stays')
}

testUnless(consulMissing)(
  'heddled on Consul: three hosts reach each other, and a dead one is forgotten',
  (t) => serveThreeHosts(t, 'consul', openConsul),
)

testWith(ZOOKEEPER, 'java')(
  'heddled on ZooKeeper: three hosts reach each other, and a dead one is forgotten',
  (t) => serveThreeHosts(t, 'zookeeper', openZookeeper),
)
