import test from 'ava'
import type { Host, Pod } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { bareHost, changes, dump, ipJson, mustRun, podOn, runPlugin } from './cni-support.ts'
import { testWith } from './installed.ts'

const v4 = { subnet: '10.88.0.0/24' }
const v6 = { subnet: 'fd00:88::/64' }

function ptp(more: object = {}, ranges: object[][] = [[v4], [v6]]): object {
  const ipam = { type: 'host-local', ranges }
  return { cniVersion: '1.0.0', name: 'net', type: 'heddle', mode: 'ptp', ipam, ...more }
}

/** Addresses of the lab's own network, from 200 on: what containers on it would be given. */
const range4 = {
  subnet: '10.100.0.0/24',
  rangeStart: '10.100.0.200',
  rangeEnd: '10.100.0.210',
  gateway: '10.100.0.254',
}
const range6 = {
  subnet: 'fd00:100::/64',
  rangeStart: 'fd00:100::200',
  rangeEnd: 'fd00:100::210',
  gateway: 'fd00:100::fe',
}

function macvlan(more: object = {}, ranges: object[][] = [[range4], [range6]]): object {
  const ipam = { type: 'host-local', ranges }
  return { cniVersion: '1.0.0', name: 'net', type: 'heddle', mode: 'macvlan', ipam, ...more }
}

const refusals: readonly [title: string, conf: object, code: number, msg: RegExp][] = [
  ['an unknown mode', ptp({ mode: 'ipvlan' }), 2, /^unsupported field "mode" with value "ipvlan"/],
  ['a bridge for ptp', ptp({ bridge: 'br1' }), 2, /^unsupported field "bridge" with value "br1"/],
  ['hairpin mode for ptp', ptp({ hairpinMode: true }), 2, /^unsupported field "hairpinMode"/],
  ['ptp without addresses', ptp({ ipam: { type: '' } }), 7, /^mode ptp needs addresses/],
  ['an MTU that no link has', ptp({ mtu: 10 }), 7, /^invalid MTU 10/],
  ['an unknown macvlan mode', macvlan({ macvlanMode: 'x' }), 7, /^unknown macvlan mode: "x"$/],
  [
    'a macvlan MTU above its parent',
    macvlan({ mtu: 9000 }),
    7,
    /^invalid MTU 9000, must be \[0, master MTU\(1500\)\]$/,
  ],
  ['a negative macvlan MTU', macvlan({ mtu: -1 }), 7, /^invalid MTU -1, must be \[0, /],
  [
    'a parent that is not there',
    macvlan({ master: 'nope' }),
    7,
    /^failed to lookup master "nope": Link not found$/,
  ],
  ['masquerading for macvlan', macvlan({ ipMasq: true }), 2, /^unsupported field "ipMasq"/],
  [
    'ports for macvlan',
    macvlan({
      runtimeConfig: { portMappings: [{ hostPort: 80, containerPort: 80, protocol: 'tcp' }] },
    }),
    2,
    /^unsupported field "runtimeConfig"/,
  ],
  [
    'a MAC address that is none',
    macvlan({ runtimeConfig: { mac: 'zz' } }),
    7,
    /^failed to create macvlan: address zz: invalid MAC address$/,
  ],
  [
    'layer 2 alone in a version that cannot say so',
    macvlan({ cniVersion: '0.2.0', ipam: { type: '' } }),
    7,
    /^cannot convert: no valid IP addresses$/,
  ],
]
for (const [title, conf, code, msg] of refusals) {
  test(`heddle ADD with ${title} says so and changes nothing`, async (t) => {
    const host = await bareHost(t, 'refusals')
    const pod = await podOn(host, 'c1')
    const before = await dump(host, pod)
    const { code: exit, json } = await runPlugin(pod, { command: 'ADD', conf })
    t.is(exit, 1)
    t.is(json.code, code, JSON.stringify(json))
    t.regex(json.msg ?? '', msg)
    t.deepEqual(changes(before, await dump(host, pod)), [])
    await mustRun(t, pod, { command: 'DEL', conf })
    t.deepEqual(changes(before, await dump(host, pod)), [])
  })
}

test('heddle ADD in mode macvlan tells a host without default route, and a parent that is down', async (t) => {
  const host = await bareHost(t, 'parents')
  const pod = await podOn(host, 'c1')
  await runAt(host, ['ip', 'route', 'del', 'default'])
  await runAt(host, ['ip', '-6', 'route', 'del', 'default'])
  const none = await runPlugin(pod, { command: 'ADD', conf: macvlan() })
  t.like(none.json, { code: 7, msg: 'no default route interface found: set "master"' })
  await runAt(host, ['ip', 'link', 'set', 'eth0', 'down'])
  const down = await runPlugin(pod, { command: 'ADD', conf: macvlan({ master: 'eth0' }) })
  t.like(down.json, { code: 102, msg: 'master "eth0" is down' })
})

const testWithTrace = testWith('strace')

testWithTrace('heddle ADD in mode macvlan names the module that a kernel lacks', async (t) => {
  const host = await bareHost(t, 'module')
  const pod = await podOn(host, 'c1')
  const before = await dump(host, pod)
  const messages: unknown[] = []
  // One of the requests to the kernel is for the interface; each is refused in its turn.
  for (let number = 1; number <= 8; number++) {
    const inject = `inject=sendto:error=EOPNOTSUPP:when=${number}`
    const under = ['strace', '-qq', '-o', '/dev/null', '-e', inject]
    const { code, json } = await runPlugin(pod, { command: 'ADD', conf: macvlan(), under })
    if (code === 0) await mustRun(t, pod, { command: 'DEL', conf: macvlan() })
    else if (json.msg?.startsWith('mode macvlan: this kernel has no macvlan')) {
      messages.push(json.details)
    }
    t.deepEqual(changes(before, await dump(host, pod)), [])
  }
  t.deepEqual(messages, ['load the kernel module "macvlan": modprobe macvlan'])
})

test('heddle ADD in mode macvlan on layer 2 alone brings up a link without addresses', async (t) => {
  const host = await bareHost(t, 'layer2')
  const pod = await podOn(host, 'c1')
  const conf = macvlan({ ipam: { type: '' } })
  const { json } = await mustRun(t, pod, { command: 'ADD', conf })
  t.is(json.ips, undefined)
  const [link] = await ipJson<{ operstate: string }>(pod, 'link', 'show', 'eth0')
  t.is(link?.operstate, 'UP')
  const after = { ...conf, prevResult: json }
  await mustRun(t, pod, { command: 'CHECK', conf: after })
  await mustRun(t, pod, { command: 'DEL', conf: after })
})

const ip =
  (...args: readonly string[]) =>
  (place: Host | Pod) =>
    runAt(place, ['ip', ...args])

interface Damage {
  readonly title: string
  readonly conf: object
  readonly harm: (host: Host, pod: Pod, port: string) => Promise<unknown>
  readonly msg: RegExp
}

const damages: readonly Damage[] = [
  {
    title: "the host's address",
    conf: ptp(),
    harm: (host, _, port) => ip('addr', 'del', '10.88.0.1/32', 'dev', port)(host),
    msg: /^veth\w+ does not have address 10\.88\.0\.1$/,
  },
  {
    title: 'the way to the container',
    conf: ptp(),
    harm: ip('route', 'del', '10.88.0.2'),
    msg: /^Expected Route 10\.88\.0\.2\/32 not found on veth/,
  },
  {
    title: 'the way to the gateway',
    conf: ptp(),
    harm: (_, pod) => ip('-6', 'route', 'del', 'fd00:88::1')(pod),
    msg: /^Expected Route fd00:88::1\/128 not found on eth0$/,
  },
  {
    title: 'forwarding',
    conf: ptp(),
    harm: (host) => runAt(host, ['sh', '-c', 'echo 0 >/proc/sys/net/ipv4/ip_forward']),
    msg: /^the host does not forward: net\/ipv4\/ip_forward is not 1$/,
  },
  {
    title: 'masquerading',
    conf: ptp({ ipMasq: true }),
    harm: (host) => runAt(host, ['/usr/sbin/nft', 'flush', 'ruleset']),
    msg: /./,
  },
  {
    title: "the host end's MTU",
    conf: ptp({ mtu: 1400 }),
    harm: (host, _, port) => ip('link', 'set', port, 'mtu', '1300')(host),
    msg: /^veth\w+ has MTU 1300, not 1400$/,
  },
  {
    title: "the container end's MTU",
    conf: ptp({ mtu: 1400, cniVersion: '1.1.0' }),
    harm: (_, pod) => ip('link', 'set', 'eth0', 'mtu', '1300')(pod),
    msg: /^eth0 has MTU 1300, not 1400$/,
  },
  {
    title: 'the mode of a macvlan',
    conf: macvlan(),
    harm: (_, pod) => ip('link', 'set', 'eth0', 'type', 'macvlan', 'mode', 'private')(pod),
    msg: /^interface eth0 is in mode private, not bridge$/,
  },
  {
    title: 'the MAC address of a macvlan',
    conf: macvlan(),
    harm: (_, pod) => ip('link', 'set', 'eth0', 'address', '02:00:00:00:00:09')(pod),
    msg: /^eth0 has MAC address 02:00:00:00:00:09, not /,
  },
  {
    title: 'the address of a macvlan',
    conf: macvlan(),
    harm: (_, pod) => ip('addr', 'del', '10.100.0.200/24', 'dev', 'eth0')(pod),
    msg: /^eth0 does not have address 10\.100\.0\.200\/24$/,
  },
  {
    title: 'a macvlan in favour of another link',
    conf: macvlan(),
    harm: async (_, pod) => {
      await ip('link', 'del', 'eth0')(pod)
      await ip('link', 'add', 'eth0', 'type', 'bridge')(pod)
    },
    msg: /^interface eth0 is not a macvlan$/,
  },
]
for (const { title, conf, harm, msg } of damages) {
  test(`heddle CHECK notices when ${title} is lost`, async (t) => {
    const host = await bareHost(t, 'check')
    const pod = await podOn(host, 'c1')
    const { json } = await mustRun(t, pod, { command: 'ADD', conf })
    const run = { command: 'CHECK', conf: { ...conf, prevResult: json } }
    await mustRun(t, pod, run)
    await harm(host, pod, json.interfaces?.[0]?.name ?? '')
    const { code, json: error } = await runPlugin(pod, run)
    t.is(code, 1)
    t.is(error.code, 103)
    t.regex(error.msg ?? '', msg)
  })
}
