import { readFileSync } from 'node:fs'
import type { ExecutionContext } from 'ava'
import { type EtcdMembers, openEtcdMembers } from '../../scripts/lab/etcd-members.ts'
import { type Container, startDaemon, subnetFile, waitForPeers } from '../../scripts/lab/heddle.ts'
import { type Host, hostFile, type Lab } from '../../scripts/lab/lab.ts'
import { type Pinging, startPinging } from '../../scripts/lab/ping.ts'
import { type Background, runAt } from '../../scripts/lab/place.ts'
import { mapLimit } from '../../scripts/lab/run.ts'
import type { LabStore, NetworkConfig } from '../../scripts/lab/store.ts'
import { checkVxlan, type StoredLease } from './kernel-check.ts'
import { findSharing, type History, longestSharing, type Sharing } from './lease-history.ts'
import { hostsFor, nth } from './support.ts'

/** Hosts whose daemons share a real etcd of three members. */
export interface EtcdCluster {
  readonly lab: Lab
  readonly etcd: EtcdMembers
  readonly hosts: readonly Host[]
  readonly daemons: readonly Background[]
}

/** What the recorder may be late by on a busy machine: less is no sharing. */
export const recorderMs = 1_000

/** Starts a daemon and shows its log if the test fails. */
export async function startShown(
  t: ExecutionContext,
  host: Host,
  store: LabStore,
  flags: readonly string[] = [],
): Promise<Background> {
  const daemon = await startDaemon(host, store, ['--iface', 'eth0', ...flags])
  t.teardown(() => {
    if (!t.passed) t.log(`heddled ${host.name}:\n${daemon.log()}`)
  })
  return daemon
}

/** Hosts with a daemon each, and an etcd of three members; all know each other. */
export async function etcdClusterFor(
  t: ExecutionContext,
  options: { name: string; count: number; config: NetworkConfig; flags?: readonly string[] },
): Promise<EtcdCluster> {
  const hosts = await hostsFor(t, options)
  const { lab } = nth(hosts, 0)
  const etcd = await openEtcdMembers(lab, options.config)
  const daemons = await mapLimit(hosts, 4, (host) => startShown(t, host, etcd, options.flags))
  for (const host of hosts) await waitForPeers(host, hosts.length - 1)
  return { lab, etcd, hosts, daemons }
}

/** Pings from every container to every other one, twenty times a second. */
export function pingEveryPair(lab: Lab, containers: readonly Container[]): Pinging[] {
  const pairs = containers.flatMap((from) =>
    containers.filter((to) => to !== from).map((to) => ({ from, to })),
  )
  return pairs.map(({ from, to }) => {
    const name = `${from.name}-${to.name}`.replaceAll('/', '-')
    const logFile = `${lab.directory}/ping-${name}.log`
    return startPinging(from, nth(to.addresses, 0), { intervalMs: 50, logFile })
  })
}

/** Ends the pings; none may have lost a packet. */
export async function assertNothingLost(
  t: ExecutionContext,
  pings: readonly Pinging[],
): Promise<void> {
  const results = await Promise.all(pings.map((pinging) => pinging.stop()))
  t.true(
    results.every(({ sent }) => sent > 100),
    JSON.stringify(results),
  )
  t.deepEqual(
    results.filter(({ lost }) => lost > 0),
    [],
  )
}

/** No subnet had two holders for longer than `atMostMs`. Answers what was shared for how long. */
export function assertSharing(
  t: ExecutionContext,
  history: History,
  atMostMs = recorderMs,
): readonly Sharing[] {
  // What was not recorded cannot be found.
  const recorded = history.stores.map(
    ({ list, writes }) => Object.keys(list.holders).length + writes.length,
  )
  t.true(
    recorded.every((count) => count > 0),
    'the store was followed',
  )
  t.true(
    history.beliefs.some(({ key }) => key !== undefined),
    'daemons told what they hold',
  )
  const sharings = findSharing(history)
  t.true(longestSharing(sharings) <= atMostMs, JSON.stringify(sharings, undefined, 2))
  return sharings
}

/** What a daemon, running or not, has told the plugin last. */
export function statusOf(host: Host): Told {
  return JSON.parse(readFileSync(hostFile(host, `${subnetFile}.status.json`), 'utf8')) as Told
}

/** `expires`: until when the lease is held, ms since boot. */
interface Told {
  readonly ready: boolean
  readonly error?: string
  readonly expires?: number
}

/** What is wrong with a host's routes, neighbours and FDB, held against the leases of the others. */
export async function wrongOn(host: Host, leases: readonly StoredLease[]): Promise<string[]> {
  const peers = leases.filter(({ value }) => value.PublicIP !== host.publicIP)
  const own = leases.find(({ value }) => value.PublicIP === host.publicIP)
  const of = ['dev', 'flannel.1'] as const
  const [routes, neighbours, fdb] = await Promise.all([
    runAt(host, ['ip', '-4', '-j', 'route', 'show', 'table', 'main']),
    runAt(host, ['ip', '-4', '-j', 'neigh', 'show', ...of, 'nud', 'permanent']),
    runAt(host, ['bridge', '-j', 'fdb', 'show', ...of]),
  ])
  const bridge = own ? [`${own.key.replace('-', '/')} dev cni0 proto kernel`] : []
  return checkVxlan(peers, { routes, neighbours, fdb }, bridge)
}

/** A lease of a host that is not there. */
export function phantom(n: number, mac = n): StoredLease {
  const VtepMAC = `0e:00:00:00:01:${mac.toString(16).padStart(2, '0')}`
  const data = { VNI: 1, VtepMAC }
  const value = { PublicIP: `10.100.0.${100 + n}`, PublicIPv6: null, BackendType: 'vxlan' }
  return { key: `10.244.${n}.0-24`, value: { ...value, BackendData: data } }
}
