import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Netmask } from 'netmask'
import { addPod, deletePod, type Host, hostFile, type Pod } from './lab.ts'
import { type Background, runAt, startAt } from './place.ts'
import { until } from './run.ts'
import type { LabStore } from './store.ts'

/** The folder of the executables under test, readable on every host of a lab. */
export const dist = join(import.meta.dirname, '../../dist')

/** Where the daemon writes its lease and the plugin reads it; each host has a /run of its own. */
export const subnetFile = '/run/flannel/subnet.env'

/** What a host holds of the cluster's network, from its subnet file. */
export interface Lease {
  /** `10.244.5.0/24` */
  readonly subnet: string
  readonly ipv6Subnet: string | undefined
  readonly mtu: number
}

/** Starts `heddled` on a host and waits until it holds a lease. */
export async function startDaemon(
  host: Host,
  store: Pick<LabStore, 'flags'>,
  flags: readonly string[] = [],
): Promise<Background> {
  const daemon = startAt(host, [join(dist, 'heddled'), ...store.flags, ...flags], {
    logFile: `${host.lab.directory}/${host.name}/heddled.log`,
  })
  const isReady = () => existsSync(hostFile(host, subnetFile)) || !daemon.running()
  try {
    await until('its lease', isReady, { timeoutMs: 60_000 })
    if (!daemon.running()) throw new Error(`it ended: ${await daemon.ended}`)
  } catch (error) {
    throw new Error(`heddled on ${host.name}:\n${daemon.log().trim()}`, { cause: error })
  }
  return daemon
}

/** Reads a host's lease; throws when its daemon has not written one. */
export function readLease(host: Host): Lease {
  const lines = readFileSync(hostFile(host, subnetFile), 'utf8').trim().split('\n')
  const values = new Map(lines.map((line) => line.split('=', 2) as [string, string]))
  const subnetOf = (key: string) => {
    const gateway = values.get(key)
    return gateway === undefined ? undefined : new Netmask(gateway).toString()
  }
  const subnet = subnetOf('FLANNEL_SUBNET')
  if (subnet === undefined) throw new Error(`No FLANNEL_SUBNET in ${host.name}'s ${subnetFile}`)
  return {
    subnet,
    ipv6Subnet: subnetOf('FLANNEL_IPV6_SUBNET'),
    mtu: Number(values.get('FLANNEL_MTU')),
  }
}

/** Waits until a host routes to `peers` other subnets in each family that it has a lease in. */
export async function waitForPeers(host: Host, peers: number, timeoutMs = 15_000): Promise<void> {
  const families = readLease(host).ipv6Subnet === undefined ? ['-4'] : ['-4', '-6']
  for (const family of families) {
    const probe = async () => (await daemonRoutes(host, family)).size >= peers
    await until(`${host.name} to have ${peers} ${family} routes`, probe, { timeoutMs })
  }
}

/** The destinations of the routes that `heddled` made: those of protocol 104. */
export async function daemonRoutes(host: Host, family: string): Promise<Set<string>> {
  const json = await runAt(host, ['ip', family, '-json', 'route', 'show', 'proto', '104'])
  const routes = JSON.parse(json || '[]') as { dst: string }[]
  return new Set(routes.map((route) => route.dst))
}

/** A container as far as the network goes: a namespace that the plugin has attached. */
export interface Container extends Pod {
  /** Without prefix length; IPv4 first. */
  readonly addresses: readonly string[]
}

/** The part of a CNI result that tests look at; see section 5 of the specification. */
export interface CniResult {
  readonly ips?: readonly { readonly address: string; readonly gateway?: string }[]
}

/** The plugin configuration that `attach` uses: all from the subnet file. */
export const pluginConf = {
  cniVersion: '1.0.0',
  name: 'heddle',
  type: 'heddle',
  isDefaultGateway: true,
  hairpinMode: true,
}

/** Runs one CNI command for a pod through `dist/heddle`, as a runtime does; its standard output. */
export function cni(pod: Pod, command: 'ADD' | 'DEL' | 'CHECK', conf: object): Promise<string> {
  return runAt(pod.host, [join(dist, 'heddle')], {
    input: JSON.stringify(conf),
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: pod.name.replaceAll('/', '-'),
      CNI_NETNS: pod.path,
      CNI_IFNAME: 'eth0',
      CNI_PATH: dist,
    },
  })
}

/** Makes a container's namespace on a host and attaches it to the cluster's network. */
export async function attach(host: Host, name: string): Promise<Container> {
  const pod = await addPod(host, name)
  const result = JSON.parse(await cni(pod, 'ADD', pluginConf)) as CniResult
  const addresses = (result.ips ?? []).map(({ address }) => address.replace(/\/\d+$/, ''))
  return { ...pod, addresses }
}

/** Detaches a container and removes its namespace. */
export async function detach(container: Container): Promise<void> {
  await cni(container, 'DEL', pluginConf)
  await deletePod(container)
}
