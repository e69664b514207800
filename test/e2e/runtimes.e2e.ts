import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { Netmask } from 'netmask'
import { attach, readLease } from '../../scripts/lab/heddle.ts'
import { type Host, hostFile, type Lab } from '../../scripts/lab/lab.ts'
import { ping } from '../../scripts/lab/ping.ts'
import { attemptAt, runAt, startAt } from '../../scripts/lab/place.ts'
import { run, until } from '../../scripts/lab/run.ts'
import { networkConfig } from '../../scripts/lab/store.ts'
import { hostsFor, nth, startCluster } from './support.ts'

const install = join(import.meta.dirname, '../../scripts/install')
const sample = join(import.meta.dirname, '../../conf/samples/10-heddle.conflist')
/** Where Debian's podman and containerd look for plugins. */
const pluginFolder = '/usr/lib/cni'
const image = 'localhost/heddle/busybox:1'

/** Installs heddle on a host as its operator would; the folder is the host's own for the test. */
async function installOn(host: Host): Promise<void> {
  await runAt(host, ['mount', '-t', 'tmpfs', 'tmpfs', pluginFolder])
  await runAt(host, [install, '--cni-dir', pluginFolder, '--bin-dir', pluginFolder])
  mkdirSync(hostFile(host, '/etc/cni/net.d'), { recursive: true })
  cpSync(sample, hostFile(host, '/etc/cni/net.d/10-heddle.conflist'))
}

/** A root file system with nothing but busybox, as a tar file. */
async function busyboxTar(lab: Lab): Promise<string> {
  const root = join(lab.directory, 'rootfs')
  mkdirSync(join(root, 'bin'), { recursive: true })
  cpSync((await run(['which', 'busybox'])).trim(), join(root, 'bin/busybox'), { dereference: true })
  for (const applet of ['sh', 'ip', 'ping', 'sleep'])
    symlinkSync('busybox', join(root, 'bin', applet))
  const tar = join(lab.directory, 'busybox.tar')
  await run(['tar', '-C', root, '-cf', tar, '.'])
  return tar
}

/** podman with CNI, all its files in the host's own directories. */
async function podman(host: Host, ...args: readonly string[]): Promise<string> {
  const conf = `${host.lab.directory}/containers.conf`
  // No more open files and processes than any machine allows to a container.
  const limits = '["nofile=1024:1024", "nproc=1000:1000"]'
  writeFileSync(
    conf,
    `[network]\ncni_plugin_dirs = ["${pluginFolder}"]\n[containers]\ndefault_ulimits = ${limits}\n`,
  )
  const flags = ['--network-backend=cni', '--cgroup-manager=cgroupfs', '--runtime=runc']
  return runAt(host, ['podman', ...flags, ...args], { env: { CONTAINERS_CONF: conf } })
}

/** The container's first IPv4 address, from what `ip -4 -o addr show eth0` printed in it. */
function addressIn(output: string): string {
  return /inet (\d+\.\d+\.\d+\.\d+)\//.exec(output)?.[1] ?? `none in: ${output}`
}

const script = (target: string) => `ip -4 -o addr show eth0; ping -c 3 -W 2 ${target}`

test('podman run: a container gets its address from heddle and reaches one on another host', async (t) => {
  const hosts = await hostsFor(t, { name: 'podman', count: 2 })
  await startCluster(t, hosts, { store: 'sqlite', config: networkConfig({ Type: 'vxlan' }) })
  const [here, there] = [nth(hosts, 0), nth(hosts, 1)]
  const target = await attach(there, 'a')
  await installOn(here)
  await podman(here, 'import', await busyboxTar(here.lab), image)

  const flags = ['--network', 'heddle', '--cap-add', 'NET_RAW', image]
  const pinging = ['sh', '-c', script(nth(target.addresses, 0))]
  const output = await podman(here, 'run', '--rm', ...flags, ...pinging)
  t.true(new Netmask(readLease(here).subnet).contains(addressIn(output)), output)
  t.regex(output, /3 packets transmitted, 3 packets received/)
  t.deepEqual(await bridgePorts(here), [], 'a container that has ended leaves no interface')

  await podman(here, 'run', '--detach', '--name', 'server', ...flags, 'sleep', '100')
  const format = '{{.NetworkSettings.Networks.heddle.IPAddress}}'
  const address = await podman(here, 'inspect', 'server', '--format', format)
  t.like(await ping(target, address, { count: 3, intervalMs: 200 }), { received: 3 })
  await podman(here, 'rm', '--force', '--time', '0', 'server')
  t.deepEqual(await bridgePorts(here), [])
})

test('ctr run --cni: a container gets its address from heddle and reaches one on another host', async (t) => {
  const hosts = await hostsFor(t, { name: 'ctr', count: 2 })
  await startCluster(t, hosts, { store: 'sqlite', config: networkConfig({ Type: 'vxlan' }) })
  const [here, there] = [nth(hosts, 0), nth(hosts, 1)]
  const target = await attach(there, 'a')
  await installOn(here)
  await startContainerd(t, here)
  await podman(here, 'import', await busyboxTar(here.lab), image)
  const archive = join(here.lab.directory, 'image.tar')
  await podman(here, 'save', '--format', 'oci-archive', '--output', archive, image)
  await runAt(here, ['ctr', 'images', 'import', archive])

  const pinging = ['sh', '-c', script(nth(target.addresses, 0))]
  const output = await runAt(here, ['ctr', 'run', '--rm', '--cni', image, 'one', ...pinging])
  t.true(new Netmask(readLease(here).subnet).contains(addressIn(output)), output)
  t.regex(output, /3 packets transmitted, 3 packets received/)
  t.deepEqual(await bridgePorts(here), [], 'a container that has ended leaves no interface')
})

/** The interfaces of containers on a host's bridge. */
async function bridgePorts(host: Host): Promise<string[]> {
  const json = await runAt(host, ['ip', '-json', 'link', 'show', 'master', 'cni0'])
  return (JSON.parse(json || '[]') as { ifname: string }[]).map(({ ifname }) => ifname)
}

/** containerd without its Kubernetes part, which would want more of the machine. */
async function startContainerd(t: ExecutionContext, host: Host): Promise<void> {
  const base = join(host.lab.directory, 'containerd')
  writeFileSync(`${base}.toml`, 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
  const containerd = startAt(host, ['containerd', '--config', `${base}.toml`], {
    logFile: `${base}.log`,
  })
  t.teardown(() => t.passed || t.log(containerd.log()))
  const answers = async () => (await attemptAt(host, ['ctr', 'version'])).code === 0
  await until('containerd to answer', answers, { timeoutMs: 20_000, everyMs: 200 })
}
