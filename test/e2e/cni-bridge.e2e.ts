import test from 'ava'
import type { Host, Pod } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import {
  bareHost,
  changes,
  dump,
  ipJson,
  mustRun,
  podOn,
  referenceFolder,
  runPlugin,
  sysctl,
} from './cni-support.ts'

const v4 = { subnet: '10.88.0.0/24' }
const v6 = { subnet: 'fd00:88::/64' }

function conf(more: object = {}, ranges: object[][] = [[v4], [v6]]): object {
  return {
    cniVersion: '1.0.0',
    name: 'net',
    type: 'bridge',
    isGateway: true,
    isDefaultGateway: true,
    hairpinMode: true,
    ipam: { type: 'host-local', ranges },
    ...more,
  }
}

const families = { IPv4: [[v4]], IPv6: [[v6]], both: [[v4], [v6]] }
const versions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0']

for (const [family, ranges] of Object.entries(families)) {
  test(`heddle ADD, CHECK and DEL with ${family} in every version`, async (t) => {
    const host = await bareHost(t, 'versions')
    // Another container keeps the bridge's carrier on.
    await mustRun(t, await podOn(host, 'first'), { command: 'ADD', conf: conf({}, ranges) })
    const pod = await podOn(host, 'c1')
    const empty = await dump(host, pod)
    for (const cniVersion of versions) {
      const made = { ...conf({ cniVersion }, ranges) }
      const { json } = await mustRun(t, pod, { command: 'ADD', conf: made })
      t.is(json.cniVersion, cniVersion)
      const addresses = json.ips ?? [json.ip4, json.ip6].filter(Boolean)
      t.is(addresses.length, ranges.length)
      const gateways = ranges.map(([range]) => (range === v4 ? '10.88.0.1' : 'fd00:88::1'))
      for (const gateway of gateways) await runAt(pod, ['ping', '-c1', '-W1', gateway])
      const after = { ...made, prevResult: json }
      if (cniVersion >= '0.4.0') {
        const { stdout } = await mustRun(t, pod, { command: 'CHECK', conf: after })
        t.is(stdout, '')
      }
      const { stdout } = await mustRun(t, pod, { command: 'DEL', conf: after })
      t.is(stdout, '')
      t.deepEqual(changes(empty, await dump(host, pod)), [])
    }
  })
}

/** What tells two attachments apart that are alike otherwise. */
function neutral(value: unknown): unknown {
  const text = JSON.stringify(value)
    .replaceAll(/veth[\da-f]{8}/g, 'vethX')
    .replaceAll(/(?:[\da-f]{2}:){5}[\da-f]{2}/g, 'MAC')
    .replaceAll(/fe80::[\da-f:]+/g, 'fe80::X')
    .replaceAll(/"(ifindex|link_index|valid_life_time|preferred_life_time|txqlen)":\d+,?/g, '')
    .replaceAll(/"(nodad|tentative)":true,?/g, '')
  return JSON.parse(text.replaceAll(/,([}\]])/g, '$1'))
}

interface PortLink {
  readonly ifname: string
  readonly mtu: number
  readonly operstate: string
  readonly flags: readonly string[]
  readonly linkinfo: { readonly info_slave_data: Readonly<Record<string, unknown>> }
}

async function stateOf(pod: Pod, bridge: string): Promise<unknown> {
  const { host } = pod
  const ports = await ipJson<PortLink>(host, '-details', 'link', 'show', 'master', bridge)
  const inside = ['ipv4/conf/eth0/arp_notify', 'ipv6/conf/eth0/accept_dad']
  const outside = [
    ...[bridge, ...ports.map(({ ifname }) => ifname)].map((name) => `ipv6/conf/${name}/accept_ra`),
    'ipv4/ip_forward',
    'ipv6/conf/all/forwarding',
  ]
  return neutral({
    inside: await ipJson(pod, 'addr', 'show', 'dev', 'eth0'),
    routes: [await ipJson(pod, 'route'), await ipJson(pod, '-6', 'route')],
    bridge: await ipJson(host, 'addr', 'show', 'dev', bridge),
    ports: ports.map(({ mtu, operstate, flags, linkinfo }) => {
      const { state, hairpin, isolated, flood, learning } = linkinfo.info_slave_data
      return { mtu, operstate, flags, state, hairpin, isolated, flood, learning }
    }),
    sysctl: await Promise.all([
      ...inside.map((key) => sysctl(pod, key)),
      ...outside.map((key) => sysctl(host, key)),
    ]),
  })
}

const compared: Record<string, object> = {
  'as a gateway with both families': conf(),
  'with routes of its own': conf({
    isDefaultGateway: false,
    ipam: {
      type: 'host-local',
      ranges: [[v4], [v6]],
      routes: [
        { dst: '10.0.0.0/8' },
        { dst: '192.168.0.0/16', gw: '10.88.0.7' },
        { dst: 'fd00::/16' },
      ],
    },
  }),
  'with an MTU': conf({ mtu: 1400, hairpinMode: false }),
  'in promiscuous mode': conf({ hairpinMode: false, promiscMode: true }),
  'on layer 2 alone': { cniVersion: '1.0.0', name: 'net', type: 'bridge' },
}
for (const [how, made] of Object.entries(compared)) {
  test(`bridge leaves the kernel ${how} as the reference plugin does`, async (t) => {
    const state = async (name: string, plugin: string) => {
      const host = await bareHost(t, name)
      const pod = await podOn(host, 'c1')
      const { json } = await mustRun(t, pod, { command: 'ADD', conf: made, plugin })
      return { kernel: await stateOf(pod, 'cni0'), result: neutral({ dns: {}, ...json }) }
    }
    const ours = await state('ours', 'bridge')
    const theirs = await state('theirs', `${referenceFolder}/bridge`)
    t.deepEqual(ours, theirs)
  })
}

interface BridgeLink {
  readonly ifindex: number
  readonly address: string
  readonly promiscuity: number
  readonly addr_info: readonly { readonly local: string; readonly prefixlen: number }[]
}

async function bridgeOf(host: Host): Promise<BridgeLink> {
  const [link] = await ipJson<BridgeLink>(host, '-details', 'addr', 'show', 'cni0')
  if (!link) throw new Error('there is no cni0')
  return link
}

async function addressesOf(host: Host): Promise<string[]> {
  const { addr_info: list } = await bridgeOf(host)
  const own = list.filter(({ local }) => !local.startsWith('fe80'))
  return own.map(({ local, prefixlen }) => `${local}/${prefixlen}`)
}

test('bridge keeps one index and one MAC address through ADD and DEL', async (t) => {
  const host = await bareHost(t, 'stable')
  const pods = [await podOn(host, 'a'), await podOn(host, 'b')]
  const seen = new Set<string>()
  for (const command of ['ADD', 'DEL', 'ADD']) {
    for (const pod of pods) {
      const { json } = await mustRun(t, pod, { command, conf: conf(), plugin: 'bridge' })
      const { ifindex, address, promiscuity } = await bridgeOf(host)
      t.is(promiscuity, 0)
      seen.add(`${ifindex} ${address}`)
      for (const made of json.interfaces ?? []) {
        t.is(made.mac?.length, 17)
        if (made.name !== 'cni0') t.not(made.mac, address)
      }
    }
  }
  t.is(seen.size, 1)
})

test('bridge takes a bridge that is there, and adds addresses of IPv6 networks beside others', async (t) => {
  const host = await bareHost(t, 'existing')
  await runAt(host, ['ip', 'link', 'add', 'cni0', 'type', 'bridge'])
  await runAt(host, ['ip', 'addr', 'add', 'fd00:99::1/64', 'dev', 'cni0'])
  const { ifindex } = await bridgeOf(host)
  await mustRun(t, await podOn(host, 'a'), { command: 'ADD', conf: conf(), plugin: 'bridge' })
  t.is((await bridgeOf(host)).ifindex, ifindex)
  t.deepEqual((await addressesOf(host)).sort(), ['10.88.0.1/24', 'fd00:88::1/64', 'fd00:99::1/64'])
  const wide = conf({ name: 'wide' }, [[{ subnet: 'fd00:88::/48' }]])
  const pod = await podOn(host, 'b')
  const clash = await runPlugin(pod, { command: 'ADD', conf: wide, plugin: 'bridge' })
  t.like(clash.json, {
    code: 102,
    msg: '"cni0" already has an IP address different from fd00:88::1/48',
  })
  const forced = { ...wide, forceAddress: true }
  await mustRun(t, pod, { command: 'ADD', conf: forced, plugin: 'bridge' })
  t.deepEqual((await addressesOf(host)).sort(), ['10.88.0.1/24', 'fd00:88::1/48', 'fd00:99::1/64'])
})

test("bridge leaves the container's interface down when asked to", async (t) => {
  const host = await bareHost(t, 'down')
  const pod = await podOn(host, 'c1')
  const plain = { cniVersion: '1.0.0', name: 'net', type: 'bridge' }
  const quiet = { ...plain, disableContainerInterface: true }
  const { json } = await mustRun(t, pod, { command: 'ADD', conf: quiet, plugin: 'bridge' })
  const [link] = await ipJson<{ operstate: string }>(pod, 'link', 'show', 'eth0')
  t.is(link?.operstate, 'DOWN')
  const after = { ...quiet, prevResult: json }
  await mustRun(t, pod, { command: 'CHECK', conf: after, plugin: 'bridge' })
})
