import { join } from 'node:path'
import { dist } from '../../scripts/lab/heddle.ts'
import type { Host } from '../../scripts/lab/lab.ts'
import { type Background, runAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'
import {
  type LabStore,
  type NetworkConfig,
  networkConfig,
  openStore,
} from '../../scripts/lab/store.ts'
import { buildFlanneld, startFlanneld } from './flanneld.ts'
import { testUnless } from './installed.ts'
import type { StoredLease } from './kernel-check.ts'
import { openLeases } from './lease-writer.ts'
import { hostsFor, nth } from './support.ts'
import {
  attachAsFlannel,
  dataPath,
  startHeddled,
  waitForPeer,
  withoutDad,
} from './takeover-support.ts'
import { startTraffic } from './takeover-traffic.ts'

const built = await buildFlanneld()
const testFlanneld = testUnless('reason' in built ? built.reason : undefined)
const program = 'program' in built ? built.program : ''

function flannelFlags(store: LabStore): string[] {
  // The first word pair names the store, which is flanneld's only one.
  return ['--iface', 'eth0', '--ip-masq', ...store.flags.slice(2)]
}

const ruleset = (host: Host) => runAt(host, ['/usr/sbin/nft', 'list', 'ruleset'])

/** How the one daemon follows the other. */
const ways = {
  /** As older versions end: nothing in the kernel goes with flanneld. */
  'after flanneld was killed': async (flanneld: Background, start: () => Promise<Background>) => {
    await flanneld.stop('SIGKILL')
    return start()
  },
  /** So that the rules are never gone that this flanneld takes away when it ends. */
  'beside flanneld, which then ends': async (
    flanneld: Background,
    start: () => Promise<Background>,
  ) => {
    const heddled = await start()
    await flanneld.stop('SIGTERM')
    return heddled
  },
}

const cases: readonly (readonly [string, keyof typeof ways, NetworkConfig])[] = [
  ['vxlan', 'after flanneld was killed', networkConfig({ Type: 'vxlan' })],
  ['host-gw', 'beside flanneld, which then ends', networkConfig({ Type: 'host-gw' })],
  [
    'vxlan, both families and nftables',
    'after flanneld was killed',
    {
      ...networkConfig(
        { Type: 'vxlan', VNI: 4096, Port: 4789, Learning: true, GBP: true },
        { ipv6: true },
      ),
      EnableNFTables: true,
    },
  ],
]

for (const [index, [title, way, config]] of cases.entries()) {
  testFlanneld(
    `heddled takes a host over from flanneld (${title}), ${way}, and gives it back`,
    async (t) => {
      const hosts = await hostsFor(t, { name: `real-${index}`, count: 2 })
      const [host, peer] = [nth(hosts, 0), nth(hosts, 1)]
      await withoutDad(hosts)
      const store = await openStore(host.lab, 'etcd', config)
      const leases = openLeases(t, host.lab, 'etcd')
      const flanneld = await startFlanneld(program, host, flannelFlags(store))
      await startFlanneld(program, peer, flannelFlags(store))
      await waitForPeer(host, peer)
      const stations = [await attachAsFlannel(t, host), await attachAsFlannel(t, peer)] as const
      const [before, leasesBefore] = [await dataPath(host), await leases.list()]
      const traffic = await startTraffic(t, stations)

      // By flanneld's name and with its flags, as `scripts/install --as-flannel` puts it there.
      await runAt(host, ['ln', '-s', join(dist, 'heddled'), '/run/lab/flanneld'])
      const etcd = { ...store, flags: store.flags.slice(2) }
      const start = () => startHeddled(t, host, etcd, '/run/lab/flanneld')
      const heddled = await ways[way](flanneld, start)
      await traffic.goOn()
      t.deepEqual(await dataPath(host), config.EnableIPv6 ? withSmallerMtu(before) : before)
      t.notRegex(await ruleset(host), /flannel/i)
      t.deepEqual((await leases.list()).map(withoutNodeId), leasesBefore)

      await heddled.stop()
      await startFlanneld(program, host, flannelFlags(store))
      await traffic.goOn()
      t.deepEqual(await dataPath(host), before)
      t.regex(await ruleset(host), /flannel/i)
      t.deepEqual(await leases.list(), leasesBefore)
      await traffic.stopAndCheck()
    },
  )
}

/** VXLAN over IPv6 takes 70 bytes, for which flanneld's subnet file allows 50. */
function withSmallerMtu(lines: readonly string[]): string[] {
  return lines.map((line) => line.replace('FLANNEL_MTU=1450', 'FLANNEL_MTU=1430'))
}

function withoutNodeId({ key, value }: StoredLease): StoredLease {
  const { NodeID: _, ...rest } = value as StoredLease['value'] & { NodeID?: string }
  return { key, value: rest }
}

/** A lease of a host that is not there, in both families where the network has both. */
function phantom(n: number, publicIP: string, { Backend, EnableIPv6 }: NetworkConfig): StoredLease {
  const data = (octet: string) => ({ VNI: 1, VtepMAC: `0e:00:00:00:${octet}:0${n}` })
  const isVxlan = Backend.Type === 'vxlan'
  const value = {
    PublicIP: publicIP,
    PublicIPv6: EnableIPv6 ? `fd00:${publicIP.split('.')[1]}::7${n}` : null,
    BackendType: Backend.Type,
    ...(isVxlan && { BackendData: data('04') }),
    ...(isVxlan && EnableIPv6 && { BackendV6Data: data('06') }),
  }
  return { key: `10.244.20${n}.0-24${EnableIPv6 ? `&fd00:10:244:20${n}::-64` : ''}`, value }
}

/** The lines about the phantoms' subnets and MACs. */
async function phantomLines(host: Host): Promise<string[]> {
  const isAbout = /10\.244\.20[12]\.|:20[12]::|0e:00:00:00:/
  return (await dataPath(host)).filter((line) => isAbout.test(line))
}

interface Mixed {
  readonly title: string
  readonly config: NetworkConfig
  /** The public addresses of two phantoms; 10.101.0.0/24 is behind the router. */
  readonly at: readonly [string, string]
  /** How many lines both make. */
  readonly lines: number
}

const mixed: readonly Mixed[] = [
  {
    title: 'vxlan with DirectRouting in both families',
    config: networkConfig({ Type: 'vxlan', DirectRouting: true }, { ipv6: true }),
    at: ['10.100.0.71', '10.101.0.72'],
    lines: 8,
  },
  {
    title: 'host-gw',
    config: networkConfig({ Type: 'host-gw' }),
    at: ['10.100.0.71', '10.100.0.72'],
    lines: 2,
  },
  {
    title: 'extension',
    // As flannel documents it.
    config: networkConfig({
      Type: 'extension',
      PreStartupCommand: 'echo hello',
      SubnetAddCommand: 'ip route add $SUBNET via $PUBLIC_IP',
      SubnetRemoveCommand: 'ip route del $SUBNET via $PUBLIC_IP',
    }),
    at: ['10.100.0.71', '10.100.0.72'],
    lines: 2,
  },
]

for (const [index, { title, config, at, lines }] of mixed.entries()) {
  testFlanneld(
    `flanneld and heddled in one cluster with ${title}: they write the same entries and reach each other`,
    async (t) => {
      const hosts = await hostsFor(t, { name: `mixed-${index}`, count: 2 })
      await withoutDad(hosts)
      const [theirs, ours] = [nth(hosts, 0), nth(hosts, 1)]
      // The phantoms' subnets are not among those that daemons may take.
      const pool = { ...config, SubnetMax: '10.244.199.0' }
      const store = await openStore(ours.lab, 'etcd', pool)
      const leases = openLeases(t, ours.lab, 'etcd')
      const [first, second] = [phantom(1, at[0], config), phantom(2, at[1], config)]
      // One is there before the daemons, the other comes while they run.
      await leases.put(first)
      await startFlanneld(program, theirs, flannelFlags(store))
      await startHeddled(t, ours, store)
      await waitForPeer(theirs, ours)
      await leases.put(second)
      const both = async () => [await phantomLines(theirs), await phantomLines(ours)] as const
      const isSaid = async () => (await both()).every((one) => one.length === lines)
      await until(`${lines} lines on both`, isSaid, { timeoutMs: 10_000 }).catch(() => {})
      const [expected, found] = await both()
      t.deepEqual(found, expected)
      t.is(found.length, lines)

      const stations = [await attachAsFlannel(t, theirs), await attachAsFlannel(t, ours)] as const
      const traffic = await startTraffic(t, stations)
      await leases.delete(first.key)
      await leases.delete(second.key)
      // This flanneld keeps IPv6 routes of DirectRouting.
      const isForgotten = async () => (await phantomLines(ours)).length === 0
      await until('heddled to forget them', isForgotten, { timeoutMs: 20_000 })
      await traffic.stopAndCheck()
    },
  )
}
