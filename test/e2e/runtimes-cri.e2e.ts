import { readFileSync } from 'node:fs'
import type { ExecutionContext } from 'ava'
import { type Host, hostFile } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { mapLimit, until } from '../../scripts/lab/run.ts'
import { ipJson } from './cni-support.ts'
import { type Cri, connectCri, criProtocols, type SandboxConfig } from './cri-client.ts'
import { askAll, startEcho } from './runtimes-echo.ts'
import {
  importToContainerd,
  installOn,
  namespaceAt,
  startContainerd,
  testContainerd,
  tracesOn,
  writeOn,
} from './runtimes-support.ts'
import { hostsFor, nth } from './support.ts'

const plugins = '/run/lab/plugins'
const subnet = '10.82.1.0/24'
const gateway = '10.82.1.1'

/** One execution for what is otherwise a chain of four. */
const list = {
  cniVersion: '1.0.0',
  name: 'pods',
  plugins: [
    {
      type: 'heddle',
      bridge: 'pods0',
      ipMasq: true,
      capabilities: { portMappings: true, bandwidth: true, dns: true },
      ipam: { type: 'heddle-ipam', ranges: [[{ subnet }]] },
    },
  ],
}

/** containerd on the first of two hosts, with no plugins but heddle's; one pod has come and gone. */
async function criHosts(t: ExecutionContext, name: string): Promise<{ cri: Cri; hosts: Host[] }> {
  const hosts = await hostsFor(t, { name, count: 2 })
  const here = nth(hosts, 0)
  await installOn(here, { folder: plugins })
  await startContainerd(t, here, { plugins })
  await importToContainerd(here, 'k8s.io')
  writeOn(here, '/etc/cni/net.d/10-pods.conflist', list)
  const cri = connectCri(hostFile(here, '/run/containerd/containerd.sock'))
  t.teardown(() => cri[Symbol.dispose]())
  const isReady = async () => (await cri.networkReady()).ready
  await until('the network to be ready', isReady, { timeoutMs: 10_000 })
  const first = await cri.run({
    ...pod('first'),
    portMappings: [{ containerPort: 79, hostPort: 8079 }],
  })
  await cri.stop(first)
  await cri.remove(first)
  return { cri, hosts }
}

function pod(name: string): SandboxConfig {
  return { metadata: { name, uid: `uid-${name}`, namespace: 'default' }, hostname: name, linux: {} }
}

const server: SandboxConfig = {
  ...pod('server'),
  portMappings: [
    { containerPort: 80, hostPort: 8080 },
    { containerPort: 53, hostPort: 5353, protocol: criProtocols.udp },
    { containerPort: 80, hostPort: 8081, hostIp: '127.0.0.1' },
  ],
  annotations: [
    { key: 'kubernetes.io/ingress-bandwidth', value: '8M' },
    { key: 'kubernetes.io/egress-bandwidth', value: '16M' },
  ],
}

/** Rates in bit/s of the queues that shape something on a host, by the kind of link they are on. */
async function shapingOn(host: Host): Promise<Readonly<Record<string, number>>> {
  const links = await ipJson<{ ifname: string; linkinfo?: { info_kind?: string } }>(
    host,
    '-details',
    'link',
  )
  const json = await runAt(host, ['tc', '-json', 'qdisc', 'show'])
  const queues = JSON.parse(json) as { kind: string; dev: string; options: { rate?: number } }[]
  const shaping = queues.flatMap(({ kind, dev, options: { rate = 0 } }) => {
    const link = links.find(({ ifname }) => ifname === dev)
    // tc counts in bytes.
    return kind === 'tbf' ? [[link?.linkinfo?.info_kind ?? dev, rate * 8] as const] : []
  })
  return Object.fromEntries(shaping)
}

testContainerd(
  'CRI with no plugins but heddle: a pod with host ports and a limited rate comes, serves and goes',
  async (t) => {
    const { cri, hosts } = await criHosts(t, 'cri-ports')
    const [here, there] = [nth(hosts, 0), nth(hosts, 1)]
    const before = await tracesOn(here)
    const id = await cri.run(server)
    const { addresses, netns } = await cri.status(id)
    t.regex(addresses.join(), /^10\.82\.1\.\d+$/)
    t.deepEqual(await shapingOn(here), { veth: 8_000_000, ifb: 16_000_000 })

    const container = namespaceAt(here, netns)
    const echo = await startEcho(t, container, here.lab.directory)
    const far = await askAll(there, [
      ['tcp', here.publicIP, 8080],
      ['udp', here.publicIP, 5353],
      ['tcp', here.publicIP, 8081],
    ])
    t.deepEqual(Object.values(far), [there.publicIP, there.publicIP, 'ECONNREFUSED'])
    const near = await askAll(here, [
      ['tcp', '127.0.0.1', 8080],
      ['tcp', '127.0.0.1', 8081],
      ['udp', '127.0.0.1', 5353],
      ['tcp', here.publicIP, 8080],
    ])
    t.deepEqual(Object.values(near), [gateway, gateway, gateway, here.publicIP])
    const own = await askAll(container, [['tcp', here.publicIP, 8080]])
    t.deepEqual(Object.values(own), [gateway])
    await echo.stop()

    await cri.stop(id)
    t.deepEqual(await tracesOn(here), before, 'StopPodSandbox')
    await cri.remove(id)
    t.deepEqual(await tracesOn(here), before, 'RemovePodSandbox')
  },
)

testContainerd(
  'CRI calls DEL twice, the second time without a namespace, and also when that was lost before',
  async (t) => {
    const { cri, hosts } = await criHosts(t, 'cri-del')
    const here = nth(hosts, 0)
    await recordCalls(here)
    const before = await tracesOn(here)

    const id = await cri.run(server)
    const { netns } = await cri.status(id)
    await cri.stop(id)
    await cri.remove(id)
    t.deepEqual(callsOn(here), [`ADD ${netns}`, `DEL ${netns}`, 'DEL '])
    t.deepEqual(await tracesOn(here), before)

    const lost = await cri.run({ ...server, ...pod('lost') })
    const at = (await cri.status(lost)).netns
    await runAt(here, ['umount', at])
    await runAt(here, ['rm', at])
    await cri.stop(lost)
    await cri.remove(lost)
    const [add, ...dels] = callsOn(here)
    t.is(add, `ADD ${at}`)
    t.true(dels.length >= 2 && dels.every((line) => line === 'DEL '), String(dels))
    t.deepEqual(await tracesOn(here), before)
  },
)

const callLog = '/run/lab/calls'

/** Puts a shell between the runtime and the plugin that notes each command and its namespace. */
async function recordCalls(host: Host): Promise<void> {
  await runAt(host, ['mkdir', '/run/lab/real'])
  await runAt(host, ['mv', `${plugins}/heddle`, '/run/lab/real/heddle'])
  const script = `#!/bin/sh\necho "$CNI_COMMAND $CNI_NETNS" >>${callLog}\nexec /run/lab/real/heddle\n`
  writeOn(host, `${plugins}/heddle`, script)
  await runAt(host, ['chmod', '755', `${plugins}/heddle`])
}

/** The commands since the last look. */
function callsOn(host: Host): string[] {
  const file = hostFile(host, callLog)
  const lines = readFileSync(file, 'utf8').split('\n')
  writeOn(host, callLog, '')
  return lines.slice(0, -1)
}

testContainerd(
  'CRI starts eight pods at once: eight addresses, none twice, and nothing left of them',
  async (t) => {
    const { cri, hosts } = await criHosts(t, 'cri-eight')
    const here = nth(hosts, 0)
    const before = await tracesOn(here)
    const names = Array.from({ length: 8 }, (_, i) => `pod-${i}`)
    const ids = await mapLimit(names, 8, (name) => cri.run(pod(name)))
    const pods = await mapLimit(ids, 8, (id) => cri.status(id))
    t.is(new Set(pods.flatMap(({ addresses }) => addresses)).size, 8)
    await mapLimit(ids, 8, (id) => cri.stop(id))
    await mapLimit(ids, 8, (id) => cri.remove(id))
    t.deepEqual(await tracesOn(here), before)
  },
)

testContainerd(
  'CRI, a host port that is taken: RunPodSandbox says whose it is, and leaves nothing behind',
  async (t) => {
    const { cri, hosts } = await criHosts(t, 'cri-taken')
    const here = nth(hosts, 0)
    const id = await cri.run(server)
    const before = await tracesOn(here)
    const late = cri.run({ ...server, ...pod('late') })
    const { message } = (await t.throwsAsync(late)) ?? {}
    t.true(message?.includes('8080') && message.includes(id), message)
    t.deepEqual(await tracesOn(here), before)
  },
)
