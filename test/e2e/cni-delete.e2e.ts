import { rmSync } from 'node:fs'
import test, { type ExecutionContext } from 'ava'
import { deletePod, type Host, hostFile, type Pod } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import {
  bareHost,
  changes,
  dump,
  fileOn,
  ipJson,
  mustRun,
  type PluginAnswer,
  podOn,
  referenceFolder,
  runPlugin,
} from './cni-support.ts'

const conf = {
  cniVersion: '1.0.0',
  name: 'net',
  type: 'heddle',
  ipMasq: true,
  ipam: { ranges: [[{ subnet: '10.88.0.0/24' }], [{ subnet: 'fd00:88::/64' }]] },
}

interface Attached {
  readonly host: Host
  readonly pod: Pod
  readonly before: readonly string[]
  readonly result: PluginAnswer
}

/** A container attached beside another one, and how the host was before. */
async function attached(t: ExecutionContext, name: string, made: object = conf): Promise<Attached> {
  const host = await bareHost(t, name)
  await mustRun(t, await podOn(host, 'first'), { command: 'ADD', conf: made })
  const pod = await podOn(host, 'c1')
  const before = await dump(host)
  const { json } = await mustRun(t, pod, { command: 'ADD', conf: made })
  t.not(changes(before, await dump(host)).length, 0)
  return { host, pod, before, result: json }
}

const ways: Readonly<Record<string, (attached: Attached) => Promise<object>>> = {
  'with the result of ADD': ({ result }) =>
    Promise.resolve({ conf: { ...conf, prevResult: result } }),
  'without the result of ADD': () => Promise.resolve({}),
  'with an empty namespace': () => Promise.resolve({ env: { CNI_NETNS: '' } }),
  'with a namespace that is gone': async ({ pod }) => {
    await deletePod(pod)
    return {}
  },
  'with a path that is no namespace': () => Promise.resolve({ env: { CNI_NETNS: '/etc/passwd' } }),
  'without the record of the attachment': ({ host }) => {
    rmSync(hostFile(host, '/run/heddle/attachments'), { recursive: true })
    return Promise.resolve({})
  },
  'without the record, with an empty namespace': ({ host }) => {
    rmSync(hostFile(host, '/run/heddle/attachments'), { recursive: true })
    return Promise.resolve({ env: { CNI_NETNS: '' } })
  },
  'with a record that is cut short': async ({ host }) => {
    const record = '/run/heddle/attachments/net/host1-c1-eth0.json'
    await runAt(host, ['sh', '-c', `echo '{"v":1,"net' >${record}`])
    return {}
  },
  'with ranges that have changed': () =>
    Promise.resolve({ conf: { ...conf, ipam: { subnet: '10.99.0.0/24' } } }),
  'with keys that ADD would refuse': () => Promise.resolve({ conf: { ...conf, vlan: 7, mtu: 1 } }),
  'with a bridge that cannot be': () =>
    Promise.resolve({ conf: { ...conf, bridge: 'a/b and more than fits' } }),
  'with a mode nobody knows': () => Promise.resolve({ conf: { ...conf, mode: 'ipvlan' } }),
  'in another mode': () => Promise.resolve({ conf: { ...conf, mode: 'macvlan', master: 'nope' } }),
  'with ranges that cannot be': () =>
    Promise.resolve({ conf: { ...conf, ipam: { subnet: 'nowhere', ranges: [[]] } } }),
  'with a delegate that cannot be': () =>
    Promise.resolve({ conf: { ...conf, delegate: { ipam: {}, name: 'x' } } }),
  'with arguments that ADD would refuse': () =>
    Promise.resolve({ env: { CNI_ARGS: 'K8S_POD_NAME=a;IP=banana' } }),
  'with a result of ADD that cannot be read': () =>
    Promise.resolve({ conf: { ...conf, prevResult: { cniVersion: '1.0.0', ips: [{}] } } }),
  'without the record, with a bridge that cannot be': ({ host }) => {
    rmSync(hostFile(host, '/run/heddle/attachments'), { recursive: true })
    return Promise.resolve({ conf: { ...conf, bridge: 'a/b and more than fits' } })
  },
  'without the record, with masquerading switched off since': ({ host }) => {
    rmSync(hostFile(host, '/run/heddle/attachments'), { recursive: true })
    return Promise.resolve({ conf: { ...conf, ipMasq: false } })
  },
}
for (const [way, prepare] of Object.entries(ways)) {
  test(`heddle DEL ${way} removes everything, twice too`, async (t) => {
    const state = await attached(t, 'del')
    const { host, pod, before } = state
    const run = { command: 'DEL', conf, ...(await prepare(state)) }
    const { stdout } = await mustRun(t, pod, run)
    t.is(stdout, '')
    // The other container's record went with the folder where a test removed that.
    const left = changes(before, await dump(host)).filter((line) => !line.includes('first'))
    t.deepEqual(left, [])
    await mustRun(t, pod, run)
  })
}

test("heddle DEL takes a path that leads to the plugin's own namespace by now for gone", async (t) => {
  const { host, pod, before } = await attached(t, 'recycled')
  const env = { CNI_NETNS: '/proc/self/ns/net' }
  await mustRun(t, pod, { command: 'DEL', conf, env })
  t.deepEqual(changes(before, await dump(host)), [])
  // Without the record it cannot be known what the path once led to.
  t.is((await runPlugin(pod, { command: 'DEL', conf, env })).json.code, 8)
  t.deepEqual(changes(before, await dump(host)), [])
})

test('heddle DEL after a reboot frees the reservation, the only thing that is left', async (t) => {
  const { host, pod } = await attached(t, 'reboot')
  await deletePod(pod)
  await runAt(host, ['/usr/sbin/nft', 'flush', 'ruleset'])
  rmSync(hostFile(host, '/run/heddle'), { recursive: true })
  const before = await dump(host)
  await mustRun(t, pod, { command: 'DEL', conf })
  const reserved = changes(before, await dump(host)).filter((line) =>
    line.includes('networks/net/1'),
  )
  t.deepEqual(reserved, ['- /var/lib/cni/networks/net/10.88.0.3'])
})

test("heddle DEL with another container's namespace does not harm that one", async (t) => {
  const host = await bareHost(t, 'others')
  const other = await podOn(host, 'other')
  await mustRun(t, other, { command: 'ADD', conf })
  const before = await dump(host, other)
  const pod = await podOn(host, 'c1')
  // Its id is not known: no record tells that the path has been used again.
  const env = { CNI_NETNS: other.path }
  await mustRun(t, pod, { command: 'DEL', conf, env })
  t.deepEqual(changes(before, await dump(host, other)), [])
  const { json } = await mustRun(t, pod, { command: 'ADD', conf })
  await mustRun(t, pod, { command: 'DEL', conf: { ...conf, prevResult: json }, env })
  t.deepEqual(changes(before, await dump(host, other)), [])
})

test('bridge DEL with the namespace of a container that the reference attached does not harm it', async (t) => {
  const host = await bareHost(t, 'theirs')
  const ipam = { type: 'host-local', subnet: '10.88.0.0/24' }
  const theirs = { cniVersion: '1.0.0', name: 'net', type: 'bridge', isGateway: true, ipam }
  const plugin = `${referenceFolder}/bridge`
  const old = await podOn(host, 'old')
  const { json } = await mustRun(t, old, { command: 'ADD', conf: theirs, plugin })
  await deletePod(old)
  const other = await podOn(host, 'other')
  await mustRun(t, other, { command: 'ADD', conf: theirs, plugin })
  const before = await dump(host, other)
  const run = { conf: { ...theirs, prevResult: json }, env: { CNI_NETNS: other.path } }
  await mustRun(t, old, { ...run, command: 'DEL', plugin: 'bridge' })
  t.deepEqual(
    changes(before, await dump(host, other)).filter((line) => !line.includes('host1-old')),
    ['- /var/lib/cni/networks/net/10.88.0.2'],
  )
})

test('bridge DEL with an empty namespace removes what the reference attached, by the result of ADD', async (t) => {
  const host = await bareHost(t, 'result')
  const ipam = { type: 'host-local', subnet: '10.88.0.0/24' }
  const more = { isGateway: true, ipMasq: true, ipam }
  const theirs = { cniVersion: '1.0.0', name: 'net', type: 'bridge', ...more }
  const plugin = `${referenceFolder}/bridge`
  await mustRun(t, await podOn(host, 'first'), { command: 'ADD', conf: theirs, plugin })
  const pod = await podOn(host, 'c1')
  const before = await dump(host)
  const { json } = await mustRun(t, pod, { command: 'ADD', conf: theirs, plugin })
  const conf = { ...theirs, prevResult: json }
  await mustRun(t, pod, { command: 'DEL', conf, plugin: 'bridge', env: { CNI_NETNS: '' } })
  t.deepEqual(changes(before, await dump(host)), [])
})

test('heddle ADD ends what was done for a container of that name that never saw its DEL', async (t) => {
  const host = await bareHost(t, 'again')
  const mapping = { hostPort: 8080, containerPort: 80, protocol: 'tcp' }
  const runtimeConfig = {
    portMappings: [mapping],
    bandwidth: { egressRate: 80_000, egressBurst: 80_000 },
  }
  const ipam = { dataDir: '/var/lib/cni/old', subnet: '10.88.0.0/24', rangeStart: '10.88.0.77' }
  const old = await podOn(host, 'c1')
  await mustRun(t, old, { command: 'ADD', conf: { ...conf, ipam, runtimeConfig } })
  await deletePod(old)
  t.regex(await runAt(host, ['/usr/sbin/nft', 'list', 'ruleset']), /10\.88\.0\.77/)
  const pod = await podOn(host, 'c1')
  await mustRun(t, pod, { command: 'ADD', conf })
  t.notRegex(await runAt(host, ['/usr/sbin/nft', 'list', 'ruleset']), /10\.88\.0\.77|8080/)
  t.deepEqual(await ipJson(host, 'link', 'show', 'type', 'ifb'), [])
  await mustRun(t, pod, { command: 'DEL', conf })
  t.is(fileOn(host, '/run/heddle/attachments/net/host1-c1-eth0.json'), undefined)
})

test('heddle DEL of a container that never was changes nothing', async (t) => {
  const host = await bareHost(t, 'never')
  const pod = await podOn(host, 'c1')
  const before = await dump(host, pod)
  const files = await runAt(host, ['find', '/var/lib/cni', '/run/heddle'], {}).catch(() => 'none')
  await mustRun(t, pod, { command: 'DEL', conf })
  t.deepEqual(changes(before, await dump(host, pod)), [])
  const after = await runAt(host, ['find', '/var/lib/cni', '/run/heddle'], {}).catch(() => 'none')
  t.is(after, files)
})

test('heddle DEL after an ADD that met a foreign interface leaves that alone', async (t) => {
  const host = await bareHost(t, 'foreign')
  const pod = await podOn(host, 'c1')
  await mustRun(t, pod, { command: 'ADD', conf })
  const other = { ...conf, name: 'other', bridge: 'other0' }
  const before = await dump(host, pod)
  t.is((await runPlugin(pod, { command: 'ADD', conf: other })).json.code, 101)
  await mustRun(t, pod, { command: 'DEL', conf: other })
  t.deepEqual(changes(before, await dump(host, pod)), [])
})

test('heddle DEL of an old container does not harm the one that has its address now', async (t) => {
  const one = { ...conf, ipam: { subnet: '10.88.0.0/30' } }
  const host = await bareHost(t, 'reuse')
  const old = await podOn(host, 'old')
  await mustRun(t, old, { command: 'ADD', conf: one })
  await mustRun(t, old, { command: 'DEL', conf: one })
  const pod = await podOn(host, 'new')
  const { json } = await mustRun(t, pod, { command: 'ADD', conf: one })
  const before = await dump(host, pod)
  await mustRun(t, old, { command: 'DEL', conf: { ...one, prevResult: json } })
  t.deepEqual(changes(before, await dump(host, pod)), [])
})

test('heddle DEL goes on after a failure, tells it, and can be done again', async (t) => {
  const { host, pod, before } = await attached(t, 'goes-on')
  const broken = { ...conf, ipam: { type: 'nope' } }
  const { code, json } = await runPlugin(pod, { command: 'DEL', conf: broken })
  t.is(code, 1)
  t.regex(json.msg ?? '', /^failed to find plugin "nope"/)
  const ports = await runAt(host, ['ip', '-oneline', 'link', 'show', 'master', 'cni0'])
  t.is(ports.split('\n').length, 1)
  await mustRun(t, pod, { command: 'DEL', conf })
  t.deepEqual(changes(before, await dump(host)), [])
})

test('heddle DEL leaves the record of a newer heddle alone', async (t) => {
  const { host, pod } = await attached(t, 'newer')
  const record = '/run/heddle/attachments/net/host1-c1-eth0.json'
  await runAt(host, ['sh', '-c', `echo '{"v":2}' >${record}`])
  const { code, json } = await runPlugin(pod, { command: 'DEL', conf })
  t.is(code, 1)
  t.is(json.code, 102)
  t.regex(json.msg ?? '', /newer heddle/)
  t.is(fileOn(host, record), '{"v":2}\n')
})

test('heddle DEL removes what the reference plugins attached', async (t) => {
  const host = await bareHost(t, 'takeover')
  const ipam = { type: 'host-local', subnet: '10.88.0.0/24' }
  const theirs = { cniVersion: '1.0.0', name: 'net', type: 'bridge', isGateway: true, ipam }
  const plugin = `${referenceFolder}/bridge`
  await mustRun(t, await podOn(host, 'first'), { command: 'ADD', conf: theirs, plugin })
  const pod = await podOn(host, 'c1')
  const before = await dump(host, pod)
  const { json } = await mustRun(t, pod, { command: 'ADD', conf: theirs, plugin })
  const prevResult = json
  await mustRun(t, pod, { command: 'CHECK', conf: { ...theirs, prevResult }, plugin: 'bridge' })
  await mustRun(t, pod, { command: 'DEL', conf: { ...theirs, prevResult }, plugin: 'bridge' })
  t.deepEqual(changes(before, await dump(host, pod)), [])
})

test('the reference plugins remove what bridge attached', async (t) => {
  const host = await bareHost(t, 'handback')
  const ipam = { type: 'host-local', subnet: '10.88.0.0/24' }
  const ours = { cniVersion: '1.0.0', name: 'net', type: 'bridge', isGateway: true, ipam }
  await mustRun(t, await podOn(host, 'first'), { command: 'ADD', conf: ours, plugin: 'bridge' })
  const pod = await podOn(host, 'c1')
  const before = await dump(host, pod)
  const { json } = await mustRun(t, pod, { command: 'ADD', conf: ours, plugin: 'bridge' })
  const after = { ...ours, prevResult: json }
  const plugin = `${referenceFolder}/bridge`
  await mustRun(t, pod, { command: 'CHECK', conf: after, plugin })
  await mustRun(t, pod, { command: 'DEL', conf: after, plugin })
  const left = changes(before, await dump(host, pod))
  // Only our own record, which nobody but us knows of.
  t.deepEqual(
    left.filter((line) => !line.includes('host1-c1')),
    [],
  )
})
