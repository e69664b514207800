/**
 * The scenarios of flannel's own functional and end-to-end tests, on every backend with a data path: F1 to F6 (etcd
 * with client certificates, two hosts, pings between addresses of their subnets), E3 (both families), E4
 * (a container made anew), E5 (daemons restarted one by one).
 */
import test, { type ExecutionContext } from 'ava'
import { attach, detach, readLease, subnetFile } from '../../scripts/lab/heddle.ts'
import type { Host, Lab } from '../../scripts/lab/lab.ts'
import { losses, pingAll } from '../../scripts/lab/mesh.ts'
import { attemptAt, runAt, startAt } from '../../scripts/lab/place.ts'
import { type Command, mapLimit, until } from '../../scripts/lab/run.ts'
import { type LabStore, type NetworkConfig, networkConfig } from '../../scripts/lab/store.ts'
import { type Certificates, makeCertificates } from '../contract/certificates.ts'
import { fileOn } from './cni-support.ts'
import { hostsFor, nth } from './support.ts'
import { startHeddled, waitForPeer } from './takeover-support.ts'

const url = 'https://10.100.0.254:2379'

let certificates: Certificates
test.before(() => {
  certificates = makeCertificates()
})
test.after.always(() => certificates?.remove())

/** An etcd beyond the switch that wants to see certificates, the configuration put into it. */
async function openSecureEtcd(lab: Lab, config: NetworkConfig): Promise<LabStore> {
  const { ca, server, client } = certificates
  const flags = [
    `--data-dir=${lab.directory}/etcd`,
    `--listen-client-urls=${url}`,
    `--advertise-client-urls=${url}`,
    '--listen-peer-urls=http://127.0.0.1:2380',
    '--client-cert-auth',
    `--trusted-ca-file=${ca}`,
    `--cert-file=${server.cert}`,
    `--key-file=${server.key}`,
    '--logger=zap',
  ]
  const etcd = startAt(lab.switch, ['etcd', ...flags], { logFile: `${lab.directory}/etcd.log` })
  const files = [`--cacert=${ca}`, `--cert=${client.cert}`, `--key=${client.key}`]
  const etcdctl = (...words: string[]): Command => {
    return ['env', 'ETCDCTL_API=3', 'etcdctl', `--endpoints=${url}`, ...files, ...words]
  }
  const isHealthy = async () => {
    if (!etcd.running()) throw new Error(`etcd does not start: ${etcd.log()}`)
    return (await attemptAt(lab.switch, etcdctl('endpoint', 'health'))).code === 0
  }
  await until('etcd to be healthy', isHealthy, { timeoutMs: 20_000, everyMs: 100 })
  await runAt(lab.switch, etcdctl('put', '/coreos.com/network/config', JSON.stringify(config)))
  return {
    kind: 'etcd',
    flags: [
      `--etcd-endpoints=${url}`,
      `--etcd-cafile=${ca}`,
      `--etcd-certfile=${client.cert}`,
      `--etcd-keyfile=${client.key}`,
    ],
  }
}

/** The gateway addresses of the host's subnets, as its subnet file has them: with prefix lengths. */
function gateways(host: Host): string[] {
  const text = fileOn(host, subnetFile) ?? ''
  return Array.from(text.matchAll(/^FLANNEL_(?:IPV6_)?SUBNET=(.*)$/gm), ([, value = '']) => value)
}

/** Something on a host that has addresses of its subnets, as flannel's tests have a dummy link. */
async function addDummy(host: Host): Promise<void> {
  const addresses = gateways(host).map((cidr) => {
    return `ip addr add ${cidr} dev dummy0${cidr.includes(':') ? ' nodad' : ''}`
  })
  const script = ['ip link add dummy0 type veth peer name dummy1', ...addresses]
  const up = ['ip link set dummy0 up', 'ip link set dummy1 up']
  await runAt(host, ['sh', '-ec', [...script, ...up].join('\n')])
}

const plain = (cidr: string) => cidr.replace(/\/\d+$/, '')

/** Pings between the hosts' dummies, both ways and in each family. */
async function pingDummies(t: ExecutionContext, hosts: readonly Host[]): Promise<void> {
  for (const [from, to] of [hosts, hosts.toReversed()]) {
    if (!from || !to) continue
    for (const [family, target] of gateways(to).entries()) {
      const source = plain(nth(gateways(from), family))
      const command = ['ping', '-c3', '-i0.2', '-W2', '-I', source, plain(target)] as const
      const { stdout } = await attemptAt(from, command)
      t.regex(stdout, / 3 received/, `${from.name} from ${source} to ${target}: ${stdout}`)
    }
  }
}

/** Both families' routes, as flannel's example for this backend sets IPv4's. */
const addRoutes =
  'ip -4 route replace $SUBNET via $PUBLIC_IP; ip -6 route replace $IPV6SUBNET via $PUBLIC_IPV6'

const backends: readonly NetworkConfig['Backend'][] = [
  { Type: 'vxlan' },
  { Type: 'host-gw' },
  { Type: 'extension', SubnetAddCommand: ['sh', '-ec', addRoutes] },
]

for (const backend of backends) {
  test(`flannel's functional tests on ${backend.Type}: dummies and containers of two hosts reach each other, whoever starts again`, async (t) => {
    const hosts = await hostsFor(t, { name: `functional-${backend.Type}`, count: 2 })
    const store = await openSecureEtcd(nth(hosts, 0).lab, networkConfig(backend, { ipv6: true }))
    const start = (host: Host) => startHeddled(t, host, store)
    const daemons = await mapLimit(hosts, 2, start)
    await waitForPeer(nth(hosts, 0), nth(hosts, 1))
    for (const host of hosts) await addDummy(host)
    await pingDummies(t, hosts)
    for (const host of hosts) await runAt(host, ['ip', 'link', 'delete', 'dummy0'])

    const containers = await mapLimit(hosts, 2, (host) => attach(host, 'first'))
    t.deepEqual(losses(await pingAll(containers)), [])
    await detach(nth(containers, 1))
    const again = [nth(containers, 0), await attach(nth(hosts, 1), 'second')]
    t.deepEqual(losses(await pingAll(again)), [])

    for (const [i, host] of hosts.entries()) {
      const before = readLease(host)
      t.is(await nth(daemons, i).stop(), 0)
      await start(host)
      t.deepEqual(readLease(host), before)
      t.deepEqual(losses(await pingAll(again)), [])
    }
  })
}
