import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { Netmask } from 'netmask'
import { attach, type Container, readLease } from '../../scripts/lab/heddle.ts'
import { type Host, hostFile } from '../../scripts/lab/lab.ts'
import { ping } from '../../scripts/lab/ping.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { networkConfig } from '../../scripts/lab/store.ts'
import {
  busyboxTar,
  image,
  importToContainerd,
  installOn,
  podman,
  startContainerd,
  testContainerd,
  testPodman,
  tracesOn,
} from './runtimes-support.ts'
import { hostsFor, nth, startCluster } from './support.ts'

const sample = join(import.meta.dirname, '../../conf/samples/10-heddle.conflist')

/** heddle by its shipped configuration on the first of two hosts; a container to talk to on the other. */
async function sampleHost(
  t: ExecutionContext,
  name: string,
): Promise<{ here: Host; target: Container }> {
  const hosts = await hostsFor(t, { name, count: 2 })
  await startCluster(t, hosts, { store: 'sqlite', config: networkConfig({ Type: 'vxlan' }) })
  const here = nth(hosts, 0)
  const target = await attach(nth(hosts, 1), 'a')
  await installOn(here)
  mkdirSync(hostFile(here, '/etc/cni/net.d'), { recursive: true })
  cpSync(sample, hostFile(here, '/etc/cni/net.d/10-heddle.conflist'))
  return { here, target }
}

/** The container's first IPv4 address, from what `ip -4 -o addr show eth0` printed in it. */
function addressIn(output: string): string {
  return /inet (\d+\.\d+\.\d+\.\d+)\//.exec(output)?.[1] ?? `none in: ${output}`
}

const script = (target: string) => `ip -4 -o addr show eth0; ping -c 3 -W 2 ${target}`

testPodman(
  'podman run: a container gets its address from heddle and reaches one on another host',
  async (t) => {
    const { here, target } = await sampleHost(t, 'podman')
    await podman(here, 'import', await busyboxTar(here.lab), image)

    const flags = ['--network', 'heddle', '--cap-add', 'NET_RAW', image]
    const pinging = ['sh', '-c', script(nth(target.addresses, 0))]
    const output = await podman(here, 'run', '--rm', ...flags, ...pinging)
    t.true(new Netmask(readLease(here).subnet).contains(addressIn(output)), output)
    t.regex(output, /3 packets transmitted, 3 packets received/)
    const after = await tracesOn(here)
    t.deepEqual(after.files, [], 'a container that has ended leaves no file')
    t.false(after.links.some((link) => link.endsWith(' veth') && !link.startsWith('eth0 ')))

    await podman(here, 'run', '--detach', '--name', 'server', ...flags, 'sleep', '100')
    const format = '{{.NetworkSettings.Networks.heddle.IPAddress}}'
    const address = await podman(here, 'inspect', 'server', '--format', format)
    t.like(await ping(target, address, { count: 3, intervalMs: 200 }), { received: 3 })
    await podman(here, 'rm', '--force', '--time', '0', 'server')
    t.deepEqual(await tracesOn(here), after)
  },
)

testContainerd(
  'ctr run --cni: a container gets its address from heddle and reaches one on another host',
  async (t) => {
    const { here, target } = await sampleHost(t, 'ctr')
    await startContainerd(t, here)
    await importToContainerd(here, 'default')
    const ctrRun = ['ctr', 'run', '--rm', '--cni', image] as const
    await runAt(here, [...ctrRun, 'zero', 'sh', '-c', 'exit 0'])
    const before = await tracesOn(here)

    const pinging = ['sh', '-c', script(nth(target.addresses, 0))]
    const output = await runAt(here, [...ctrRun, 'one', ...pinging])
    t.true(new Netmask(readLease(here).subnet).contains(addressIn(output)), output)
    t.regex(output, /3 packets transmitted, 3 packets received/)
    t.deepEqual(await tracesOn(here), before, 'DEL has no namespace any more, and leaves nothing')
  },
)
