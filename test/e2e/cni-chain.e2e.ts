import test, { type ExecutionContext } from 'ava'
import { addHost, type Host, type Pod } from '../../scripts/lab/lab.ts'
import { attemptAt, runAt } from '../../scripts/lab/place.ts'
import {
  bareHost,
  changes,
  ipJson,
  mustRun,
  type PluginAnswer,
  podOn,
  referenceFolder,
  runPlugin,
  steadyDump,
} from './cni-support.ts'
import { ask, serve } from './firewall-support.ts'

const reference = (type: string) => `${referenceFolder}/${type}`

/** One plugin of a chain: its executable, and what its configuration has besides the common keys. */
interface Link {
  readonly plugin: string
  readonly keys?: Readonly<Record<string, unknown>>
}

interface Chain {
  readonly name: string
  readonly cniVersion: string
  readonly links: readonly Link[]
}

/** Runs a verb through a chain as libcni does; the last result. */
async function through(
  t: ExecutionContext,
  pod: Pod,
  { name, cniVersion, links }: Chain,
  what: { command: string; result?: PluginAnswer; env?: Readonly<Record<string, string>> },
): Promise<PluginAnswer> {
  const { command, env = {} } = what
  let { result } = what
  for (const { plugin, keys = {} } of command === 'DEL' ? links.toReversed() : links) {
    const type = plugin.slice(plugin.lastIndexOf('/') + 1)
    const prevResult = result && { prevResult: result }
    const conf = { cniVersion, name, type, ...keys, ...prevResult }
    const { json } = await mustRun(t, pod, { command, conf, plugin, env })
    if (command === 'ADD') result = json
  }
  return result ?? {}
}

const ipam = {
  type: 'host-local',
  ranges: [[{ subnet: '10.88.0.0/24' }], [{ subnet: 'fd00:88::/64' }]],
}
const bridge = { bridge: 'br0', isDefaultGateway: true, hairpinMode: true, ipam }
const portMappings = [
  { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
  { hostPort: 5353, containerPort: 53, protocol: 'udp' },
]
const ports = { runtimeConfig: { portMappings } }
const bandwidth = {
  ingressRate: 8_000_000,
  ingressBurst: 160_000,
  egressRate: 4_000_000,
  egressBurst: 160_000,
}
const shaping = { runtimeConfig: { bandwidth } }

/** Asks the published ports from another host and from localhost. */
async function isPublished(t: ExecutionContext, host: Host, name: string): Promise<void> {
  const outside = await addHost(host.lab, 2)
  t.is(await ask(outside, 'tcp', host.publicIP, 8080), `${name} sees ${outside.publicIP}`)
  t.is(await ask(outside, 'udp', host.publicIPv6, 5353), `${name} sees ${outside.publicIPv6}`)
  t.is(await ask(host, 'tcp', '127.0.0.1', 8080), `${name} sees 10.88.0.1`)
}

/** The qdiscs of a host's links that limit a rate. */
async function limits(host: Host): Promise<string[]> {
  const lines = (await runAt(host, ['tc', 'qdisc', 'show'])).split('\n')
  return lines.flatMap((line) => / rate (\S+) /.exec(line)?.[1] ?? []).toSorted()
}

/** What a chain left that is not a shared part, which the reference plugins leave too. */
async function remains(host: Host, before: readonly string[], pod: Pod): Promise<string[]> {
  const after = changes(before, await steadyDump(host, pod))
  return after.filter((line) => /veth|bwp|10\.88\.0\.2\b|fd00:88::2\b|8080|5353|host1-/.test(line))
}

for (const cniVersion of ['0.4.0', '1.0.0']) {
  test(`portmap and bandwidth take their places behind the reference bridge (${cniVersion})`, async (t) => {
    const host = await bareHost(t, `behind${cniVersion.replaceAll('.', '')}`)
    const name = `behind${cniVersion.slice(0, 1)}`
    const pod = await podOn(host, name)
    const before = await steadyDump(host, pod)
    const chain = {
      name: 'net',
      cniVersion,
      links: [
        { plugin: reference('bridge'), keys: bridge },
        { plugin: 'portmap', keys: { ...ports, snat: true } },
        { plugin: 'bandwidth', keys: shaping },
      ],
    }
    const result = await through(t, pod, chain, { command: 'ADD' })
    const names = result.interfaces?.map((one) => one.name) ?? []
    t.is(names.length, 4)
    t.regex(names[3] ?? '', /^bwp[0-9a-f]{12}$/)
    t.is(result.cniVersion, cniVersion)
    await serve(t, pod, { name, ports: [80, 53] })
    await isPublished(t, host, name)
    t.deepEqual(await limits(host), ['4Mbit', '8Mbit'])
    await through(t, pod, { ...chain, links: chain.links.slice(1) }, { command: 'CHECK', result })
    await through(t, pod, chain, { command: 'DEL', result })
    t.deepEqual(await remains(host, before, pod), [])
  })
}

test('the reference plugins take their places behind our bridge', async (t) => {
  const host = await bareHost(t, 'before')
  const pod = await podOn(host, 'before')
  const chain = {
    name: 'net',
    cniVersion: '1.0.0',
    links: [
      { plugin: 'bridge', keys: bridge },
      { plugin: reference('portmap'), keys: ports },
      { plugin: reference('bandwidth'), keys: shaping },
      { plugin: reference('tuning'), keys: { mac: '02:00:00:00:00:07' } },
      { plugin: reference('firewall'), keys: { backend: 'iptables' } },
    ],
  }
  const result = await through(t, pod, chain, { command: 'ADD' })
  await serve(t, pod, { name: 'before', ports: [80, 53] })
  await isPublished(t, host, 'before')
  t.deepEqual(await limits(host), ['4Mbit', '8Mbit'])
  const [ours] = chain.links
  if (ours) await through(t, pod, { ...chain, links: [ours] }, { command: 'CHECK', result })
  await through(t, pod, chain, { command: 'DEL', result })
  t.deepEqual(await ipJson(host, 'link', 'show', 'type', 'veth', 'master', 'br0'), [])
  t.deepEqual(await ipJson(host, 'link', 'show', 'type', 'ifb'), [])
})

for (const chained of [true, undefined]) {
  const how = chained ? 'that says so' : 'that is told by the result before it'
  test(`heddle is a chained plugin behind the reference bridge (${how})`, async (t) => {
    const host = await bareHost(t, chained ? 'said' : 'told')
    const name = chained ? 'said' : 'told'
    const pod = await podOn(host, name)
    const before = await steadyDump(host, pod)
    const heddle = {
      plugin: 'heddle',
      keys: { chained, runtimeConfig: { portMappings, bandwidth } },
    }
    const first = { plugin: reference('bridge'), keys: bridge }
    const chain = { name: 'net', cniVersion: '1.0.0', links: [first, heddle] }
    const own = { ...chain, links: [heddle] }
    const result = await through(t, pod, chain, { command: 'ADD' })
    t.is(result.interfaces?.length, 3)
    await serve(t, pod, { name, ports: [80, 53] })
    await isPublished(t, host, name)
    t.deepEqual(await limits(host), ['4Mbit', '8Mbit'])
    await through(t, pod, own, { command: 'CHECK', result })

    await through(t, pod, own, { command: 'DEL', result })
    t.deepEqual(await limits(host), [])
    const kept = await ipJson<{ addr_info: unknown[] }>(pod, 'addr', 'show', 'eth0')
    t.true(
      (kept[0]?.addr_info.length ?? 0) >= 2,
      "the link and its addresses are the bridge plugin's",
    )
    t.is((await attemptAt(host, ['ls', '/var/lib/cni/networks/net/10.88.0.2'])).code, 0)
    await through(t, pod, { ...chain, links: [first] }, { command: 'DEL', result })
    t.deepEqual(await remains(host, before, pod), [])
  })
}

test('a chained plugin keeps what it does not know of the result before it', async (t) => {
  const host = await bareHost(t, 'kept')
  const pod = await podOn(host, 'kept')
  const conf = { cniVersion: '1.1.0', name: 'net', type: 'bridge', ...bridge }
  const { json } = await mustRun(t, pod, { command: 'ADD', conf, plugin: 'bridge' })
  const prevResult = {
    ...json,
    custom: { kept: [1] },
    interfaces: json.interfaces?.map((one) => ({ ...one, more: true })),
  }
  const chained = { cniVersion: '1.1.0', name: 'net', prevResult, ...ports }
  const { json: printed } = await mustRun(t, pod, {
    command: 'ADD',
    conf: chained,
    plugin: 'portmap',
  })
  t.deepEqual(printed, prevResult as PluginAnswer)
  const { json: after } = await mustRun(t, pod, {
    command: 'ADD',
    conf: { ...chained, ...shaping },
    plugin: 'bandwidth',
  })
  t.deepEqual(after.interfaces?.slice(0, 3), prevResult.interfaces as PluginAnswer['interfaces'])
  t.is(after.interfaces?.length, 4)
})

test('portmap and bandwidth clean up without namespace, result or record, also what the reference plugins made', async (t) => {
  const host = await bareHost(t, 'bare')
  const name = 'bare'
  const pod = await podOn(host, name)
  const links = [
    { plugin: reference('bridge'), keys: bridge },
    { plugin: reference('portmap'), keys: ports },
    { plugin: reference('bandwidth'), keys: shaping },
  ]
  const chain = { name: 'net', cniVersion: '1.0.0', links }
  const ours = ['portmap', 'bandwidth'].map((plugin) => ({ plugin }))
  await through(t, pod, chain, { command: 'ADD' })
  await through(t, pod, { ...chain, links: ours }, { command: 'DEL', env: { CNI_NETNS: '' } })
  const rules = await runAt(host, ['sh', '-c', '/usr/sbin/nft list ruleset; ip link'])
  t.false(/host1-bare|8080|bwp/.test(rules), rules)

  const mixed = [links[0], ...ours.map((link) => ({ ...link, keys: { ...ports, ...shaping } }))]
  await mustRun(t, pod, {
    command: 'DEL',
    conf: { cniVersion: '1.0.0', name: 'net', type: 'bridge', ...bridge },
    plugin: reference('bridge'),
  })
  await through(
    t,
    pod,
    { ...chain, links: mixed.flatMap((link) => link ?? []) },
    { command: 'ADD' },
  )
  t.deepEqual(await limits(host), ['4Mbit', '8Mbit'])
  await runAt(host, ['rm', '-r', '/run/heddle'])
  await through(t, pod, { ...chain, links: ours }, { command: 'DEL', env: { CNI_NETNS: '' } })
  const left = await runAt(host, ['sh', '-c', '/usr/sbin/nft list ruleset; ip link'])
  t.false(/host1-bare|8080|bwp/.test(left), left)
})

test('what a chained plugin cannot do is refused before anything is done', async (t) => {
  const host = await bareHost(t, 'refused')
  const pod = await podOn(host, 'refused')
  const conf = { cniVersion: '1.0.0', name: 'net', type: 'ptp', ipam }
  const { json: prevResult } = await mustRun(t, pod, {
    command: 'ADD',
    conf,
    plugin: reference('ptp'),
  })
  const before = await steadyDump(host, pod)
  const cases = [
    ['portmap', { ...ports, conditionsV4: ['-i', 'eth0'] }, 2],
    ['portmap', { runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 0 }] } }, 7],
    ['bandwidth', { ingressRate: 8 }, 7],
  ] as const
  for (const [plugin, keys, code] of cases) {
    const conf = { cniVersion: '1.0.0', name: 'net', ...keys, prevResult }
    const { json } = await runPlugin(pod, { command: 'ADD', conf, plugin })
    t.is(json.code, code)
  }
  const elsewhere = { cniVersion: '1.0.0', name: 'net', ...shaping, prevResult }
  const env = { CNI_IFNAME: 'lo' }
  const { json } = await runPlugin(pod, {
    command: 'ADD',
    conf: elsewhere,
    plugin: 'bandwidth',
    env,
  })
  t.is(json.msg, 'no veth peer of container interface found in host ns')
  t.deepEqual(changes(before, await steadyDump(host, pod)), [])
})
