import { createHash } from 'node:crypto'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { Host, Pod } from '../../scripts/lab/lab.ts'
import { runAt, startAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'
import { bareHost, changes, ipJson, mustRun, podOn, runPlugin, steadyDump } from './cni-support.ts'

const node = join(import.meta.dirname, '../../node_modules/.bin/node')
const transfer = join(import.meta.dirname, 'netlink-transfer.ts')

const network = {
  cniVersion: '1.0.0',
  name: 'net',
  type: 'heddle',
  capabilities: { bandwidth: true },
  ipam: { ranges: [[{ subnet: '10.88.0.0/24' }]] },
}

function shaped(bandwidth: object) {
  return { ...network, runtimeConfig: { bandwidth } }
}

/** Starts a receiver in a place; it ends with the test. */
async function receive(t: ExecutionContext, place: Host | Pod, address: string): Promise<void> {
  const logFile = `/tmp/heddle-transfer-${process.pid}/${place.name.replace('/', '-')}.log`
  const command = [node, transfer, 'serve', address, '9000'] as const
  const server = startAt(place, [...command], { logFile })
  t.teardown(() => server.stop('SIGKILL'))
  await until('the receiver', () => server.log().includes('ready'), { timeoutMs: 10_000 })
}

/** Milliseconds that some bytes take. */
async function send(place: Host | Pod, address: string, bytes: number): Promise<number> {
  const command = [node, transfer, 'send', address, '9000', String(bytes)] as const
  return Number(await runAt(place, [...command], { timeoutMs: 30_000 }))
}

/** The reference plugin's name for the ifb of a container. */
function ifbName(containerId: string): string {
  return `bwp${createHash('sha512').update(`net${containerId}`).digest('hex').slice(0, 12)}`
}

function qdiscs(host: Host, link: string): Promise<string> {
  return runAt(host, ['tc', '-d', 'qdisc', 'show', 'dev', link])
}

/** 20,000 bytes take 2 s at this rate. */
const rate = 80_000
const burst = 16_000

test('what a container receives and what it sends is slowed down to the rate', async (t) => {
  const host = await bareHost(t, 'rate')
  const free = await podOn(host, 'free')
  await mustRun(t, free, { command: 'ADD', conf: network })
  const down = await podOn(host, 'down')
  const ingress = shaped({ ingressRate: rate, ingressBurst: burst })
  await mustRun(t, down, { command: 'ADD', conf: ingress })
  const up = await podOn(host, 'up')
  const egress = shaped({ EgressRate: rate, EgressBurst: burst })
  await mustRun(t, up, { command: 'ADD', conf: egress })
  await receive(t, free, '10.88.0.2')
  await receive(t, down, '10.88.0.3')
  const unshaped = await send(host, '10.88.0.2', 20_000)
  const received = await send(host, '10.88.0.3', 20_000)
  const sent = await send(up, '10.88.0.2', 20_000)
  t.log(`20 kB: ${unshaped} ms unshaped, ${received} ms received, ${sent} ms sent`)
  t.true(received > unshaped + 1000)
  t.true(sent > unshaped + 1000)
})

test('limits that stand in the configuration itself need no capability', async (t) => {
  const host = await bareHost(t, 'static')
  const pod = await podOn(host, 'c1')
  const conf = { ...network, ingressRate: 8_000_000, ingressBurst: 160_000 }
  const { json } = await mustRun(t, pod, { command: 'ADD', conf })
  const veth = json.interfaces?.[1]?.name ?? ''
  t.regex(await qdiscs(host, veth), /tbf 1: root .*rate 8Mbit burst (1999\d|20000)b/)
  const checked = { command: 'CHECK', conf: { ...conf, prevResult: json } }
  await mustRun(t, pod, checked)
  await runAt(host, ['tc', 'qdisc', 'del', 'dev', veth, 'root'])
  t.is((await runPlugin(pod, checked)).json.code, 103)
  await mustRun(t, pod, { command: 'DEL', conf })
})

test('the queues are those that were asked for, a burst of gigabytes aside', async (t) => {
  const host = await bareHost(t, 'queues')
  const pod = await podOn(host, 'c1')
  const before = await steadyDump(host, pod)
  const conf = shaped({
    ingressRate: 8_000_000,
    ingressBurst: 4_294_967_295,
    egressRate: 40_000_000,
    egressBurst: 160_000,
  })
  const { json } = await mustRun(t, pod, { command: 'ADD', conf: { ...conf, mtu: 1400 } })
  const veth = json.interfaces?.[1]?.name ?? ''
  const ifb = ifbName('host1-c1')
  t.regex(await qdiscs(host, veth), /tbf 1: root .*rate 8Mbit burst (9999\d|100000)b.* lat 25/)
  t.regex(await qdiscs(host, ifb), /tbf 1: root .*rate 40Mbit burst (1999\d|20000)b.* lat 25/)
  const [link] = await ipJson<{ mtu: number; flags: string[]; ifalias: string }>(
    host,
    'link',
    'show',
    ifb,
  )
  t.is(link?.mtu, 1400)
  t.true(link?.flags.includes('UP'))
  t.is(link?.ifalias, 'net host1-c1 eth0')
  t.is(json.interfaces?.length, 3, "the result stays the container's")

  const checked = { command: 'CHECK', conf: { ...conf, prevResult: json } }
  await mustRun(t, pod, checked)
  await runAt(host, ['tc', 'qdisc', 'del', 'dev', ifb, 'root'])
  const { json: fault } = await runPlugin(pod, checked)
  t.is(fault.code, 103)
  t.regex(fault.msg ?? '', new RegExp(ifb))

  await mustRun(t, pod, { command: 'DEL', conf: network, env: { CNI_NETNS: '' } })
  const after = changes(before, await steadyDump(host, pod))
  t.deepEqual(
    after.filter((line) => /bwp|veth|tbf|ingress/.test(line)),
    [],
  )
})

test('two interfaces of one container have an ifb each, and each DEL takes its own', async (t) => {
  const host = await bareHost(t, 'two')
  const pod = await podOn(host, 'c1')
  const conf = shaped({ egressRate: rate, egressBurst: burst })
  const ifbs = async () => {
    const links = await ipJson<{ ifname?: string; ifalias?: string }>(
      host,
      'link',
      'show',
      'type',
      'ifb',
    )
    return links.map(({ ifalias = '' }) => ifalias).toSorted()
  }
  await mustRun(t, pod, { command: 'ADD', conf })
  await mustRun(t, pod, { command: 'ADD', conf, env: { CNI_IFNAME: 'eth1' } })
  t.deepEqual(await ifbs(), ['net host1-c1 eth0', 'net host1-c1 eth1'])
  await runAt(host, ['rm', '-r', '/run/heddle'])
  await mustRun(t, pod, { command: 'DEL', conf: network })
  t.deepEqual(await ifbs(), ['net host1-c1 eth1'], 'without a record as well')
  await mustRun(t, pod, { command: 'DEL', conf: network, env: { CNI_IFNAME: 'eth1' } })
  t.deepEqual(await ifbs(), [])
})

test('an ADD that fails after shaping leaves nothing of it', async (t) => {
  const host = await bareHost(t, 'undo')
  // With this one there the bridge stays as it is.
  await mustRun(t, await podOn(host, 'other'), { command: 'ADD', conf: network })
  const pod = await podOn(host, 'c1')
  const before = await steadyDump(host, pod)
  const conf = shaped({
    egressRate: rate,
    egressBurst: burst,
    ingressRate: rate,
    ingressBurst: burst,
  })
  // Its result cannot be written.
  const under = ['sh', '-c', 'exec "$0" >/dev/full']
  const { code } = await runPlugin(pod, { command: 'ADD', conf, under })
  t.is(code, 1)
  t.deepEqual(changes(before, await steadyDump(host, pod)), [])
})

test('a second ADD of bandwidth takes the place of the first', async (t) => {
  const host = await bareHost(t, 'again')
  const pod = await podOn(host, 'c1')
  const { json } = await mustRun(t, pod, { command: 'ADD', conf: network })
  const bandwidth = { egressRate: rate, egressBurst: burst, ingressRate: rate, ingressBurst: burst }
  const conf = { cniVersion: '1.0.0', name: 'net', ...bandwidth, prevResult: json }
  const run = { conf, plugin: 'bandwidth' }
  await mustRun(t, pod, { ...run, command: 'ADD' })
  await mustRun(t, pod, { ...run, command: 'ADD' })
  const veth = json.interfaces?.[1]?.name ?? ''
  const filters = await runAt(host, ['tc', 'filter', 'show', 'dev', veth, 'ingress'])
  t.is(filters.split('mirred').length - 1, 1)
  t.is((await runAt(pod, ['ping', '-c1', '-W1', '10.88.0.1'])).includes(' 1 received'), true)
  await mustRun(t, pod, { ...run, command: 'DEL' })
  t.is((await runAt(pod, ['ping', '-c1', '-W1', '10.88.0.1'])).includes(' 1 received'), true)
  t.deepEqual((await qdiscs(host, veth)).match(/tbf|ingress/g), null)
})
