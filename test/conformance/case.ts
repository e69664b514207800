import { writeFileSync } from 'node:fs'
import type { ExecutionContext } from 'ava'
import { addPod, type Host, hostFile, type Pod } from '../../scripts/lab/lab.ts'
import { attemptAt } from '../../scripts/lab/place.ts'
import {
  type Execution,
  execute,
  executeAlone,
  type Outcome,
  type Stdin,
  usualPath,
} from './exec.ts'
import { environment } from './libcni.ts'
import { differences, leftovers, readState, type State } from './state.ts'
import { folderOf, type Subject } from './subjects.ts'

/** One call of the subject. What is left out is as libcni would have it. */
export interface Run {
  readonly command: string
  /** Merged into the subject's configuration; a text is the whole of standard input. */
  readonly conf?: object | string
  readonly stdin?: Stdin
  /** Set over libcni's; undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly pod?: Pod
  readonly id?: string
  readonly ifname?: string
  /** Another plugin than the subject, of the same maker. */
  readonly plugin?: string
  readonly under?: readonly string[]
  /** Programs that the plugin is expected to start: somebody else's delegates. */
  readonly delegates?: number
}

/** A result or an error, whichever was printed. */
export interface Answer {
  readonly cniVersion?: string
  readonly code?: number
  readonly msg?: string
  readonly details?: string
  readonly interfaces?: readonly { name: string; mac?: string; sandbox?: string; mtu?: number }[]
  readonly ips?: readonly {
    version?: string
    address: string
    gateway?: string
    interface?: number
  }[]
  readonly routes?: readonly { dst: string; gw?: string; mtu?: number }[]
  readonly ip4?: { readonly ip: string }
  readonly ip6?: { readonly ip: string }
  readonly dns?: object
}

/** One case on one subject: names, addresses and files of its own on the shared host. */
export interface Case {
  readonly t: ExecutionContext
  readonly host: Host
  readonly subject: Subject
  readonly number: number
  readonly network: string
  readonly bridge: string
  readonly subnet: string
  readonly subnet6: string
  /** The subject's least configuration that attaches, with `more` merged in. */
  conf(more?: object): Record<string, unknown>
  /** A fresh namespace, gone after the case. */
  pod(suffix?: string): Promise<Pod>
  run(run: Run): Promise<Outcome>
  /** As `run`; what it said, in the short form that tables are made of. */
  say(run: Run): Promise<unknown>
  /** As `run`, which must succeed and print a result. */
  result(run: Run): Promise<Answer>
  /** As `run`, which must succeed and print nothing. */
  ok(run: Run): Promise<void>
  /** The links, addresses, routes, rules and files of the host. */
  state(...pods: readonly Pod[]): Promise<State>
  /** What is there now and was not, and the other way round. */
  changed(before: State, ...pods: readonly Pod[]): Promise<string[]>
  /** The kinds of things that are there now and were not. */
  left(before: State, ...pods: readonly Pod[]): Promise<string[]>
  /** The result of a plugin that ran before a chained one. */
  earlier(pod: Pod, version?: string): object
  /** Undone after the case. */
  later(undo: () => Promise<unknown>): void
}

let cases = 0

/** Opens a case; what it makes goes when the test ends. */
export function openCase(t: ExecutionContext, host: Host, subject: Subject): Case {
  const number = ++cases
  const subnet = `10.${128 + (number >> 8)}.${number & 255}.0/24`
  const subnet6 = `fd00:${number.toString(16)}::/64`
  const names = { network: `net${number}`, bridge: `br${number}`, subnet, subnet6 }
  const undos: (() => Promise<unknown>)[] = []
  const pods: string[] = []
  let looked = false
  const made: Case = {
    ...names,
    t,
    host,
    subject,
    number,
    conf: (more = {}) => ({ ...leastConf(made), ...more }),
    pod: async (suffix = '') => {
      const pod = await addPod(host, `p${number}${suffix}`)
      pods.push(`p${number}${suffix}`)
      return pod
    },
    run: (run) => start(made, run),
    say: async (run) => brief(await start(made, run)),
    result: async (run) => {
      const outcome = await start(made, run)
      t.is(outcome.exit, 0, `${run.command}: ${outcome.stdout}${outcome.stderr}`)
      return JSON.parse(outcome.stdout) as Answer
    },
    ok: async (run) => {
      const { exit, stdout, stderr } = await start(made, run)
      t.deepEqual({ exit, stdout }, { exit: 0, stdout: '' }, `${run.command}: ${stderr}`)
    },
    state: (...of) => {
      looked = true
      return readState(host, of)
    },
    changed: async (before, ...pods) => differences(before, await readState(host, pods)),
    left: async (before, ...of) => leftovers(before, await readState(host, of)),
    earlier: (pod, version) => earlierResult(made, pod.path, version),
    later: (undo) => void undos.push(undo),
  }
  t.teardown(async () => {
    for (const undo of undos.toReversed()) await undo()
    // Most cases are refusals, which neither need nor leave anything.
    if (looked || pods.length > 0) await sweepHost(host, pods)
  })
  return made
}

/** Removes namespaces and everything that plugins may have left on a host. */
export async function sweepHost(host: Host, pods: readonly string[]): Promise<void> {
  await attemptAt(host, ['sh', '-c', sweep, 'sh', ...pods])
}

/** Each case finds the host as the first one did. Links go before their namespaces, which take their time. */
const sweep = `
for pod; do ip -netns "$pod" link delete eth0; ip netns delete "$pod"; done
for kind in bridge veth ifb; do
  for link in $(ip -oneline link show type $kind | sed -nE 's/^[0-9]+: ([^:@]+).*/\\1/p'); do
    [ "$link" = eth0 ] || ip link delete "$link"
  done
done
nft flush ruleset
rm -rf /var/lib/cni/* /run/heddle /run/lab/results
`

/** A container's id in a case: what its namespace is called. */
export function idOf({ name }: Pod): string {
  return name.slice(name.lastIndexOf('/') + 1)
}

function start(made: Case, run: Run): Promise<Outcome> {
  const { subject, host } = made
  const folder = folderOf(subject.maker)
  const execution: Execution = {
    path: `${folder}/${run.plugin ?? subject.plugin}`,
    env: variables(made, run, folder),
    stdin: run.stdin ?? textOf(made, run),
    ...(run.under ? { under: run.under } : {}),
  }
  return subject.maker === 'heddle'
    ? executeAlone(host, execution, run.delegates)
    : execute(host, execution)
}

function textOf(made: Case, { conf = {}, pod }: Run): string {
  if (typeof conf === 'string') return conf
  const chained =
    pod && 'prevResult' in made.conf() ? { prevResult: earlierResult(made, pod.path) } : {}
  return JSON.stringify(made.conf({ ...chained, ...conf }))
}

function variables(made: Case, run: Run, folder: string): Record<string, string> {
  const { pod, command, env = {} } = run
  const attachment = {
    containerId: run.id ?? (pod ? idOf(pod) : `c${made.number}`),
    netns: pod?.path ?? `/run/netns/none${made.number}`,
    ifname: run.ifname ?? 'eth0',
  }
  const all = { ...environment({ env: { PATH: usualPath } }, command, attachment, folder), ...env }
  const set = Object.entries(all).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  )
  return Object.fromEntries(set)
}

/** The address that a chained plugin finds in what came before it. */
function earlierResult(
  { number }: Pick<Case, 'number'>,
  sandbox: string,
  version = '1.0.0',
): object {
  const address = `10.9.${number & 255}.2/24`
  if (version < '0.3.0') return { cniVersion: version, ip4: { ip: address }, dns: {} }
  const family = version < '1.0.0' ? { version: '4' } : {}
  return {
    cniVersion: version,
    interfaces: [{ name: 'eth0', mac: '0a:00:00:00:00:02', sandbox }],
    ips: [{ ...family, address, interface: 0 }],
    dns: {},
  }
}

function leastConf(made: Case): Record<string, unknown> {
  const { subject, network, bridge, subnet, subnet6 } = made
  const common = { cniVersion: '1.0.0', name: network, type: subject.plugin }
  const ranges = [[{ subnet }], [{ subnet: subnet6 }]]
  switch (subject.kind) {
    case 'network': {
      if (subject.plugin === 'flannel') return { ...common, ...flannelConf(made) }
      const ipam = ipamOf(subject, ranges)
      return { ...common, bridge, isGateway: true, isDefaultGateway: true, ipam }
    }
    // One family: with IPv6 the reference waits a second or two for duplicates.
    case 'ptp':
      return { ...common, ...ownMode(subject), ipam: ipamOf(subject, [[{ subnet }]]) }
    case 'macvlan':
      return {
        ...common,
        ...ownMode(subject),
        master: 'eth0',
        ipam: ipamOf(subject, [[{ subnet }]]),
      }
    case 'ipam':
      return { ...common, ipam: { type: subject.plugin, ranges } }
    case 'loopback':
      return common
    case 'portmap':
    case 'bandwidth':
      return { ...common, prevResult: earlierResult(made, `/run/netns/none${made.number}`) }
  }
}

function ipamOf({ plugin }: Subject, ranges: object): object {
  return { type: plugin === 'heddle' ? 'heddle-ipam' : 'host-local', ranges }
}

/** One executable has all of ours; upstream has a plugin for each. */
function ownMode({ maker, kind }: Subject): object {
  return maker === 'heddle' ? { mode: kind } : {}
}

function flannelConf({ host, number, bridge, subnet, subnet6 }: Case): object {
  const subnetFile = `/run/lab/subnet${number}.env`
  const lines = [
    `FLANNEL_NETWORK=${subnet.replace(/\.\d+\.0\/24/, '.0.0/16')}`,
    `FLANNEL_SUBNET=${subnet.replace('.0/24', '.1/24')}`,
    `FLANNEL_IPV6_NETWORK=fd00::/16`,
    `FLANNEL_IPV6_SUBNET=${subnet6.replace('::/64', '::1/64')}`,
    'FLANNEL_MTU=1450',
    'FLANNEL_IPMASQ=false',
  ]
  writeFileSync(hostFile(host, subnetFile), `${lines.join('\n')}\n`)
  const dataDir = `/run/lab/flannel${number}`
  return { subnetFile, dataDir, delegate: { bridge, isDefaultGateway: true, ipMasq: false } }
}

/** What a run said: `ok` for silence, `result`, the error's fields, or all of it where it is neither. */
export function brief({ exit, stdout, stderr }: Outcome): unknown {
  if (exit === 0 && stdout === '') return 'ok'
  const json = parse(stdout)
  if (json && exit === 0 && json.cniVersion !== undefined && json.code === undefined)
    return 'result'
  if (json && exit === 1 && json.code !== undefined) {
    const { code, msg, details } = json
    return { code, msg, ...(details === undefined ? {} : { details }) }
  }
  return { exit, stdout, stderr }
}

function parse(text: string): Answer | undefined {
  try {
    return JSON.parse(text) as Answer
  } catch {
    return undefined
  }
}
