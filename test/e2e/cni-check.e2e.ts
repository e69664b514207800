import { writeFileSync } from 'node:fs'
import test from 'ava'
import { type Host, hostFile, type Pod } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { bareHost, mustRun, type PluginAnswer, podOn, runPlugin } from './cni-support.ts'

const conf = {
  cniVersion: '1.0.0',
  name: 'net',
  type: 'heddle',
  ipMasq: true,
  ipam: {
    ranges: [[{ subnet: '10.88.0.0/24' }], [{ subnet: 'fd00:88::/64' }]],
    routes: [{ dst: '192.168.0.0/16', gw: '10.88.0.1' }],
  },
}

interface Damage {
  readonly title: string
  /** Added to the configuration. */
  readonly more?: object
  readonly harm: (host: Host, pod: Pod, port: string) => Promise<unknown>
  readonly msg: RegExp
}

const ip =
  (...args: readonly string[]) =>
  (place: Host | Pod) =>
    runAt(place, ['ip', ...args])

const damages: readonly Damage[] = [
  {
    title: 'an address',
    harm: (_, pod) => ip('addr', 'del', '10.88.0.2/24', 'dev', 'eth0')(pod),
    msg: /^eth0 does not have address 10\.88\.0\.2\/24$/,
  },
  {
    title: 'an IPv6 address',
    harm: (_, pod) => ip('addr', 'del', 'fd00:88::2/64', 'dev', 'eth0')(pod),
    msg: /^eth0 does not have address fd00:88::2\/64$/,
  },
  {
    title: 'a route',
    harm: (_, pod) => ip('route', 'del', '192.168.0.0/16')(pod),
    msg: /^Expected Route 192\.168\.0\.0\/16 via 10\.88\.0\.1 not found in routing table$/,
  },
  {
    title: 'the default route',
    harm: (_, pod) => ip('-6', 'route', 'del', 'default')(pod),
    msg: /^Expected Route ::\/0 via fd00:88::1 not found in routing table$/,
  },
  {
    title: 'the interface',
    harm: (_, pod) => ip('link', 'del', 'eth0')(pod),
    msg: /^interface eth0 is not in the container$/,
  },
  {
    title: 'the MAC address',
    harm: (_, pod) => ip('link', 'set', 'eth0', 'address', '02:00:00:00:00:09')(pod),
    msg: /^eth0 has MAC address 02:00:00:00:00:09, not /,
  },
  {
    title: "the interface's carrier",
    harm: (_, pod) => ip('link', 'set', 'eth0', 'down')(pod),
    msg: /^interface eth0 is down$/,
  },
  {
    title: 'the port',
    harm: (host, _, port) => ip('link', 'set', port, 'nomaster')(host),
    msg: /is not a port of bridge cni0$/,
  },
  {
    title: 'hairpin mode',
    harm: (host, _, port) => runAt(host, ['bridge', 'link', 'set', 'dev', port, 'hairpin', 'off']),
    msg: /has hairpin mode off$/,
  },
  {
    title: 'isolation',
    more: { portIsolation: true },
    harm: (host, _, port) => runAt(host, ['bridge', 'link', 'set', 'dev', port, 'isolated', 'off']),
    msg: /has isolated mode off$/,
  },
  {
    title: 'promiscuous mode',
    more: { promiscMode: true },
    harm: (host) => ip('link', 'set', 'cni0', 'promisc', 'off')(host),
    msg: /^bridge cni0 is not in promiscuous mode$/,
  },
  {
    title: "the host end's MTU",
    more: { mtu: 1400 },
    harm: (host, _, port) => ip('link', 'set', port, 'mtu', '1300')(host),
    msg: /^veth\w+ has MTU 1300, not 1400$/,
  },
  {
    title: "the container end's MTU",
    more: { mtu: 1400, cniVersion: '1.1.0' },
    harm: (_, pod) => ip('link', 'set', 'eth0', 'mtu', '1300')(pod),
    msg: /^eth0 has MTU 1300, not 1400$/,
  },
  {
    title: "a larger container end's MTU, which the result cannot tell",
    more: { mtu: 1400 },
    harm: (_, pod) => ip('link', 'set', 'eth0', 'mtu', '1500')(pod),
    msg: /^eth0 has MTU 1500, not 1400$/,
  },
  {
    title: "the bridge's carrier",
    harm: (host) => ip('link', 'set', 'cni0', 'down')(host),
    msg: /^bridge cni0 is down$/,
  },
  {
    title: 'the bridge',
    harm: (host) => ip('link', 'del', 'cni0')(host),
    msg: /^bridge cni0 is not there$/,
  },
  {
    title: 'the gateway',
    harm: (host) => ip('addr', 'del', '10.88.0.1/24', 'dev', 'cni0')(host),
    msg: /^bridge cni0 does not have address 10\.88\.0\.1$/,
  },
  {
    title: 'forwarding',
    harm: (host) => runAt(host, ['sh', '-c', 'echo 0 >/proc/sys/net/ipv4/ip_forward']),
    msg: /^the host does not forward: net\/ipv4\/ip_forward is not 1$/,
  },
  {
    title: 'masquerading',
    harm: (host) => runAt(host, ['/usr/sbin/nft', 'flush', 'ruleset']),
    msg: /./,
  },
  {
    title: 'the reservation',
    harm: (host) =>
      runAt(host, ['sh', '-c', 'rm /var/lib/cni/networks/net/*:* /var/lib/cni/networks/net/10.*']),
    msg: /^host-local: Failed to find address added by container host1-c1$/,
  },
]
for (const { title, more = {}, harm, msg } of damages) {
  test(`heddle CHECK notices when ${title} is lost`, async (t) => {
    const host = await bareHost(t, 'check')
    const pod = await podOn(host, 'c1')
    const made = { ...conf, ...more }
    const { json } = await mustRun(t, pod, { command: 'ADD', conf: made })
    const run = { command: 'CHECK', conf: { ...made, prevResult: json } }
    await mustRun(t, pod, run)
    await harm(host, pod, json.interfaces?.[1]?.name ?? '')
    const { code, json: error } = await runPlugin(pod, run)
    t.is(code, 1)
    t.is(error.code, 103)
    t.regex(error.msg ?? '', msg)
  })
}

test('heddle CHECK goes by the final result, with what chained plugins changed', async (t) => {
  const host = await bareHost(t, 'chained')
  const pod = await podOn(host, 'c1')
  const { json } = await mustRun(t, pod, { command: 'ADD', conf })
  const mac = '02:00:00:00:00:09'
  await runAt(pod, ['ip', 'link', 'set', 'eth0', 'address', mac])
  const interfaces = json.interfaces?.map((one) => (one.name === 'eth0' ? { ...one, mac } : one))
  const prevResult: PluginAnswer = { ...json, interfaces: interfaces ?? [] }
  await mustRun(t, pod, { command: 'CHECK', conf: { ...conf, prevResult } })
})

test('heddle CHECK goes on when a chained plugin made the MTU smaller and hairpin mode on', async (t) => {
  const host = await bareHost(t, 'tuned')
  const pod = await podOn(host, 'c1')
  const made = { ...conf, mtu: 1400, hairpinMode: false }
  const { json } = await mustRun(t, pod, { command: 'ADD', conf: made })
  const port = json.interfaces?.[1]?.name ?? ''
  await runAt(pod, ['ip', 'link', 'set', 'eth0', 'mtu', '1300'])
  await runAt(host, ['bridge', 'link', 'set', 'dev', port, 'hairpin', 'on'])
  await mustRun(t, pod, { command: 'CHECK', conf: { ...made, prevResult: json } })
})

test('heddle CHECK passes on layer 2, where the reference plugin asks for an IPAM plugin', async (t) => {
  const host = await bareHost(t, 'layer2')
  const pod = await podOn(host, 'c1')
  const plain = { cniVersion: '1.0.0', name: 'net', type: 'bridge' }
  const { json } = await mustRun(t, pod, { command: 'ADD', conf: plain, plugin: 'bridge' })
  const after = { ...plain, prevResult: json }
  await mustRun(t, pod, { command: 'CHECK', conf: after, plugin: 'bridge' })
  await mustRun(t, pod, { command: 'DEL', conf: after, plugin: 'bridge' })
})

test('heddle STATUS tells whether the subnet is there', async (t) => {
  const host = await bareHost(t, 'status')
  const pod = await podOn(host, 'c1')
  const file = '/run/flannel/subnet.env'
  const run = { command: 'STATUS', conf: { ...conf, cniVersion: '1.1.0', ipam: {} } }
  const missing = await runPlugin(pod, run)
  t.is(missing.json.code, 50)
  t.regex(missing.json.msg ?? '', /no such file or directory/)
  await runAt(host, ['mkdir', '-p', '/run/flannel'])
  const env = [
    'FLANNEL_NETWORK=10.1.0.0/16',
    'FLANNEL_SUBNET=10.1.7.1/24',
    'FLANNEL_MTU=1450',
    'FLANNEL_IPMASQ=true',
  ]
  writeFileSync(hostFile(host, file), `${env.join('\n')}\n`)
  await mustRun(t, pod, run)
  const status = (value: object) => {
    const text = JSON.stringify({ v: 1, since: '2026-01-01T00:00:00Z', ...value })
    writeFileSync(hostFile(host, `${file}.status.json`), text)
  }
  status({ ready: false, error: 'the store does not answer' })
  const waiting = await runPlugin(pod, run)
  t.is(waiting.json.code, 50)
  t.regex(waiting.json.msg ?? '', /the store does not answer$/)
  status({ ready: true, error: 'the store does not answer' })
  t.is((await runPlugin(pod, run)).json.code, 51)
  const bootId = (await runAt(host, ['cat', '/proc/sys/kernel/random/boot_id'])).trim()
  status({ ready: true, expires: 1000, bootId })
  t.is((await runPlugin(pod, run)).json.code, 50)
  const lost = await runPlugin(pod, { ...run, command: 'ADD' })
  t.is(lost.json.code, 11)
  t.regex(lost.json.msg ?? '', /^the lease of the subnet in .* is over$/)
  status({ ready: true, expires: 1000, bootId: 'another' })
  await mustRun(t, pod, run)
})

test('loopback brings lo up and down', async (t) => {
  const host = await bareHost(t, 'loopback')
  const pod = await podOn(host, 'c1')
  await runAt(pod, ['ip', 'link', 'set', 'lo', 'down'])
  const lo = { cniVersion: '1.0.0', name: 'lo', type: 'loopback' }
  const run = { conf: lo, plugin: 'loopback' }
  const { json } = await mustRun(t, pod, { ...run, command: 'ADD' })
  t.deepEqual(json, {
    cniVersion: '1.0.0',
    interfaces: [{ name: 'lo', mac: '00:00:00:00:00:00', sandbox: pod.path }],
    ips: [
      { address: '127.0.0.1/8', interface: 0 },
      { address: '::1/128', interface: 0 },
    ],
  })
  await runAt(pod, ['ping', '-c1', '127.0.0.1'])
  await mustRun(t, pod, { ...run, command: 'CHECK' })
  const prevResult = { cniVersion: '1.0.0', unknown: 1, ips: [{ address: '10.0.0.2/24' }] }
  const chained = await mustRun(t, pod, { ...run, command: 'ADD', conf: { ...lo, prevResult } })
  t.deepEqual(chained.json as object, prevResult)
  await mustRun(t, pod, { ...run, command: 'DEL' })
  t.regex((await runPlugin(pod, { ...run, command: 'CHECK' })).json.msg ?? '', /interface is down$/)
  await mustRun(t, pod, { ...run, command: 'DEL', env: { CNI_NETNS: '/run/netns/none' } })
  await mustRun(t, pod, { ...run, command: 'DEL', env: { CNI_NETNS: '' } })
  const old = await mustRun(t, pod, {
    ...run,
    command: 'ADD',
    conf: { ...lo, cniVersion: '0.2.0' },
  })
  t.like(old.json, { cniVersion: '0.2.0', ip4: { ip: '127.0.0.1/8' } })
})
