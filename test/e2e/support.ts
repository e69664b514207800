import type { ExecutionContext } from 'ava'
import { attach, type Container, startDaemon, waitForPeers } from '../../scripts/lab/heddle.ts'
import { addHost, createLab, type Host, type Lab } from '../../scripts/lab/lab.ts'
import type { Background } from '../../scripts/lab/place.ts'
import { mapLimit } from '../../scripts/lab/run.ts'
import {
  type LabStore,
  type NetworkConfig,
  openStore,
  type StoreKind,
} from '../../scripts/lab/store.ts'
import { destroyLab } from '../../scripts/lab/teardown.ts'

/** Hosts with a daemon each, on one store. */
export interface Cluster {
  readonly lab: Lab
  readonly store: LabStore
  readonly hosts: readonly Host[]
  readonly daemons: readonly Background[]
}

/** Makes a lab for one test, gone after it whatever comes of it. The name need only be unique in its file. */
export async function labFor(
  t: ExecutionContext,
  options: { name: string; segments?: number },
): Promise<Lab> {
  const lab = await createLab({ ...options, name: `e2e-${options.name}-${process.pid}` })
  t.teardown(() => destroyLab(lab.name))
  return lab
}

/** Starts a daemon on each host and waits until all know each other; their logs are shown if the test fails. */
export async function startCluster(
  t: ExecutionContext,
  hosts: readonly Host[],
  options: { store: StoreKind; config: NetworkConfig; flags?: readonly string[] },
): Promise<Cluster> {
  const [first] = hosts
  if (!first) throw new RangeError('A cluster has at least one host')
  const { lab } = first
  const store = await openStore(lab, options.store, options.config)
  const flags = ['--iface', 'eth0', ...(options.flags ?? [])]
  const daemons = await mapLimit(hosts, 4, (host) => startDaemon(host, store, flags))
  t.teardown(() => {
    if (t.passed) return
    for (const [i, daemon] of daemons.entries())
      t.log(`heddled ${hosts[i]?.name}:\n${daemon.log()}`)
  })
  for (const host of hosts) await waitForPeers(host, hosts.length - 1)
  return { lab, store, hosts, daemons }
}

/** Hosts 1 to `count` of a new lab, all on one link. */
export async function hostsFor(
  t: ExecutionContext,
  options: { name: string; count: number },
): Promise<Host[]> {
  const lab = await labFor(t, { name: options.name })
  const indices = Array.from({ length: options.count }, (_, i) => i + 1)
  return mapLimit(indices, 4, (index) => addHost(lab, index))
}

/** Attaches containers `a`, `b`, ... to each host. */
export async function attachAll(hosts: readonly Host[], each: number): Promise<Container[]> {
  const names = ['a', 'b', 'c', 'd'].slice(0, each)
  const containers = await mapLimit(hosts, 4, (host) => mapLimit(names, 1, (n) => attach(host, n)))
  return containers.flat()
}

/** The item at an index that the test knows to exist. */
export function nth<T>(items: readonly T[], index: number): T {
  const item = items[index]
  if (item === undefined) throw new RangeError(`No item ${index} of ${items.length}`)
  return item
}
