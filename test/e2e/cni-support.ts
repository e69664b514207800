import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { dist } from '../../scripts/lab/heddle.ts'
import { addHost, addPod, type Host, hostFile, type Pod } from '../../scripts/lab/lab.ts'
import { attemptAt, runAt } from '../../scripts/lab/place.ts'
import { labFor } from './support.ts'

/** Debian's reference plugins, against which ours are held. */
export const referenceFolder = '/usr/lib/cni'

/** Names of other plugins that the executable can go by. */
const dropIns: readonly string[] = ['bridge', 'flannel', 'portmap', 'bandwidth']

/** One host with nothing on it but its link to the switch. */
export async function bareHost(t: ExecutionContext, name: string): Promise<Host> {
  const host = await addHost(await labFor(t, { name }), 1)
  // Link-local addresses are there at once, so that two dumps can be compared.
  await runAt(host, ['sh', '-c', 'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad'])
  for (const name of dropIns) {
    await runAt(host, ['ln', '-s', join(dist, 'heddle'), `/run/lab/${name}`])
  }
  return host
}

/** One run of a plugin. What is left out is as a runtime would have it for this pod. */
export interface PluginRun {
  readonly command: string
  readonly conf: object | string
  /** Name of an executable in dist/ or of a drop-in, or a path. */
  readonly plugin?: string
  readonly env?: Readonly<Record<string, string>>
  /** Words before the executable, such as strace with its options. */
  readonly under?: readonly string[]
}

/** What tests look at in a result of any version, or in an error. */
export interface PluginAnswer {
  readonly cniVersion?: string
  readonly code?: number
  readonly msg?: string
  readonly details?: string
  readonly interfaces?: readonly { name: string; mac?: string; sandbox?: string }[]
  readonly ips?: readonly { address: string; gateway?: string; interface?: number }[]
  readonly routes?: readonly { dst: string; gw?: string }[]
  readonly ip4?: object
  readonly ip6?: object
  readonly dns?: object
}

/** How a plugin's run ended. `json` is empty when standard output held none. */
export interface PluginOutcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  readonly json: PluginAnswer
}

/** Runs a plugin for a pod to its end, whatever comes of it. */
export async function runPlugin(pod: Pod, run: PluginRun): Promise<PluginOutcome> {
  const { conf, plugin = 'heddle', env = {}, under = [] } = run
  const folder = dropIns.includes(plugin) ? '/run/lab' : dist
  const executable = plugin.startsWith('/') ? plugin : join(folder, plugin)
  const [first, ...rest] = [...under, executable]
  const { code, stdout, stderr } = await attemptAt(pod.host, [first, ...rest], {
    input: typeof conf === 'string' ? conf : JSON.stringify(conf),
    env: { ...environment(pod), CNI_COMMAND: run.command, ...env },
    timeoutMs: 30_000,
  })
  return { code, stdout, stderr, json: readAnswer(stdout) }
}

function environment(pod: Pod): Record<string, string> {
  return {
    CNI_CONTAINERID: pod.name.replaceAll('/', '-'),
    CNI_NETNS: pod.path,
    CNI_IFNAME: 'eth0',
    CNI_PATH: `${dist}:${referenceFolder}`,
    CNI_ARGS: '',
    CNI_NETNS_OVERRIDE: '',
  }
}

function readAnswer(text: string): PluginAnswer {
  try {
    return JSON.parse(text) as PluginAnswer
  } catch {
    return {}
  }
}

/** Runs a plugin that must succeed; fails the test with all it said otherwise. */
export async function mustRun(
  t: ExecutionContext,
  pod: Pod,
  run: PluginRun,
): Promise<PluginOutcome> {
  const outcome = await runPlugin(pod, run)
  t.is(outcome.code, 0, `${run.command}: ${outcome.stdout}${outcome.stderr}`)
  return outcome
}

/** A fresh namespace for a container, named for its test. */
export function podOn(host: Host, name: string): Promise<Pod> {
  return addPod(host, name)
}

/** The links, addresses, routes, rules and files that make up the state of a host and its pods. */
export async function dump(host: Host, ...pods: readonly Pod[]): Promise<readonly string[]> {
  const texts = await Promise.all([
    ...[host, ...pods].map((place) => runAt(place, ['sh', '-c', networkScript])),
    runAt(host, ['sh', '-c', fileScript]),
  ])
  return texts
    .join('\n')
    .split('\n')
    .filter((line) => line !== '')
}

/**
 * A dump without what the kernel finds out on its own and in its own time: whether a link has a
 * carrier, and what it gives to links that have.
 */
export async function steadyDump(host: Host, ...pods: readonly Pod[]): Promise<readonly string[]> {
  const lines = await dump(host, ...pods)
  return lines
    .filter((line) => !/^(local |multicast |anycast )?(fe80:|ff00:)|inet6 fe80:/.test(line))
    .map((line) => line.replaceAll(/NO-CARRIER,|,LOWER_UP| state [A-Z]+| linkdown/g, ''))
}

/** What one dump has and another has not: `-` lines were before, `+` lines are after. */
export function changes(before: readonly string[], after: readonly string[]): string[] {
  return [
    ...before.filter((line) => !after.includes(line)).map((line) => `- ${line}`),
    ...after.filter((line) => !before.includes(line)).map((line) => `+ ${line}`),
  ]
}

/**
 * First waits, for 3 s at the most, until the kernel has noticed which bridges lost their last port
 * or got their first: it does so up to a second later, and the routes look different then.
 */
const networkScript = `
for turn in $(seq 60); do
  late=
  for bridge in /sys/class/net/*/bridge; do
    [ -e "$bridge" ] || continue
    link=\${bridge%/bridge}
    wanted=down
    for port in "$link"/brif/*; do
      [ -e "$port" ] && grep -qx up "/sys/class/net/\${port##*/}/operstate" && wanted=up
    done
    state=$(cat "$link/operstate")
    [ "$state" = "$wanted" ] || [ "$(($(cat "$link/flags") & 1))" = 0 ] || late=$link
  done
  [ -n "$late" ] || break
  sleep 0.05
done
ip -oneline -details link | sed -E 's/ (gc|hello|tcn|forward_delay|topology_change|message_age|hold)_timer +[0-9.]+//g'
ip -oneline addr | sed -E 's/ (valid|preferred)_lft [^ ]+//g'
ip route show table all; ip -6 route show table all; ip neigh show nud permanent
/usr/sbin/nft list ruleset || exit; bridge -oneline link`

/**
 * The lock, where the next search begins, what was freed lately, and what is known of others'
 * reservations, are shared by all containers of a network.
 */
const fileScript = `
for folder in /var/lib/cni /run/heddle /var/lib/heddle; do
  find "$folder" -type f ! -name lock ! -name 'last_reserved_ip.*' ! -path '*/.heddle/*/freed' \\
    ! -path '*/.heddle/*/held/*=*' -print -exec cat {} ';' -exec echo ';' 2>/dev/null
done
true`

/** The text of a file as a host sees it; undefined when there is none. */
export function fileOn(host: Host, path: string): string | undefined {
  const file = hostFile(host, path)
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined
}

/** A setting below /proc/sys/net, as a place has it. */
export async function sysctl(place: Host | Pod, key: string): Promise<string> {
  return (await runAt(place, ['cat', `/proc/sys/net/${key}`])).trim()
}

/** What `ip -json` prints in a place. */
export async function ipJson<T>(place: Host | Pod, ...args: readonly string[]): Promise<T[]> {
  const text = await runAt(place, ['ip', '-json', ...args])
  return JSON.parse(text || '[]') as T[]
}
