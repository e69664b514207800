import test, { type ExecutionContext } from 'ava'
import { addPod, type Host, type Pod } from '../../scripts/lab/lab.ts'
import { runAt, startAt } from '../../scripts/lab/place.ts'
import {
  bareHost,
  changes,
  dump,
  ipJson,
  mustRun,
  podOn,
  runPlugin,
  steadyDump,
} from './cni-support.ts'
import { ask, serve } from './firewall-support.ts'

const network = {
  cniVersion: '1.1.0',
  name: 'net',
  type: 'heddle',
  ipMasq: true,
  ipam: { ranges: [[{ subnet: '10.88.0.0/24' }], [{ subnet: 'fd00:88::/64' }]] },
}

/** Everything there is to collect. */
function full(hostPort: number, conf: object = network) {
  const portMappings = [{ hostPort, containerPort: 80, protocol: 'tcp' }]
  const bandwidth = { egressRate: 8_000_000, egressBurst: 160_000 }
  return { ...conf, runtimeConfig: { portMappings, bandwidth } }
}

function attached(pod: Pod) {
  return { containerID: idOf(pod), ifname: 'eth0' }
}

function idOf(pod: Pod): string {
  return pod.name.replaceAll('/', '-')
}

/** GC names no container. */
const env = { CNI_CONTAINERID: '', CNI_NETNS: '', CNI_IFNAME: '' }

/** Runs GC with what the runtime says; nothing may be printed. */
async function collect(
  t: ExecutionContext,
  host: Host,
  conf: object,
  plugin = 'heddle',
): Promise<void> {
  const anywhere: Pod = { ...host, host, path: '' }
  const { stdout } = await mustRun(t, anywhere, { command: 'GC', conf, plugin, env })
  t.is(stdout, '')
}

function keeping(conf: object, ...pods: readonly Pod[]) {
  return { ...conf, 'cni.dev/valid-attachments': pods.map(attached) }
}

/** Lines of a dump that are about a container. */
function about(lines: readonly string[], ...pods: readonly Pod[]): string[] {
  return lines.filter((line) => pods.some((pod) => line.includes(idOf(pod))))
}

test('GC removes all of the attachments that are not listed, and nothing of the others', async (t) => {
  const host = await bareHost(t, 'gc')
  const kept = await podOn(host, 'kept')
  const other = await podOn(host, 'other')
  const sibling = {
    ...network,
    name: 'net2',
    bridge: 'br2',
    ipam: { ranges: [[{ subnet: '10.89.0.0/24' }]] },
  }
  await mustRun(t, kept, { command: 'ADD', conf: full(8001) })
  await serve(t, kept, { name: 'kept', ports: [80] })
  await mustRun(t, other, { command: 'ADD', conf: full(8002, sibling) })
  const before = await steadyDump(host, kept, other)
  const names = ['a', 'b', 'c']
  const stale: Pod[] = []
  for (const [index, name] of names.entries()) {
    const pod = await podOn(host, name)
    await mustRun(t, pod, { command: 'ADD', conf: full(8010 + index) })
    stale.push(pod)
  }
  // The id of a container of another network, in this one.
  await mustRun(t, other, { command: 'ADD', conf: full(8020), env: { CNI_IFNAME: 'eth1' } })

  await collect(t, host, keeping(network, kept))
  t.deepEqual(about(await dump(host), ...stale), [])
  t.deepEqual(changes(before, await steadyDump(host, kept, other)), [])
  for (const pod of stale) t.deepEqual(await ipJson(pod, 'link', 'show', 'type', 'veth'), [])
  t.is(await ask(host, 'tcp', host.publicIP, 8001), `kept sees ${host.publicIP}`)
  await collect(t, host, keeping(network, kept))
  t.deepEqual(changes(before, await steadyDump(host, kept, other)), [], 'a second time')
})

test('GC takes an empty list for what it says, and none for knowing nothing', async (t) => {
  const host = await bareHost(t, 'lists')
  const pod = await podOn(host, 'c1')
  const empty = await steadyDump(host)
  await mustRun(t, pod, { command: 'ADD', conf: full(8001) })
  const before = await steadyDump(host, pod)
  for (const keys of [
    {},
    { 'cni.dev/valid-attachments': [], disableGC: true },
    { 'cni.dev/attachments': [attached(pod)] },
  ]) {
    await collect(t, host, { ...network, ...keys })
    t.deepEqual(changes(before, await steadyDump(host, pod)), [], JSON.stringify(keys))
  }
  await collect(t, host, { ...network, 'cni.dev/valid-attachments': null })
  t.deepEqual(about(await dump(host), pod), [])
  const left = changes(empty, await steadyDump(host))
  t.deepEqual(
    left.filter((line) => /veth|bwp|8001/.test(line)),
    [],
  )
})

test('GC finds an attachment by the name of its record when that is torn', async (t) => {
  const host = await bareHost(t, 'torn')
  const pod = await podOn(host, 'c1')
  await mustRun(t, pod, { command: 'ADD', conf: full(8001) })
  const folder = '/run/heddle/attachments/net'
  await runAt(host, [
    'sh',
    '-c',
    `echo '{' >${folder}/host1-c1-eth0.json; echo >${folder}/.host1-c9-eth0.json.tmp`,
  ])
  await collect(t, host, keeping(network))
  t.deepEqual(about(await dump(host), pod), [])
  t.deepEqual(await ipJson(host, 'link', 'show', 'type', 'veth', 'master', 'cni0'), [])
  t.deepEqual(await ipJson(host, 'link', 'show', 'type', 'ifb'), [])
  t.is(await runAt(host, ['ls', '-A', folder]), '')
})

test('GC names the record of a newer heddle, leaves that attachment alone, and does the rest', async (t) => {
  const host = await bareHost(t, 'newer')
  const [newer, plain] = [await podOn(host, 'newer'), await podOn(host, 'plain')]
  await mustRun(t, newer, { command: 'ADD', conf: full(8001) })
  const record = `/run/heddle/attachments/net/${idOf(newer)}-eth0.json`
  await runAt(host, ['sed', '-i', 's/"v":1/"v":99/', record])
  const before = await steadyDump(host, newer)
  await mustRun(t, plain, { command: 'ADD', conf: full(8002) })

  const anywhere: Pod = { ...host, host, path: '' }
  const { stderr } = await mustRun(t, anywhere, { command: 'GC', conf: keeping(network), env })
  t.regex(stderr, new RegExp(`newer heddle.*${idOf(newer)} eth0`))
  t.deepEqual(about(await dump(host), plain), [])
  t.deepEqual(changes(before, await steadyDump(host, newer)), [])
})

test('GC leaves alone what an ADD is at work on', async (t) => {
  const host = await bareHost(t, 'running')
  const one = await podOn(host, 'one')
  await mustRun(t, one, { command: 'ADD', conf: full(8001) })
  const before = await steadyDump(host, one)
  const two = await podOn(host, 'two')
  await mustRun(t, two, { command: 'ADD', conf: full(8002) })
  const working = startAt(host, ['sleep', '60'], {
    logFile: `/tmp/heddle-gc-${process.pid}/sleep.log`,
    env: { CNI_COMMAND: 'ADD', CNI_CONTAINERID: idOf(one), CNI_IFNAME: 'eth0' },
  })
  t.teardown(() => working.stop('SIGKILL'))
  await collect(t, host, keeping(network))
  t.deepEqual(changes(before, await steadyDump(host, one)), [])
  await working.stop('SIGKILL')
  await collect(t, host, keeping(network))
  t.deepEqual(about(await dump(host), one), [])
})

test("GC goes on to another's IPAM with the same bytes, reports its failure, and does the rest", async (t) => {
  const host = await bareHost(t, 'foreign')
  const pod = await podOn(host, 'c1')
  const folder = '/run/lab/foreign'
  const script = `#!/bin/sh
case $CNI_COMMAND in
ADD) echo '{"cniVersion":"1.1.0","ips":[{"address":"10.88.0.9/24","gateway":"10.88.0.1"}]}' ;;
GC) cat >${folder}/asked; echo '{"code":11,"msg":"later"}'; exit 1 ;;
esac
`
  await runAt(host, ['sh', '-ec', `mkdir ${folder}; cat >${folder}/odd; chmod +x ${folder}/odd`], {
    input: script,
  })
  const conf = { ...full(8001), ipam: { type: 'odd' } }
  const path = { CNI_PATH: folder }
  await mustRun(t, pod, { command: 'ADD', conf, env: path })
  const text = JSON.stringify(keeping({ ...network, ipam: { type: 'odd' } }))
  const { code, json } = await runPlugin(pod, {
    command: 'GC',
    conf: text,
    env: { ...env, ...path },
  })
  t.is(code, 1)
  t.deepEqual({ code: json.code, msg: json.msg }, { code: 11, msg: 'later' })
  t.is(await runAt(host, ['cat', `${folder}/asked`]), text)
  t.deepEqual(about(await dump(host), pod), [])
  t.deepEqual(await ipJson(host, 'link', 'show', 'type', 'veth', 'master', 'cni0'), [])
})

test('GC of a chained plugin removes its own part alone', async (t) => {
  const host = await bareHost(t, 'parts')
  const pod = await addPod(host, 'c1')
  const { runtimeConfig } = full(8001)
  const base = { cniVersion: '1.1.0', name: 'net' }
  const bridge = { ...base, isGateway: true, ipam: { type: 'host-local', ...network.ipam } }
  const { json: prevResult } = await mustRun(t, pod, {
    command: 'ADD',
    conf: bridge,
    plugin: 'bridge',
  })
  const chained = { ...base, prevResult, runtimeConfig }
  for (const plugin of ['portmap', 'bandwidth']) {
    await mustRun(t, pod, { command: 'ADD', conf: chained, plugin })
  }
  const nft = () => runAt(host, ['/usr/sbin/nft', 'list', 'ruleset'])
  const ifbs = () => ipJson(host, 'link', 'show', 'type', 'ifb')
  t.true((await nft()).includes('8001'))

  await collect(t, host, keeping(base), 'portmap')
  t.false((await nft()).includes('8001'))
  t.is((await ifbs()).length, 1)
  await collect(t, host, keeping(base), 'bandwidth')
  t.deepEqual(await ifbs(), [])
  t.notRegex(await runAt(host, ['tc', 'qdisc', 'show']), /tbf|ingress/)
  t.is((await ipJson(host, 'link', 'show', 'type', 'veth', 'master', 'cni0')).length, 1)
  await collect(t, host, keeping(bridge), 'bridge')
  t.deepEqual(await ipJson(host, 'link', 'show', 'type', 'veth', 'master', 'cni0'), [])
  t.deepEqual(about(await dump(host), pod), [])
})

test('GC forgets what flannel attached containers by, of its network and of containers that are gone', async (t) => {
  const host = await bareHost(t, 'saved')
  const file = '/run/lab/subnet.env'
  const lines = 'FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.7.1/24\nFLANNEL_MTU=1450\n'
  await runAt(host, ['tee', file], { input: `${lines}FLANNEL_IPMASQ=false\n` })
  const cbr0 = { name: 'cbr0', cniVersion: '1.1.0', type: 'flannel', subnetFile: file }
  const kept = await podOn(host, 'kept')
  const gone = await podOn(host, 'gone')
  const other = await podOn(host, 'other')
  const named = { ...cbr0, name: 'other', delegate: { bridge: 'br1' } }
  await mustRun(t, kept, { command: 'ADD', conf: cbr0, plugin: 'flannel' })
  await mustRun(t, other, { command: 'ADD', conf: named, plugin: 'flannel' })
  const before = await steadyDump(host, kept, other)
  await mustRun(t, gone, { command: 'ADD', conf: cbr0, plugin: 'flannel' })
  await runAt(host, ['touch', '/var/lib/cni/flannel/.killed.tmp'])
  await collect(t, host, keeping(cbr0, kept), 'flannel')
  t.deepEqual(changes(before, await steadyDump(host, kept, other)), [])
})

test('GC takes a macvlan out of a namespace that outlived its container', async (t) => {
  const host = await bareHost(t, 'macvlan')
  const pod = await podOn(host, 'c1')
  const conf = { ...network, ipMasq: false, mode: 'macvlan', master: 'eth0' }
  await mustRun(t, pod, { command: 'ADD', conf })
  t.is((await ipJson(pod, 'link', 'show', 'type', 'macvlan')).length, 1)
  await collect(t, host, keeping(conf))
  t.deepEqual(await ipJson(pod, 'link', 'show', 'type', 'macvlan'), [])
  t.deepEqual(about(await dump(host), pod), [])
})

test('GC deletes many links at once', async (t) => {
  const host = await bareHost(t, 'many')
  const pods: Pod[] = []
  for (let index = 0; index < 12; index++) pods.push(await podOn(host, `c${index}`))
  await Promise.all(pods.map((pod) => mustRun(t, pod, { command: 'ADD', conf: network })))
  const under = ['strace', '-f', '-qq', '-e', 'trace=sendto,sendmsg', '-o', '/run/lab/trace']
  const anywhere: Pod = { ...host, host, path: '' }
  await mustRun(t, anywhere, { command: 'GC', conf: keeping(network), env, under })
  const trace = await runAt(host, ['cat', '/run/lab/trace'])
  t.is(trace.split('RTM_DELLINK').length - 1, 1)
  t.deepEqual(await ipJson(host, 'link', 'show', 'type', 'veth', 'master', 'cni0'), [])
})
