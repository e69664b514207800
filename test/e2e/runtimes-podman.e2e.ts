import { readFileSync } from 'node:fs'
import type { ExecutionContext } from 'ava'
import { type Host, hostFile } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'
import { askAll, startEcho } from './runtimes-echo.ts'
import {
  attemptPodman,
  busyboxTar,
  image,
  installOn,
  namespaceAt,
  podman,
  testPodman,
  tracesOn,
  writeOn,
} from './runtimes-support.ts'
import { hostsFor, nth } from './support.ts'

/** A network as podman finds it: its plugins, and an address to ask for. */
interface Network {
  readonly title: string
  readonly name: string
  readonly address: string
  readonly address6: string
  /** Writes the configuration. */
  make(host: Host): Promise<void>
}

const capabilities = { portMappings: true, ips: true, mac: true, dns: true, aliases: true }

function heddleList(name: string, ...subnets: readonly string[]): object {
  const ipam = { type: 'heddle-ipam', ranges: subnets.map((subnet) => [{ subnet }]) }
  const plugin = { type: 'heddle', bridge: `${name}0`, ipMasq: true, capabilities, ipam }
  return { cniVersion: '1.0.0', name, plugins: [plugin] }
}

const alone: Network = {
  title: 'heddle as the only plugin',
  name: 'alone',
  address: '10.81.1.77',
  address6: 'fd00:81:1::77',
  async make(host) {
    await installOn(host)
    writeOn(
      host,
      '/etc/cni/net.d/alone.conflist',
      heddleList('alone', '10.81.1.0/24', 'fd00:81:1::/64'),
    )
  },
}

const podmans: Network = {
  title: "heddle under the reference plugins' names in podman's own list",
  name: 'podmans',
  address: '10.81.2.77',
  address6: 'fd00:81:2::77',
  async make(host) {
    // Of these two there is only the reference.
    await installOn(host, { asFlannel: true, keep: ['firewall', 'tuning'] })
    const subnets = ['--ipv6', '--subnet', '10.81.2.0/24', '--subnet', 'fd00:81:2::/64']
    await podman(host, 'network', 'create', ...subnets, 'podmans')
    const conf = readFileSync(hostFile(host, '/etc/cni/net.d/podmans.conflist'), 'utf8')
    const { plugins } = JSON.parse(conf) as { plugins: { type: string }[] }
    const types = plugins.map(({ type }) => type).join()
    if (types !== 'bridge,portmap,firewall,tuning') throw new Error(`podman chains ${types}`)
  },
}

/** Two hosts; podman on the first knows the network and the image, and has used both once. */
async function podmanHosts(t: ExecutionContext, name: string, network: Network): Promise<Host[]> {
  const hosts = await hostsFor(t, { name, count: 2 })
  const here = nth(hosts, 0)
  await network.make(here)
  await podman(here, 'import', await busyboxTar(here.lab), image)
  await podman(here, 'run', '--rm', '--network', network.name, '-p', '8079:79', image, 'sleep', '0')
  return hosts
}

/** Starts a container with every way to publish a port, its address and MAC chosen; its namespace. */
async function runServer(host: Host, network: Network): Promise<string> {
  const ports = ['8080:80', '127.0.0.1:8081:80', '5353:53/udp'].flatMap((port) => ['-p', port])
  const chosen = [
    '--network',
    network.name,
    '--ip',
    network.address,
    '--ip6',
    network.address6,
    '--mac-address',
    mac,
  ]
  const flags = ['--detach', '--name', 'web', ...chosen, ...ports]
  await podman(host, 'run', ...flags, image, 'sleep', '1000')
  return podman(host, 'inspect', 'web', '--format', '{{.NetworkSettings.SandboxKey}}')
}

const mac = '0a:58:00:00:00:77'

for (const network of [alone, podmans]) {
  testPodman(
    `podman, ${network.title}: published ports answer every asker, with its own address where that can be`,
    async (t) => {
      const hosts = await podmanHosts(t, `ports-${network.name}`, network)
      const [here, there] = [nth(hosts, 0), nth(hosts, 1)]
      const container = namespaceAt(here, await runServer(here, network))
      const format =
        '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.GlobalIPv6Address}} {{.MacAddress}}{{end}}'
      t.is(
        await podman(here, 'inspect', 'web', '--format', format),
        `${network.address} ${network.address6} ${mac}`,
      )
      await startEcho(t, container, here.lab.directory)

      t.deepEqual(
        await askAll(there, [
          ['tcp', here.publicIP, 8080],
          ['udp', here.publicIP, 5353],
          ['tcp', here.publicIPv6, 8080],
          ['tcp', here.publicIP, 8081],
        ]),
        {
          [`tcp://${here.publicIP}:8080`]: there.publicIP,
          [`udp://${here.publicIP}:5353`]: there.publicIP,
          [`tcp://[${here.publicIPv6}]:8080`]: there.publicIPv6,
          [`tcp://${here.publicIP}:8081`]: 'ECONNREFUSED',
        },
        'from another host',
      )
      const gateway = network.address.replace(/\d+$/, '1')
      const local = await askAll(here, [
        ['tcp', '127.0.0.1', 8080],
        ['tcp', '127.0.0.1', 8081],
        ['udp', '127.0.0.1', 5353],
        ['tcp', here.publicIP, 8080],
        ['udp', here.publicIP, 5353],
      ])
      t.deepEqual(
        local,
        {
          'tcp://127.0.0.1:8080': gateway,
          'tcp://127.0.0.1:8081': gateway,
          'udp://127.0.0.1:5353': gateway,
          [`tcp://${here.publicIP}:8080`]: here.publicIP,
          [`udp://${here.publicIP}:5353`]: here.publicIP,
        },
        'from the host itself',
      )
      t.deepEqual(
        await askAll(container, [
          ['tcp', here.publicIP, 8080],
          ['udp', here.publicIP, 5353],
        ]),
        { [`tcp://${here.publicIP}:8080`]: gateway, [`udp://${here.publicIP}:5353`]: gateway },
        'from the container itself',
      )
    },
  )

  testPodman(
    `podman, ${network.title}: stop, rm and a killed conmon leave nothing behind`,
    async (t) => {
      const here = nth(await podmanHosts(t, `ends-${network.name}`, network), 0)
      const before = await tracesOn(here)

      await runServer(here, network)
      const during = await tracesOn(here)
      t.true(during.links.length > before.links.length && during.files.length > before.files.length)
      t.notDeepEqual(during.ruleset, before.ruleset, 'what is looked at tells a running container')
      await podman(here, 'stop', '--time', '0', 'web')
      t.deepEqual(await tracesOn(here), before, 'stop')
      await podman(here, 'start', 'web')
      t.deepEqual((await tracesOn(here)).files, during.files, 'started again with the same address')
      await podman(here, 'network', 'reload', 'web')
      const reloaded = await tracesOn(here)
      t.deepEqual([reloaded.files, reloaded.ruleset], [during.files, during.ruleset], 'reload')
      await podman(here, 'rm', '--force', '--time', '0', 'web')
      t.deepEqual(await tracesOn(here), before, 'rm --force')

      await runServer(here, network)
      await killConmon(here)
      await podman(here, 'rm', '--force', '--time', '0', 'web')
      t.deepEqual(await tracesOn(here), before, 'kill -9 of conmon, then rm --force')
    },
  )
}

/** Kills the process that watches the container, so that nobody cleans up when it ends. */
async function killConmon(host: Host): Promise<void> {
  const pid = Number(
    await podman(host, 'inspect', 'web', '--format', '{{.ConmonPidFile}}').then((file) =>
      readFileSync(hostFile(host, file.trim()), 'utf8'),
    ),
  )
  await runAt(host, ['kill', '-KILL', String(pid)])
  const isGone = () => !/^State:\s+[^Z]/m.test(readStatus(pid))
  await until('conmon to end', isGone, { timeoutMs: 5000 })
}

function readStatus(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8')
  } catch {
    return ''
  }
}

testPodman(
  'podman, two networks: an interface and an address of each, published ports on both',
  async (t) => {
    const hosts = await podmanHosts(t, 'two', alone)
    const [here, there] = [nth(hosts, 0), nth(hosts, 1)]
    writeOn(here, '/etc/cni/net.d/other.conflist', heddleList('other', '10.81.3.0/24'))
    await podman(here, 'run', '--rm', '--network', 'other', '-p', '8079:79', image, 'sleep', '0')
    const before = await tracesOn(here)
    const networks = [
      'alone:interface_name=eth0,ip=10.81.1.78',
      'other:interface_name=eth1,alias=db',
    ]
    const flags = ['--detach', '--name', 'web', '-p', '8080:80']
    const command = [...flags, ...networks.flatMap((network) => ['--network', network]), image]
    await podman(here, 'run', ...command, 'sleep', '1000')
    const list = await podman(here, 'exec', 'web', 'ip', '-4', '-o', 'addr', 'show')
    t.regex(list, /eth0 +inet 10\.81\.1\.78\/24/)
    t.regex(list, /eth1 +inet 10\.81\.3\.\d+\/24/)
    const key = await podman(here, 'inspect', 'web', '--format', '{{.NetworkSettings.SandboxKey}}')
    const echo = await startEcho(t, namespaceAt(here, key), here.lab.directory)
    const answers = { [`tcp://${here.publicIP}:8080`]: there.publicIP }
    t.deepEqual(await askAll(there, [['tcp', here.publicIP, 8080]]), answers)

    // podman publishes the port in every network; whichever goes, the other still leads there.
    await podman(here, 'network', 'disconnect', 'other', 'web')
    t.deepEqual(await askAll(there, [['tcp', here.publicIP, 8080]]), answers)
    await podman(here, 'network', 'connect', 'other', 'web')
    await podman(here, 'network', 'disconnect', 'alone', 'web')
    t.deepEqual(await askAll(there, [['tcp', here.publicIP, 8080]]), answers)
    const left = await podman(here, 'exec', 'web', 'ip', '-4', '-o', 'addr', 'show')
    t.notRegex(left, /10\.81\.1\./)
    await echo.stop()
    await podman(here, 'rm', '--force', '--time', '0', 'web')
    t.deepEqual(await tracesOn(here), before)
  },
)

testPodman(
  'podman, a host port that is taken: run says whose it is, and leaves nothing behind',
  async (t) => {
    const here = nth(await podmanHosts(t, 'taken', alone), 0)
    await runServer(here, alone)
    const before = await tracesOn(here)
    const flags = ['--detach', '--name', 'late', '--network', 'alone', '-p', '8080:81']
    const { code, stderr } = await attemptPodman(here, 'run', ...flags, image, 'sleep', '1000')
    t.not(code, 0)
    t.regex(stderr, /8080/)
    await attemptPodman(here, 'rm', '--force', '--time', '0', 'late')
    t.deepEqual(await tracesOn(here), before)
  },
)

testPodman('podman network ls knows a network of heddle without a word of warning', async (t) => {
  const here = nth(await podmanHosts(t, 'list', alone), 0)
  const { stdout, stderr } = await attemptPodman(
    here,
    'network',
    'ls',
    '--format',
    '{{.Name}} {{.Driver}}',
  )
  t.is(stderr, '')
  t.true(stdout.split('\n').includes('alone heddle'), stdout)
})
