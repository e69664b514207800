import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { dist, readLease, subnetFile } from '../../scripts/lab/heddle.ts'
import { type Host, hostFile } from '../../scripts/lab/lab.ts'
import { type Background, runAt, startAt } from '../../scripts/lab/place.ts'
import { type Command, until } from '../../scripts/lab/run.ts'
import type { LabStore } from '../../scripts/lab/store.ts'
import { fileOn, mustRun, podOn, referenceFolder } from './cni-support.ts'
import type { Station } from './takeover-traffic.ts'

/** heddled as these tests start it; `program` is another build or name of it. */
export function heddledCommand(store: LabStore, program = join(dist, 'heddled')): Command {
  return [program, ...store.flags, '--iface', 'eth0', '--ip-masq']
}

/**
 * Starts heddled where a daemon may have been, and waits until it is ready; its log shows if the test
 * fails.
 */
export async function startHeddled(
  t: ExecutionContext,
  host: Host,
  store: LabStore,
  program?: string,
): Promise<Background> {
  // An earlier run's status says ready, too.
  const statusFile = hostFile(host, `${subnetFile}.status.json`)
  rmSync(statusFile, { force: true })
  const daemon = startAt(host, heddledCommand(store, program), {
    logFile: `${host.lab.directory}/${host.name}/heddled-${++starts}.log`,
  })
  t.teardown(() => {
    if (!t.passed) t.log(`heddled on ${host.name}:\n${daemon.log()}`)
  })
  const isReady = () =>
    (existsSync(statusFile) && readFileSync(statusFile, 'utf8').includes('"ready":true')) ||
    !daemon.running()
  await until(`heddled on ${host.name} to be ready`, isReady, { timeoutMs: 30_000 })
  if (!daemon.running()) throw new Error(`heddled ended: ${daemon.log()}`)
  return daemon
}

let starts = 0

/** The value of a variable of the host's subnet file. */
function subnetVariable(host: Host, name: string): string | undefined {
  return new RegExp(`^${name}=(.*)$`, 'm').exec(fileOn(host, subnetFile) ?? '')?.[1]
}

/** Attaches a container by Debian's plugins as flannel's plugin has them do it on this host. */
export async function attachAsFlannel(t: ExecutionContext, host: Host): Promise<Station> {
  const subnets = ['FLANNEL_SUBNET', 'FLANNEL_IPV6_SUBNET'].flatMap((name) => {
    const gateway = subnetVariable(host, name)
    return gateway === undefined ? [] : [gateway.replace(/1\//, '0/').replace('::0/', '::/')]
  })
  const pod = await podOn(host, 'web')
  const conf = {
    cniVersion: '1.0.0',
    name: 'cbr0',
    type: 'bridge',
    bridge: 'cni0',
    isGateway: true,
    isDefaultGateway: true,
    hairpinMode: true,
    mtu: Number(subnetVariable(host, 'FLANNEL_MTU')),
    ipMasq: false,
    ipam: { type: 'host-local', ranges: subnets.map((subnet) => [{ subnet }]) },
  }
  const { json } = await mustRun(t, pod, {
    command: 'ADD',
    plugin: `${referenceFolder}/bridge`,
    conf,
  })
  return { pod, addresses: (json.ips ?? []).map(({ address }) => address.replace(/\/\d+$/, '')) }
}

/** Has addresses there at once, so that dumps can be compared. */
export async function withoutDad(hosts: readonly Host[]): Promise<void> {
  for (const host of hosts) {
    await runAt(host, ['sh', '-c', 'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad'])
  }
}

/**
 * What both daemons keep in a host's kernel, a line each and sorted, without the mark by which ours
 * knows its routes; and the subnet file.
 */
export async function dataPath(host: Host): Promise<string[]> {
  const commands: readonly Command[] = [
    ['ip', '-o', '-d', 'link', 'show', 'type', 'vxlan'],
    ['ip', '-o', 'address', 'show', 'scope', 'global'],
    ['ip', '-4', 'route'],
    ['ip', '-6', 'route'],
    ['ip', 'neigh', 'show', 'nud', 'permanent'],
    ['bridge', 'fdb'],
    ['cat', subnetFile],
  ]
  const texts = await Promise.all(commands.map((command) => runAt(host, command)))
  return texts
    .flatMap((text) => text.split('\n'))
    .filter((line) => line !== '' && !/\b(cni0|veth\w+)\b|^(33:33|01:00:5e):/.test(line))
    .map((line) => line.replace(' proto 104', '').trim())
    .toSorted()
}

/** Waits until each host has a way to the other's subnet. */
export async function waitForPeer(host: Host, peer: Host): Promise<void> {
  for (const [one, other] of [
    [host, peer],
    [peer, host],
  ] as const) {
    const { subnet, ipv6Subnet } = readLease(other)
    const isThere = async () => {
      const text = (await dataPath(one)).join('\n')
      return text.includes(`${subnet} via `) && text.includes(`${ipv6Subnet ?? subnet} via `)
    }
    await until(`${one.name} to know ${other.name}`, isThere, { timeoutMs: 10_000 })
  }
}
