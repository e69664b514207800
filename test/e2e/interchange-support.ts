import { join } from 'node:path'
import { addPod, deletePod, type Host, type Pod } from '../../scripts/lab/lab.ts'
import { attemptAt, runAt } from '../../scripts/lab/place.ts'
import { nth } from './support.ts'

/** Where a set of plugins is, each under its usual name. */
export interface PluginSet {
  readonly title: string
  readonly folder: string
  /** Its PATH, unless it is the test's own. */
  readonly path?: string
}

/** Debian's packages; what a host has that moves to heddle. */
export const debian: PluginSet = { title: "Debian's plugins", folder: '/usr/lib/cni' }

/** The build under test, once `installOurs` has put it there. */
export const ours: PluginSet = { title: 'heddle', folder: '/run/lab/ours' }

const root = join(import.meta.dirname, '../..')

/** Installs a tree's `dist/` on a host under the reference plugins' names too. */
export async function installOurs(host: Host, tree = root, folder = ours.folder): Promise<void> {
  const folders = ['--cni-dir', folder, '--bin-dir', folder]
  await runAt(host, [join(tree, 'scripts/install'), '--as-flannel', ...folders])
}

/** A plugin's configuration in a list, with what the runtime knows of its capabilities. */
type PluginConf = Readonly<Record<string, unknown>> & {
  readonly type: string
  readonly capabilities?: Readonly<Record<string, boolean>>
}

/** A network configuration list. */
export interface ConfList {
  readonly cniVersion: string
  readonly name: string
  readonly plugins: readonly PluginConf[]
}

/** What tests look at in a result. */
export interface ChainResult {
  readonly ips: readonly { readonly address: string }[]
}

/** A container attached through a list, and what the runtime keeps for its DEL. */
export interface Attached {
  readonly pod: Pod
  readonly id: string
  readonly list: ConfList
  readonly runtimeConfig: Readonly<Record<string, unknown>>
  readonly result: ChainResult
}

/** Makes a container's namespace and attaches it as libcni does: each plugin gets the last one's result. */
export async function addChain(
  host: Host,
  plugins: PluginSet,
  options: { name: string; list: ConfList; runtimeConfig?: Readonly<Record<string, unknown>> },
): Promise<Attached> {
  const { name, list, runtimeConfig = {} } = options
  const pod = await addPod(host, name)
  const attached = { pod, id: name, list, runtimeConfig, result: { ips: [] } }
  return addAgain(attached, plugins)
}

async function addAgain(attached: Attached, plugins: PluginSet): Promise<Attached> {
  let result: ChainResult | undefined
  for (const conf of attached.list.plugins) {
    const answer = await call(attached, plugins, { command: 'ADD', conf, prevResult: result })
    result = JSON.parse(answer) as ChainResult
  }
  return { ...attached, result: result ?? attached.result }
}

/** Detaches as libcni does, the last plugin first, then removes the namespace. Throws what a plugin answers. */
export async function delChain(attached: Attached, plugins: PluginSet): Promise<void> {
  await delOnly(attached, plugins)
  await deletePod(attached.pod)
}

/** As `delChain`, but the namespace stays. */
export async function delOnly(attached: Attached, plugins: PluginSet): Promise<void> {
  for (const conf of attached.list.plugins.toReversed()) {
    await call(attached, plugins, { command: 'DEL', conf, prevResult: attached.result })
  }
}

/**
 * Debian's bridge answers DEL with an error, once it has removed the link and the reservation, when
 * the chain of its masquerading is not there: it does not know how this iptables says so. The
 * runtime's next try succeeds.
 */
export const missingChain = /Chain 'CNI-[0-9a-f]{24}' does not exist/

interface PluginCall {
  readonly command: 'ADD' | 'DEL'
  readonly conf: PluginConf
  readonly prevResult: ChainResult | undefined
}

async function call(attached: Attached, plugins: PluginSet, options: PluginCall): Promise<string> {
  const { command, conf, prevResult } = options
  const { cniVersion, name } = attached.list
  const capable = Object.keys(conf.capabilities ?? {})
  const entries = Object.entries(attached.runtimeConfig).filter(([key]) => capable.includes(key))
  const runtimeConfig = entries.length > 0 ? { runtimeConfig: Object.fromEntries(entries) } : {}
  const input = JSON.stringify({ ...conf, cniVersion, name, ...runtimeConfig, prevResult })
  const { pod, id } = attached
  return runPluginFile(pod, plugins, { type: conf.type, command, id, input })
}

/** Runs one plugin of a set for a pod; its standard output. Throws what it answers when it fails. */
export async function runPluginFile(
  pod: Pod,
  plugins: PluginSet,
  what: { type: string; command: string; id: string; input: string },
): Promise<string> {
  const { type, command, id, input } = what
  const { code, stdout, stderr } = await attemptAt(pod.host, [`${plugins.folder}/${type}`], {
    input,
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_NETNS: pod.path,
      CNI_IFNAME: 'eth0',
      CNI_PATH: plugins.folder,
      CNI_ARGS: '',
      ...(plugins.path && { PATH: plugins.path }),
    },
    timeoutMs: 30_000,
  })
  if (code !== 0) throw new Error(`${plugins.title}: ${type} ${command}: ${stdout} ${stderr}`)
  return stdout
}

/** Tells every plugin of a list which attachments are left: GC, as libcni 1.3 does. */
export async function collectGarbage(
  host: Host,
  list: ConfList,
  valid: readonly string[],
): Promise<void> {
  const attachments = valid.map((containerID) => ({ containerID, ifname: 'eth0' }))
  for (const conf of list.plugins) {
    const keys = { cniVersion: '1.1.0', name: list.name, 'cni.dev/valid-attachments': attachments }
    const { code, stdout } = await attemptAt(host, [`${ours.folder}/${conf.type}`], {
      input: JSON.stringify({ ...conf, ...keys }),
      env: { CNI_COMMAND: 'GC', CNI_PATH: ours.folder },
    })
    if (code !== 0) throw new Error(`${conf.type} GC: ${stdout}`)
  }
}

/** An attached container's first IPv4 address. */
export function addressOf({ result }: Attached): string {
  return nth(result.ips, 0).address.replace(/\/\d+$/, '')
}

/** Bridge with masquerading, published ports in both families and rates, by the reference's configuration. */
export function chainOf(
  keys: { ipMasqBackend?: string; backend?: string } = {},
  cniVersion = '1.0.0',
): ConfList {
  const { ipMasqBackend, backend } = keys
  const ranges = [[{ subnet: '10.83.0.0/24' }], [{ subnet: 'fd00:83::/64' }]]
  return {
    cniVersion,
    name: 'swap',
    plugins: [
      {
        type: 'bridge',
        bridge: 'swap0',
        isDefaultGateway: true,
        hairpinMode: true,
        ipMasq: true,
        ...(ipMasqBackend && { ipMasqBackend }),
        ipam: { type: 'host-local', ranges },
      },
      { type: 'portmap', capabilities: { portMappings: true }, ...(backend && { backend }) },
      { type: 'bandwidth', capabilities: { bandwidth: true } },
    ],
  }
}

/** What the runtime is asked for: ports, and rates in bit/s. */
export const wanted = {
  portMappings: [
    { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
    { hostPort: 5353, containerPort: 53, protocol: 'udp' },
    { hostPort: 8081, containerPort: 80, protocol: 'tcp', hostIP: '127.0.0.1' },
  ],
  bandwidth: {
    ingressRate: 80_000_000,
    ingressBurst: 8_000_000,
    egressRate: 80_000_000,
    egressBurst: 8_000_000,
  },
}

/** Lines that one list has more often than the other, `-` before and `+` after. */
export function difference(before: readonly string[], after: readonly string[]): string[] {
  const count = (lines: readonly string[]) =>
    lines.reduce((map, line) => map.set(line, (map.get(line) ?? 0) + 1), new Map<string, number>())
  const [old, now] = [count(before), count(after)]
  return [...new Set([...before, ...after])].flatMap((line) => {
    const more = (now.get(line) ?? 0) - (old.get(line) ?? 0)
    return more === 0 ? [] : [`${more > 0 ? '+' : '-'} ${line}`]
  })
}
