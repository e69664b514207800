/** Hosts, containers without a plugin, and heddle's firewall code run on them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { addPod, type Host, type Pod } from '../../scripts/lab/lab.ts'
import { type Place, runAt, startAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'

const root = join(import.meta.dirname, '../..')
const node = join(root, 'node_modules/.bin/node')
const bun = join(root, 'node_modules/.bin/bun')
const echoFile = join(import.meta.dirname, 'echo.ts')
const probeFile = join(import.meta.dirname, 'firewall-probe.ts')
/** By its path: a development dependency brings another program of this name. */
const nftFile = '/usr/sbin/nft'

/** Runs one verb of `firewall-probe.ts` in a place. */
export async function probe(
  place: Place,
  verb: string,
  argument: unknown = null,
): Promise<unknown> {
  const text = await runAt(place, [bun, 'run', probeFile, verb, JSON.stringify(argument)])
  return JSON.parse(text) as unknown
}

export function nft(place: Place, ...words: readonly string[]): Promise<string> {
  return runAt(place, [nftFile, ...words])
}

/** A shell script in a place; the first command that fails ends it. */
export function shell(place: Place, script: string): Promise<string> {
  return runAt(place, ['sh', '-ec', script])
}

/** A host with an empty bridge br0, 10.88.0.1/16 and fd00:88::1/64, that lets packets through. */
export async function bridgeOn(host: Host): Promise<void> {
  await shell(
    host,
    `echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
     ip link add br0 type bridge mcast_snooping 0
     ip link set br0 addrgenmode none up
     ip addr add 10.88.0.1/16 dev br0; ip addr add fd00:88::1/64 dev br0 nodad
     ip addr add fe80::1/64 dev br0 nodad
     echo 1 >/proc/sys/net/ipv4/conf/br0/route_localnet`,
  )
}

/** A container at 10.88.0.NUMBER and fd00:88::NUMBER on the host's br0. */
export async function podAt(host: Host, number: number): Promise<Pod> {
  const pod = await addPod(host, `pod${number}`)
  await shell(
    host,
    `ip link add veth${number} type veth peer name eth0 netns pod${number}
     ip link set veth${number} addrgenmode none master br0 up
     ip link set veth${number} type bridge_slave hairpin on`,
  )
  await shell(
    pod,
    `ip link set eth0 addrgenmode none up
     ip addr add 10.88.0.${number}/16 dev eth0; ip addr add fd00:88::${number}/64 dev eth0 nodad
     ip route add default via 10.88.0.1; ip route add ::/0 via fd00:88::1`,
  )
  return pod
}

/** Starts a server that answers with this name; it ends with the test. */
export async function serve(
  t: ExecutionContext,
  place: Place,
  where: { name: string; address?: string; ports: readonly number[] },
): Promise<void> {
  const { name, address = '::', ports } = where
  const command = [node, echoFile, 'serve', name, address, ...ports.map(String)] as const
  const folder = mkdtempSync(join(tmpdir(), 'heddle-echo-'))
  const server = startAt(place, [...command], { logFile: join(folder, 'log') })
  t.teardown(async () => {
    await server.stop('SIGKILL')
    rmSync(folder, { recursive: true })
  })
  const isReady = () => server.log().split('ready').length > ports.length || !server.running()
  await until(`server ${name}`, isReady, { timeoutMs: 10_000 })
  if (!server.running()) throw new Error(`server ${name}: ${server.log()}`)
}

/** Asks a server: its answer, `refused` or `silence`. */
export function ask(
  place: Place,
  protocol: 'tcp' | 'udp',
  address: string,
  port: number,
): Promise<string> {
  return runAt(place, [node, echoFile, 'ask', protocol, address, String(port)])
}

/** As `ask` by UDP, from the same port every time. */
export function askFrom(place: Place, source: number, address: string, port: number) {
  return runAt(place, [node, echoFile, 'ask', 'udp', address, String(port), String(source)])
}
