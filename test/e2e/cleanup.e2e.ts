import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import test from 'ava'
import {
  attach,
  type Container,
  cni,
  detach,
  dist,
  pluginConf,
  readLease,
  startDaemon,
  subnetFile,
  waitForPeers,
} from '../../scripts/lab/heddle.ts'
import { addPod, deletePod, type Host, hostFile } from '../../scripts/lab/lab.ts'
import { ping } from '../../scripts/lab/ping.ts'
import { attemptAt, runAt, startAt } from '../../scripts/lab/place.ts'
import { attempt, type Outcome, until } from '../../scripts/lab/run.ts'
import { etcdctl, networkConfig } from '../../scripts/lab/store.ts'
import { testWith } from './installed.ts'
import { hostsFor, nth, startCluster } from './support.ts'

const heddled = join(dist, 'heddled')

/** Runs `heddled cleanup` on a host. */
function cleanUp(host: Host, ...flags: readonly string[]): Promise<Outcome> {
  return attemptAt(host, [heddled, 'cleanup', ...flags])
}

const nothingLeft = {
  code: 0,
  stdout: 'nothing of instance default is on this host',
  stderr: '',
}

/** All that heddle may have left: links, routes, rules, and files by their paths. */
async function traces(host: Host): Promise<string[]> {
  const commands: [string, ...string[]][] = [
    ['ip', '-o', 'link', 'show'],
    ['ip', '-4', 'route', 'show', 'table', 'all'],
    ['ip', '-6', 'route', 'show', 'table', 'all'],
    ['/usr/sbin/nft', 'list', 'ruleset'],
    ['find', '/run/flannel', '/run/heddle', '/var/lib/heddle', '/var/lib/cni', '-mindepth', '1'],
  ]
  const lines: string[] = []
  for (const command of commands) lines.push(...(await attemptAt(host, command)).stdout.split('\n'))
  // Addresses of the kernel's own making come when they are ready, those of a router (anycast) stay
  // with forwarding, and indexes go on counting.
  return lines
    .filter((line) => line !== '' && !/fe80:|ff00:|^anycast /.test(line))
    .map((line) => line.replace(/^\d+: /, ''))
}

const dual = networkConfig({ Type: 'vxlan' }, { ipv6: true })
/** iptables' own form of a chain that drops what nobody accepts, as docker makes it. */
const dropForwarded = [
  'sh',
  '-c',
  'for i in iptables ip6tables; do $i -P FORWARD DROP; done',
] as const

/** Attaches a container for which the plugin itself masquerades. */
async function attachMasqueraded(host: Host, name: string): Promise<Container> {
  const pod = await addPod(host, name)
  await cni(pod, 'ADD', { ...pluginConf, ipMasq: true })
  return { ...pod, addresses: [] }
}

test('heddled cleanup removes everything of ours, and nothing else; again it finds nothing', async (t) => {
  const hosts = await hostsFor(t, { name: 'cleanup', count: 2 })
  const [host, peer] = [nth(hosts, 0), nth(hosts, 1)]
  // What is not ours, and looks a little like it.
  await runAt(host, dropForwarded)
  await runAt(host, ['ip', 'route', 'add', '10.99.0.0/16', 'via', '10.100.0.99', 'proto', '104'])
  await runAt(host, ['ip', 'link', 'add', 'docker0', 'type', 'bridge'])
  await runAt(host, ['ip', 'link', 'add', 'flannel.9', 'type', 'vxlan', 'id', '9', 'dstport', '9'])
  const before = await traces(host)
  const flags = ['--ip-masq']
  const cluster = await startCluster(t, hosts, { store: 'sqlite', config: dual, flags })
  const lease = readLease(host)
  const options = readFileSync(hostFile(host, '/run/flannel/docker'), 'utf8')
  t.true(options.startsWith(`DOCKER_OPT_BIP="--bip=${lease.subnet.replace('.0/', '.1/')}"`))
  const stranger = ['10.244.250.0/24', 'via', '10.100.0.99'] as const
  await runAt(host, ['ip', 'route', 'add', ...stranger])
  const gateway = lease.subnet.replace('.0/', '.1/')
  await runAt(host, ['ip', 'addr', 'add', gateway, 'dev', 'docker0'])
  const containers = [await attach(host, 'a'), await attachMasqueraded(host, 'b')]
  const there = nth((await attach(peer, 'a')).addresses, 0)
  const reaches = async () => {
    const { received } = await ping(nth(containers, 0), there, { count: 1, intervalMs: 0 })
    return received === 1
  }
  t.true(await reaches())

  const refused = await cleanUp(host)
  t.is(refused.code, 1)
  t.regex(
    refused.stderr,
    /belongs to a running daemon \(instance default, process \d+\): stop it first/,
  )
  t.true(await reaches(), 'a refusal changes nothing')

  await nth(cluster.daemons, 0).stop()
  // One goes as it should, one as when a host's runtime is removed with its state.
  await detach(nth(containers, 0))
  await deletePod(nth(containers, 1))
  const { code, stdout } = await cleanUp(host)
  t.is(code, 0, stdout)
  for (const what of [
    `the lease of ${lease.subnet}`,
    'interface flannel.1',
    'interface flannel-v6.1',
    'nftables table inet heddle-net-default',
    'nftables table inet heddle-cni',
    'accept rules in iptables FORWARD',
    'bridge cni0',
    '/run/flannel/subnet.env',
    '/run/flannel/docker',
    '/var/lib/cni/networks/.heddle/heddle',
    '/var/lib/heddle/default',
  ]) {
    t.true(stdout.includes(`removed ${what}`), `${what}\n${stdout}`)
  }
  await runAt(host, ['ip', 'addr', 'flush', 'dev', 'docker0'])
  await runAt(host, ['ip', 'route', 'del', ...stranger])
  t.deepEqual(await traces(host), before)
  t.like(await cleanUp(host), nothingLeft)
  t.deepEqual(await traces(host), before)

  const again = await startDaemon(host, cluster.store, ['--iface', 'eth0', ...flags])
  await waitForPeers(host, 1)
  await again.stop()
  t.is((await cleanUp(host)).code, 0)
})

test('heddled cleanup leaves running containers what they stand on, says so, and ends the work when they are gone', async (t) => {
  const host = nth(await hostsFor(t, { name: 'cleanup-running', count: 1 }), 0)
  await runAt(host, dropForwarded)
  const before = await traces(host)
  const config = networkConfig({ Type: 'vxlan' })
  const { daemons } = await startCluster(t, [host], {
    store: 'sqlite',
    config,
    flags: ['--ip-masq'],
  })
  const [one, two] = [await attach(host, 'a'), await attach(host, 'b')]
  await nth(daemons, 0).stop()
  // The device is known by its name and address then.
  await runAt(host, ['rm', '/var/lib/heddle/default/macs.json'])

  for (const run of ['first', 'second']) {
    const { code, stdout } = await cleanUp(host)
    t.is(code, 1, run)
    t.regex(stdout, /^stays: container host1-a \(eth0\) of network heddle with bridge cni0: /m)
    t.regex(stdout, /^stays: container host1-b /m)
  }
  const now = (await traces(host)).join('\n')
  for (const word of ['flannel.1: ', 'heddle-net-default', 'subnet.env\n', 'proto 104']) {
    t.false(now.includes(word), `${word} in\n${now}`)
  }
  const { received } = await ping(one, nth(two.addresses, 0), { count: 1, intervalMs: 0 })
  t.is(received, 1, 'containers of this host still reach each other')

  await detach(one)
  await detach(two)
  const { code, stdout } = await cleanUp(host)
  t.is(code, 0, stdout)
  t.true(stdout.includes('removed bridge cni0'), stdout)
  t.deepEqual(await traces(host), before)
})

testWith(
  '/usr/lib/cni/bridge',
  '/usr/lib/cni/ptp',
  '/usr/lib/cni/host-local',
)('heddled cleanup leaves the addresses of containers that other plugins attached', async (t) => {
  const host = nth(await hostsFor(t, { name: 'cleanup-others', count: 1 }), 0)
  await runAt(host, dropForwarded)
  // An administrator's own, of which the daemon was told to keep out.
  const accept = ['iptables', '-A', 'FORWARD', '-s', '10.244.0.0/16', '-j', 'ACCEPT'] as const
  await runAt(host, accept)
  const before = await traces(host)
  const config = networkConfig({ Type: 'vxlan' })
  const flags = ['--iptables-forward-rules=false']
  const { daemons, store } = await startCluster(t, [host], { store: 'sqlite', config, flags })
  const { subnet } = readLease(host)
  await nth(daemons, 0).stop()
  // From the second start on the network is one that was there before.
  const again = await startDaemon(host, store, ['--iface', 'eth0', ...flags])
  await again.stop()
  t.regex(await runAt(host, ['iptables', '-S', 'FORWARD']), /-s 10\.244\.0\.0\/16 -j ACCEPT/)

  const shared = { cniVersion: '1.0.0', bridge: 'cbr0', isGateway: true }
  const others: { file: string; upstream: (command: 'ADD' | 'DEL') => Promise<string> }[] = []
  for (const { type, ipam, last } of [
    { type: 'bridge', ipam: 'host-local', last: 50 },
    { type: 'bridge', ipam: 'heddle-ipam', last: 70 },
    { type: 'ptp', ipam: 'heddle-ipam', last: 90 },
  ]) {
    const name = `${type}-${ipam}`
    const pod = await addPod(host, name)
    const rangeStart = subnet.replace('.0/24', `.${last}`)
    const ranges = [[{ subnet, rangeStart }]]
    const upstream = (command: 'ADD' | 'DEL') =>
      runAt(host, [`/usr/lib/cni/${type}`], {
        input: JSON.stringify({ ...shared, name, type, ipam: { type: ipam, ranges } }),
        env: {
          CNI_COMMAND: command,
          CNI_CONTAINERID: name,
          CNI_NETNS: pod.path,
          CNI_IFNAME: 'eth0',
          CNI_PATH: `/usr/lib/cni:${dist}`,
        },
      })
    await upstream('ADD')
    others.push({ file: `/var/lib/cni/networks/${name}/${rangeStart}`, upstream })
  }
  for (const [index, { upstream }] of others.entries()) {
    const refused = await cleanUp(host)
    t.is(refused.code, 1)
    for (const { file } of others.slice(index)) {
      t.true(existsSync(hostFile(host, file)), refused.stdout)
      const said = `stays: reserved addresses in ${dirname(file)}: 1`
      t.true(refused.stdout.includes(said), refused.stdout)
    }
    await upstream('DEL')
  }
  const { code, stdout } = await cleanUp(host)
  t.is(code, 0, stdout)
  t.deepEqual(await traces(host), before)
})

test('heddled cleanup takes the embedded store when nobody uses it any more, and leaves networks without a daemon', async (t) => {
  const host = nth(await hostsFor(t, { name: 'cleanup-single', count: 1 }), 0)
  const pod = await addPod(host, 'lone')
  const ranges = [[{ subnet: '10.88.0.0/24' }]]
  const own = {
    bridge: 'single0',
    isGateway: true,
    ipMasq: true,
    ipam: { type: 'heddle-ipam', ranges },
  }
  await cni(pod, 'ADD', { cniVersion: '1.0.0', name: 'single', type: 'heddle', ...own })
  const before = await traces(host)

  const logFile = `${host.lab.directory}/heddled.log`
  const daemon = startAt(host, [heddled, '--iface', 'eth0'], { logFile })
  const isThere = () => existsSync(hostFile(host, subnetFile)) || !daemon.running()
  await until('the subnet file', isThere, { timeoutMs: 20_000 })
  t.true(existsSync(hostFile(host, '/run/flannel/docker')), daemon.log())
  await daemon.stop()
  const { code, stdout } = await cleanUp(host)
  t.is(code, 0, stdout)
  t.true(stdout.includes('removed /var/lib/heddle/store.db'), stdout)
  t.deepEqual(await traces(host), before)
  for (const what of [
    'single0: ',
    'table inet heddle-cni',
    'networks/single/10.88.0.2',
    '.heddle/single/',
  ]) {
    t.true(before.join('\n').includes(what), what)
  }
})

testWith('strace')('heddled cleanup may be killed at any step and run again', async (t) => {
  const host = nth(await hostsFor(t, { name: 'cleanup-killed', count: 1 }), 0)
  await runAt(host, dropForwarded)
  const before = await traces(host)
  const { daemons } = await startCluster(t, [host], { store: 'sqlite', config: dual })
  await deletePod(await attachMasqueraded(host, 'a'))
  await nth(daemons, 0).stop()

  const calls = 'unlink,unlinkat,rmdir,sendto'
  let runs = 0
  for (let when = 1; runs < 200; when++) {
    runs += 1
    const tracer = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', `trace=${calls}`] as const
    const kill = ['-e', `inject=${calls}:signal=KILL:when=${when}`]
    const { code, stderr } = await attemptAt(host, [...tracer, ...kill, heddled, 'cleanup'])
    if (code === 0) break
    t.is(code, 137, stderr)
  }
  t.true(runs > 10 && runs < 200, `${runs} runs`)
  t.like(await cleanUp(host), nothingLeft)
  t.deepEqual(await traces(host), before)
})

test('heddled cleanup keeps what a second try needs while the store is away, and finds it without flags', async (t) => {
  const host = nth(await hostsFor(t, { name: 'cleanup-away', count: 1 }), 0)
  const before = await traces(host)
  const config = networkConfig({ Type: 'host-gw' })
  const { daemons, lab } = await startCluster(t, [host], { store: 'etcd', config })
  const { subnet } = readLease(host)
  await nth(daemons, 0).stop()
  const leases = () =>
    runAt(lab.switch, etcdctl('get', '--prefix', '--keys-only', '/coreos.com/network/subnets'))
  const key = subnet.replace('/', '-')

  await runAt(lab.switch, ['ip', 'link', 'set', host.port, 'down'])
  const { code, stdout } = await cleanUp(host)
  t.is(code, 1)
  t.regex(stdout, /^stays: this host’s lease: .*it ends by itself/m)
  await runAt(lab.switch, ['ip', 'link', 'set', host.port, 'up'])
  t.true((await leases()).includes(key))
  const second = await cleanUp(host)
  t.is(second.code, 0, second.stdout)
  t.true(second.stdout.includes(`removed the lease of ${subnet} in etcd`), second.stdout)
  t.false((await leases()).includes(key))
  t.deepEqual(await traces(host), before)
})

test('heddled cleanup leaves flannel’s things alone where heddled never was, and where flanneld is now', async (t) => {
  const host = nth(await hostsFor(t, { name: 'cleanup-flannel', count: 1 }), 0)
  const make = `ip link add flannel.1 type vxlan id 1 dstport 8472
    ip addr add 10.244.5.0/32 dev flannel.1
    mkdir /run/flannel
    printf 'FLANNEL_NETWORK=10.244.0.0/16\\nFLANNEL_SUBNET=10.244.5.1/24\\nFLANNEL_MTU=1450\\nFLANNEL_IPMASQ=true\\n' >/run/flannel/subnet.env`
  await runAt(host, ['sh', '-c', make])
  const before = await traces(host)
  t.true(before.some((line) => line.includes('flannel.1')))
  t.like(await cleanUp(host), nothingLeft)
  t.deepEqual(await traces(host), before)

  // A host that was heddled's and was handed back.
  await runAt(host, [
    'sh',
    '-c',
    'mkdir -p /var/lib/heddle/default && echo x >/var/lib/heddle/default/node-id',
  ])
  const { directory } = host.lab
  await runAt(host, ['cp', '/bin/sleep', `${directory}/flanneld`])
  const flanneld = startAt(host, [`${directory}/flanneld`, '100'], {
    logFile: `${directory}/flanneld.log`,
  })
  t.teardown(() => flanneld.stop())
  const isNamed = () => readFileSync(`/proc/${flanneld.pid}/comm`, 'utf8') === 'flanneld\n'
  await until('it to be started', isNamed, { timeoutMs: 10_000 })
  const { code, stderr } = await cleanUp(host)
  t.is(code, 1)
  t.regex(stderr, /flanneld has taken this host over \(process \d+\): stop it first/)
  t.true((await traces(host)).join('\n').includes('flannel.1: '))
})

for (const [flags, said] of [
  [['--frobnicate'], /unknown flag --frobnicate/],
  [['all'], /unexpected argument "all"/],
] as const) {
  test(`heddled cleanup ${flags.join(' ')} is refused`, async (t) => {
    const { code, stderr } = await attempt([heddled, 'cleanup', ...flags])
    t.is(code, 2)
    t.regex(stderr, said)
  })
}
