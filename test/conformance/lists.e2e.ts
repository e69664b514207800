import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { type Host, hostFile, type Pod } from '../../scripts/lab/lab.ts'
import { runAt, startAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'
import {
  addNetworkList,
  checkNetworkList,
  delNetworkList,
  gcNetworkList,
  type NetworkList,
  type PluginConf,
  statusNetworkList,
} from './libcni.ts'
import { testPrograms } from './rows.ts'
import { answers, attachmentOf, podsOf, runtimeOn } from './runtime.ts'
import { useHost } from './site.ts'
import { differences, readState } from './state.ts'

const host = useHost(test, 'lists')
const versions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0']
const subnet = '10.88.0.0/24'
const capabilities = {
  portMappings: true,
  bandwidth: true,
  ips: true,
  mac: true,
  dns: true,
  aliases: true,
  ipRanges: true,
  cgroupPath: true,
  'io.kubernetes.cri.pod-annotations': true,
}
const ipam = { type: 'host-local', ranges: [[{ subnet }]] }
const heddle = { type: 'heddle', bridge: 'lists0', ipMasq: true, ipam }
const bridge = {
  type: 'bridge',
  bridge: 'lists0',
  isGateway: true,
  isDefaultGateway: true,
  ipMasq: true,
  hairpinMode: true,
  ipam,
}
const portmap = { type: 'portmap', capabilities: { portMappings: true } }
const bandwidth = { type: 'bandwidth', capabilities: { bandwidth: true } }
const subnetFile = '/run/lab/lists.env'
const flannel = {
  type: 'flannel',
  subnetFile,
  delegate: { bridge: 'lists0', isDefaultGateway: true },
}

const lists: Readonly<Record<string, readonly PluginConf[]>> = {
  'heddle with every capability': [{ ...heddle, capabilities }],
  'heddle in mode ptp': [{ ...heddle, bridge: undefined, mode: 'ptp', capabilities }],
  'heddle in mode macvlan': [
    {
      ...heddle,
      bridge: undefined,
      ipMasq: undefined,
      mode: 'macvlan',
      master: 'eth0',
      capabilities: { ips: true, mac: true },
    },
  ],
  'bridge, portmap and bandwidth': [{ ...bridge, capabilities: { ips: true } }, portmap, bandwidth],
  'flannel and portmap': [flannel, portmap],
  'loopback and heddle': [{ type: 'loopback' }, { ...heddle, capabilities }],
  // STATUS sees no result, so the configuration has to say it.
  'bridge and heddle as a chained plugin': [
    bridge,
    { type: 'heddle', chained: true, capabilities },
  ],
}

/** As go-cni sends it, whose structures name no keys. */
const capabilityArgs = {
  portMappings: [{ HostPort: 8080, ContainerPort: 80, Protocol: 'tcp', HostIP: '' }],
  bandwidth: { IngressRate: 8_000_000, IngressBurst: 4_294_967_295, EgressRate: 0, EgressBurst: 0 },
  dns: { Servers: ['10.88.0.1'], Searches: ['a.example'], Options: [] },
  cgroupPath: '/x',
  'io.kubernetes.cri.pod-annotations': { a: 'b' },
}

/** The first one has all kinds of state too, so that what all share is there. */
const other = {
  ...capabilityArgs,
  portMappings: [{ ...capabilityArgs.portMappings[0], HostPort: 8081 }],
}

/** As go-cni orders them: in no order. */
const args = [
  ['K8S_POD_NAME', 'a'],
  ['IgnoreUnknown', '1'],
  ['K8S_POD_NAMESPACE', 'd'],
] as const

/** What an attachment may have changed for good. Forwarding and the like show in no state. */
async function stateOf(): Promise<Awaited<ReturnType<typeof readState>>> {
  return readState(host())
}

for (const [title, plugins] of Object.entries(lists)) {
  test(`${title}: ADD, CHECK and DEL as a list in every version`, async (t) => {
    const pods = podsOf(t, host())
    const runtime = runtimeOn(host())
    writeFileSync(
      hostFile(host(), subnetFile),
      `FLANNEL_NETWORK=10.88.0.0/16\nFLANNEL_SUBNET=10.88.0.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n`,
    )
    const listOf = (cniVersion: string): NetworkList => ({ name: 'lists', cniVersion, plugins })
    await addNetworkList(
      runtime,
      listOf('1.0.0'),
      attachmentOf(await pods('first'), { args, capabilityArgs: other }),
    )
    const before = await stateOf()
    for (const cniVersion of versions) {
      const list = listOf(cniVersion)
      const attachment = attachmentOf(await pods(`v${cniVersion.replaceAll('.', '')}`), {
        args,
        capabilityArgs,
      })
      const result = await addNetworkList(runtime, list, attachment)
      t.is(result?.cniVersion, cniVersion)
      t.regex(JSON.stringify(result), /10\.88\.0\.\d+\/24/)
      if (cniVersion >= '0.4.0') await checkNetworkList(runtime, list, attachment)
      await statusNetworkList(runtime, list)
      await delNetworkList(runtime, list, attachment)
      t.deepEqual(differences(before, await stateOf()), [], cniVersion)
      // Again, without the cached result, and when the namespace is no more.
      await delNetworkList(runtime, list, { ...attachment, netns: '' })
    }
  })
}

test('every capability of a runtime is honoured by heddle alone', async (t) => {
  const pods = podsOf(t, host())
  const runtime = runtimeOn(host())
  const list = { name: 'lists', cniVersion: '1.0.0', plugins: [{ ...heddle, capabilities }] }
  const pod = await pods('all')
  const asked = {
    ...capabilityArgs,
    ipRanges: [[{ Subnet: '10.87.0.0/24' }]],
    ips: ['10.87.0.77'],
    mac: '0a:00:00:00:00:77',
    aliases: ['web'],
  }
  const result = await addNetworkList(
    runtime,
    list,
    attachmentOf(pod, { args, capabilityArgs: asked }),
  )
  const text = JSON.stringify(result)
  t.regex(text, /"address":"10\.87\.0\.77\/24"/)
  t.regex(text, /"mac":"0a:00:00:00:00:77"/)
  t.deepEqual(result?.['dns'], { nameservers: ['10.88.0.1'], search: ['a.example'] })
  const { rule = [], qdisc = [] } = await stateOf()
  t.regex(rule.join('\n'), /8080/)
  t.regex(qdisc.join('\n'), /tbf .*rate 8Mbit/)
  await checkNetworkList(runtime, list, attachmentOf(pod, { args, capabilityArgs: asked }))
})

test('GC by libcni DELs what the runtime remembers, and heddle removes what it has forgotten', async (t) => {
  const pods = podsOf(t, host())
  const runtime = runtimeOn(host())
  const list = { name: 'lists', cniVersion: '1.1.0', plugins: [{ ...heddle, capabilities }] }
  const [kept, known, forgotten] = [await pods('kept'), await pods('known'), await pods('lost')]
  await addNetworkList(runtime, list, attachmentOf(kept, { capabilityArgs }))
  const before = await stateOf()
  for (const pod of [known, forgotten]) await addNetworkList(runtime, list, attachmentOf(pod))
  rmSync(hostFile(host(), `${runtime.cache}/lists-lost-eth0`))
  await gcNetworkList(runtime, { ...list, disableGC: true }, [])
  t.true(await answers(forgotten, '10.88.0.1'))
  await gcNetworkList(runtime, list, [{ containerID: 'kept', ifname: 'eth0' }])
  t.deepEqual(differences(before, await stateOf()), [])
  t.true(await answers(kept, '10.88.0.1'))
  await checkNetworkList(runtime, list, attachmentOf(kept, { capabilityArgs }))
})

test('upstream integration: a point-to-point network with an MTU, masqueraded', async (t) => {
  const pod = await podsOf(t, host())('basic')
  const plugin = {
    type: 'heddle',
    mode: 'ptp',
    ipMasq: true,
    mtu: 512,
    ipam: { type: 'host-local', subnet: '10.1.2.0/24' },
    dns: { nameservers: ['10.1.0.1'] },
  }
  const list = { name: 'foobar', cniVersion: '0.3.0', plugins: [plugin] }
  await addNetworkList(runtimeOn(host()), list, attachmentOf(pod))
  const shown = await runAt(pod, ['ip', 'address', 'show', 'eth0'])
  t.regex(shown, /inet 10\.1\.2\.\d+/)
  t.regex(shown, /mtu 512/)
  await delNetworkList(runtimeOn(host()), list, attachmentOf(pod))
})

test('upstream integration: bandwidth behind a point-to-point network', async (t) => {
  const pod = await podsOf(t, host())('chained')
  // Upstream's own file spells the key so.
  const rates = { ingressRate: 800, ingressBurst: 200, egressRate: 800, egressBurst: 200 }
  const plugins = [
    {
      type: 'heddle',
      mode: 'ptp',
      ipMasq: true,
      mtu: 512,
      ipam: { type: 'host-local', subnet: '10.9.2.0/24' },
    },
    { type: 'bandwidth', runtimeConfig: { bandWidth: rates } },
  ]
  const list = { name: 'foobar', cniVersion: '0.3.1', plugins }
  await addNetworkList(runtimeOn(host()), list, attachmentOf(pod))
  t.regex(await runAt(pod, ['ip', 'address', 'show', 'eth0']), /inet 10\.9\.2\.\d+/)
  const { qdisc = [] } = await stateOf()
  t.is(qdisc.filter((line) => /tbf .*rate 800bit/.test(line)).length, 2)
  await delNetworkList(runtimeOn(host()), list, attachmentOf(pod))
})

test('upstream integration: a shaped container of a network is slower than another one', async (t) => {
  const pods = podsOf(t, host())
  const runtime = runtimeOn(host())
  const plain = { ...bridge, bridge: 'shaped0' }
  const rates = { ingressRate: 8000, ingressBurst: 16_000, egressRate: 8000, egressBurst: 16_000 }
  const chain = [plain, { type: 'bandwidth', runtimeConfig: { bandWidth: rates } }]
  const [slow, fast] = [await pods('slow'), await pods('fast')]
  const addressOf = async (pod: Pod, plugins: readonly PluginConf[]) => {
    const list = { name: 'shaped', cniVersion: '0.3.1', plugins }
    const result = await addNetworkList(runtime, list, attachmentOf(pod))
    return /10\.88\.0\.\d+/.exec(JSON.stringify(result?.['ips']))?.[0] ?? ''
  }
  const slowAddress = await addressOf(slow, chain)
  const fastAddress = await addressOf(fast, [plain])
  for (const [pod, address] of [
    [slow, slowAddress],
    [fast, fastAddress],
  ] as const)
    await receive(t, pod, address)
  const [quick, held] = [await send(fastAddress), await send(slowAddress)]
  t.log(`1.5 kB more than the burst: ${held} ms, and ${quick} ms where nothing is shaped`)
  t.true(held > quick + 1000)
})

const node = join(import.meta.dirname, '../../node_modules/.bin/node')
const transfer = join(import.meta.dirname, '../e2e/netlink-transfer.ts')

async function receive(t: ExecutionContext, place: Host | Pod, address: string): Promise<void> {
  const logFile = join(host().lab.directory, `receive-${address}.log`)
  const server = startAt(place, [node, transfer, 'serve', address, '9000'], { logFile })
  t.teardown(() => server.stop('SIGKILL'))
  await until('the receiver', () => server.log().includes('ready'), { timeoutMs: 20_000 })
}

/** Milliseconds for the burst of 2 kB and 1.5 kB more. */
async function send(address: string): Promise<number> {
  const command = [node, transfer, 'send', address, '9000', '3500'] as const
  return Number(await runAt(host(), [...command], { timeoutMs: 50_000 }))
}

testPrograms(test)
