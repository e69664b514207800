import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import {
  labDirectory,
  namespaceName,
  netnsDirectory,
  netnsPath,
  underlayIPv4,
  underlayIPv6,
} from './names.ts'
import { type Place, runAt, startAt } from './place.ts'
import { type Command, mapLimit, run, until } from './run.ts'
import { destroyLab, labNamespaces } from './teardown.ts'

/**
 * Several hosts on one machine, joined by a switch that their packets really cross. Host N is
 * 10.100.0.N and fd00:100::N; the switch is .254 and ::fe, every host's default gateway, and stands
 * for the world outside. Disposing of it destroys it, see `destroyLab`.
 */
export interface Lab extends AsyncDisposable {
  readonly name: string
  /** One folder for the machine and all hosts, at the same path: logs, the embedded store. */
  readonly directory: string
  readonly switch: Place
}

/** A host: network, mount and UTS namespaces of its own, and an eth0 on the switch. */
export interface Host extends Place {
  readonly lab: Lab
  /** The process that holds its namespaces, for `nsenter --target`. */
  readonly anchor: number
  /** Its network namespace in the machine's `ip netns`. */
  readonly netns: string
  /** The switch's port to it. */
  readonly port: string
  readonly publicIP: string
  readonly publicIPv6: string
}

/** A network namespace for a container. */
export interface Pod extends Place {
  readonly host: Host
  /** The namespace's path, as programs on the host see it. */
  readonly path: string
}

const underlayMtu = 1500

/**
 * Makes a lab without hosts. Needs root. `segments` (1) links are joined by a router, the switch:
 * hosts of segment S are 10.(100+S).0.N. Throws if a lab of that name exists; leaves nothing behind
 * when it fails. Labs of different names stand side by side, with the same addresses.
 */
export async function createLab(options: { name: string; segments?: number }): Promise<Lab> {
  const { name, segments = 1 } = options
  if (process.getuid?.() !== 0) throw new Error('A lab of network namespaces needs root')
  if (labNamespaces(name).length > 0) throw new Error(`A lab named ${name} is up already`)
  const lab: Lab = {
    name,
    directory: labDirectory(name),
    switch: { name: 'switch', enter: ['nsenter', `--net=${netnsPath(name, 'switch')}`, '--'] },
    [Symbol.asyncDispose]: () => destroyLab(name),
  }
  await orDestroy(lab, async () => {
    mkdirSync(lab.directory, { recursive: true, mode: 0o755 })
    await run(['ip', 'netns', 'add', namespaceName(name, 'switch')])
    await ip(namespaceName(name, 'switch'), switchLines(segments))
    await runAt(lab.switch, ['sh', '-c', enableForwarding])
  })
  return lab
}

const enableForwarding =
  'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'

// Link-local addresses are given, like all others, without a search for duplicates: until that is over, a
// second after the link is up, a host cannot find its neighbours. Real hosts have been up for longer.
function switchLines(segments: number): string[] {
  return [
    'link set lo up',
    ...Array.from({ length: segments }, (_, segment) => [
      `link add br${segment} type bridge mcast_snooping 0`,
      `link set br${segment} mtu ${underlayMtu} addrgenmode none`,
      `link set br${segment} up`,
      `addr add fe80::fe/64 dev br${segment} nodad`,
      `addr add ${underlayIPv4(254, segment)}/24 dev br${segment}`,
      `addr add ${underlayIPv6(254, segment)}/64 dev br${segment} nodad`,
    ]).flat(),
  ]
}

/** Adds host `index` (1..250) to a lab, in segment 0 if not told otherwise. */
export async function addHost(lab: Lab, index: number, segment = 0): Promise<Host> {
  const netns = namespaceName(lab.name, `h${index}`)
  const port = `p${index}`
  const publicIP = underlayIPv4(index, segment)
  const publicIPv6 = underlayIPv6(index, segment)
  await run(['ip', 'netns', 'add', netns])
  const anchor = await startAnchor(lab, index)
  await ip(namespaceName(lab.name, 'switch'), [
    `link add ${port} mtu ${underlayMtu} type veth peer name eth0 mtu ${underlayMtu} netns ${netns}`,
    `link set ${port} master br${segment} up`,
  ])
  await ip(netns, [
    'link set eth0 addrgenmode none',
    'link set eth0 up',
    `addr add fe80::${index.toString(16)}/64 dev eth0 nodad`,
    `addr add ${publicIP}/24 dev eth0`,
    `addr add ${publicIPv6}/64 dev eth0 nodad`,
    `route add default via ${underlayIPv4(254, segment)}`,
    `route add ::/0 via ${underlayIPv6(254, segment)}`,
  ])
  return {
    lab,
    name: `host${index}`,
    enter: ['nsenter', '--target', String(anchor), '--net', '--mount', '--uts', '--'],
    anchor,
    netns,
    port,
    publicIP,
    publicIPv6,
  }
}

/** A lab with hosts 1 to `hosts`. */
export async function createHosts(name: string, hosts: number): Promise<[Lab, Host[]]> {
  const lab = await createLab({ name })
  const indices = Array.from({ length: hosts }, (_, i) => i + 1)
  return orDestroy(lab, async () => [lab, await mapLimit(indices, 4, (i) => addHost(lab, i))])
}

/** Several `ip` commands in one process; the first that fails ends it. */
async function ip(netns: string, lines: readonly string[]): Promise<void> {
  await run(['ip', '-netns', netns, '-batch', '-'], { input: `${lines.join('\n')}\n` })
}

async function orDestroy<T>(lab: Lab, body: () => Promise<T>): Promise<T> {
  try {
    return await body()
  } catch (error) {
    await destroyLab(lab.name)
    throw error
  }
}

/** Starts a host's `host-init` and waits until it has set the host up; returns its process id. */
async function startAnchor(lab: Lab, index: number): Promise<number> {
  const init = fileURLToPath(new URL('host-init', import.meta.url))
  const netns = namespaceName(lab.name, `h${index}`)
  const anchor = startAt(
    { name: netns, enter: ['nsenter', `--net=${netnsPath(lab.name, `h${index}`)}`, '--'] },
    [
      'unshare',
      '--mount',
      '--uts',
      '--propagation',
      'slave',
      init,
      `host${index}`,
      netns,
      lab.directory,
    ],
    { logFile: `${lab.directory}/host${index}/init.log` },
  )
  const isReady = () => anchor.log().endsWith('ready\n') || !anchor.running()
  await until(`host ${index} to be set up`, isReady, { timeoutMs: 10_000, everyMs: 10 })
  if (!anchor.running()) throw new Error(`Cannot set up host ${index}: ${anchor.log()}`)
  return anchor.pid
}

/** Makes a namespace for a container, as a runtime does before it calls a plugin. */
export async function addPod(host: Host, name: string): Promise<Pod> {
  await runAt(host, ['ip', 'netns', 'add', name])
  await runAt(host, ['ip', '-netns', name, 'link', 'set', 'lo', 'up'])
  const path = `${netnsDirectory}/${name}`
  const enter: Command = [...host.enter, 'nsenter', `--net=${path}`, '--']
  return { name: `${host.name}/${name}`, host, path, enter }
}

/** Removes a container's namespace. */
export async function deletePod(pod: Pod): Promise<void> {
  await runAt(pod.host, ['ip', 'netns', 'delete', pod.path.slice(netnsDirectory.length + 1)])
}

/** Where a file of a host is found from the machine's own file tree. */
export function hostFile(host: Host, path: string): string {
  return `/proc/${host.anchor}/root${path}`
}
