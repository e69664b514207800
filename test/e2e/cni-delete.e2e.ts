import { rmSync } from 'node:fs'
import test, { type ExecutionContext } from 'ava'
import { deletePod, type Host, hostFile, type Pod } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import {
  bareHost,
  changes,
  dump,
  fileOn,
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
