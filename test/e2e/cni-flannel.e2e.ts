import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { type Host, hostFile } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import {
  bareHost,
  changes,
  dump,
  fileOn,
  ipJson,
  mustRun,
  podOn,
  referenceFolder,
  runPlugin,
} from './cni-support.ts'

const subnetFile = '/run/flannel/subnet.env'
const saved = '/var/lib/cni/flannel/host1-c1'

/** A host as a lease daemon leaves it. */
async function leasedHost(t: ExecutionContext, name: string, ipMasq = 'true'): Promise<Host> {
  const host = await bareHost(t, name)
  // As the daemon leaves it; forwarding adds routes of the kernel's own.
  for (const key of ['ipv4/ip_forward', 'ipv6/conf/all/forwarding']) {
    await runAt(host, ['sh', '-c', `echo 1 >/proc/sys/net/${key}`])
  }
  const lines = [
    'FLANNEL_NETWORK=10.1.0.0/16',
    'FLANNEL_SUBNET=10.1.7.1/24',
    'FLANNEL_IPV6_NETWORK=fd00:1::/48',
    'FLANNEL_IPV6_SUBNET=fd00:1:0:7::1/64',
    'FLANNEL_MTU=1450',
    `FLANNEL_IPMASQ=${ipMasq}`,
  ]
  const file = hostFile(host, subnetFile)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${lines.join('\n')}\n`)
  return host
}

/** What flannel's manifest ships. */
const cbr0 = {
  name: 'cbr0',
  cniVersion: '0.3.1',
  type: 'flannel',
  delegate: { hairpinMode: true, isDefaultGateway: true },
}
const run = { conf: cbr0, plugin: 'flannel' }

test('flannel attaches by its shipped configuration and keeps the state as upstream does', async (t) => {
  const host = await leasedHost(t, 'flannel')
  await mustRun(t, await podOn(host, 'first'), { ...run, command: 'ADD' })
  const pod = await podOn(host, 'c1')
  const before = await dump(host, pod)
  const { json } = await mustRun(t, pod, { ...run, command: 'ADD' })
  t.deepEqual(
    json.ips?.map(({ address }) => address),
    ['10.1.7.3/24', 'fd00:1:0:7::3/64'],
  )
  t.deepEqual(json.routes as object, [
    { dst: '10.1.0.0/16' },
    { dst: 'fd00:1::/48' },
    { dst: '0.0.0.0/0', gw: '10.1.7.1' },
    { dst: '::/0', gw: 'fd00:1:0:7::1' },
  ])
  const [link] = await ipJson<{ mtu: number }>(pod, 'link', 'show', 'eth0')
  t.is(link?.mtu, 1450)
  t.deepEqual(JSON.parse(fileOn(host, saved) ?? ''), {
    cniVersion: '0.3.1',
    name: 'cbr0',
    type: 'bridge',
    hairpinMode: true,
    isDefaultGateway: true,
    isGateway: true,
    ipMasq: false,
    mtu: 1450,
    ipam: {
      type: 'host-local',
      ranges: [[{ subnet: '10.1.7.0/24' }], [{ subnet: 'fd00:1:0:7::/64' }]],
      routes: [{ dst: '10.1.0.0/16' }, { dst: 'fd00:1::/48' }],
    },
  })
  await runAt(pod, ['ping', '-c1', '-W1', '10.1.7.1'])
  await mustRun(t, pod, { ...run, command: 'DEL' })
  t.is(fileOn(host, saved), undefined)
  t.deepEqual(changes(before, await dump(host, pod)), [])
  await mustRun(t, pod, { ...run, command: 'DEL' })
})

for (const lost of [subnetFile, saved]) {
  test(`flannel DEL works without ${lost}`, async (t) => {
    const host = await leasedHost(t, 'lost')
    await mustRun(t, await podOn(host, 'first'), { ...run, command: 'ADD' })
    const pod = await podOn(host, 'c1')
    const before = await dump(host, pod)
    await mustRun(t, pod, { ...run, command: 'ADD' })
    await runAt(host, ['rm', lost])
    await mustRun(t, pod, { ...run, command: 'DEL', env: { CNI_NETNS: '' } })
    t.deepEqual(changes(before, await dump(host, pod)), [])
  })
}

for (const order of ['first', 'second']) {
  test(`flannel undoes two interfaces of one container, the ${order} one first`, async (t) => {
    const host = await leasedHost(t, 'second')
    const pod = await podOn(host, 'c1')
    const before = await dump(host, pod)
    await mustRun(t, pod, { ...run, command: 'ADD' })
    const other = { ...cbr0, name: 'other', delegate: { bridge: 'other0', forceAddress: true } }
    const net1 = { conf: other, plugin: 'flannel', env: { CNI_IFNAME: 'net1' } }
    await mustRun(t, pod, { ...net1, command: 'ADD' })
    for (const one of order === 'first' ? [run, net1] : [net1, run]) {
      await mustRun(t, pod, { ...one, command: 'DEL' })
    }
    const left = changes(before, await dump(host, pod)).filter((line) => /veth|c1|net1/.test(line))
    t.deepEqual(left, [])
  })
}

test('flannel DEL works with a subnet file that is broken', async (t) => {
  const host = await leasedHost(t, 'broken')
  await mustRun(t, await podOn(host, 'first'), { ...run, command: 'ADD' })
  const pod = await podOn(host, 'c1')
  const before = await dump(host, pod)
  await mustRun(t, pod, { ...run, command: 'ADD' })
  await runAt(host, ['sh', '-c', `echo broken >${subnetFile}; rm ${saved}`])
  t.is((await runPlugin(await podOn(host, 'c2'), { ...run, command: 'ADD' })).json.code, 7)
  await mustRun(t, pod, { ...run, command: 'DEL' })
  t.deepEqual(changes(before, await dump(host, pod)), [])
})

test('flannel masquerades when the daemon does not', async (t) => {
  const host = await leasedHost(t, 'masq', 'false')
  const pod = await podOn(host, 'c1')
  await mustRun(t, pod, { ...run, command: 'ADD' })
  const rules = await runAt(host, ['/usr/sbin/nft', 'list', 'ruleset'])
  t.regex(rules, /10\.1\.0\.0\/16/)
  t.regex(rules, /10\.1\.7\.2 comment/)
  await mustRun(t, pod, { ...run, command: 'DEL' })
  t.notRegex(await runAt(host, ['/usr/sbin/nft', 'list', 'ruleset']), /10\.1\.7\.2/)
})

test('heddle needs no more than a type, and waits for a daemon that is just starting', async (t) => {
  const host = await leasedHost(t, 'minimal')
  const pod = await podOn(host, 'c1')
  const conf = { cniVersion: '1.0.0', name: 'heddle', type: 'heddle' }
  await runAt(host, ['mv', subnetFile, `${subnetFile}.later`])
  const late = runAt(host, ['sh', '-c', `sleep 0.5; mv ${subnetFile}.later ${subnetFile}`])
  const { json } = await mustRun(t, pod, { command: 'ADD', conf })
  await late
  t.deepEqual(
    json.routes?.map(({ dst }) => dst),
    ['10.1.0.0/16', 'fd00:1::/48', '0.0.0.0/0', '::/0'],
  )
  await mustRun(t, pod, { command: 'CHECK', conf: { ...conf, prevResult: json } })
  await runAt(host, ['mv', subnetFile, `${subnetFile}.gone`])
  await mustRun(t, pod, { command: 'CHECK', conf: { ...conf, prevResult: json } })
  await mustRun(t, pod, { command: 'DEL', conf })
  t.is((await runPlugin(pod, { command: 'ADD', conf })).json.code, 11)
  const status = JSON.stringify({ v: 1, ready: false, since: '', error: 'the store is away' })
  writeFileSync(hostFile(host, `${subnetFile}.status.json`), status)
  t.regex((await runPlugin(pod, { command: 'ADD', conf })).json.msg ?? '', /the store is away$/)
})

test('flannel runs a delegate that is not ours, and undoes it', async (t) => {
  const host = await leasedHost(t, 'delegate')
  const pod = await podOn(host, 'c1')
  const before = await dump(host, pod)
  const conf = { ...cbr0, delegate: { type: 'ptp' } }
  const { json } = await mustRun(t, pod, { command: 'ADD', conf, plugin: 'flannel' })
  t.is(json.cniVersion, '0.3.1')
  t.is(json.interfaces?.length, 2)
  t.is(JSON.parse(fileOn(host, saved) ?? '').type, 'ptp')
  await mustRun(t, pod, { command: 'DEL', conf, plugin: 'flannel' })
  t.deepEqual(changes(before, await dump(host, pod)), [])
  const bad = { ...cbr0, delegate: { type: 'ptp', mtu: 'x' } }
  const refused = await runPlugin(pod, { command: 'ADD', conf: bad, plugin: 'flannel' })
  t.is(refused.code, 1)
  t.deepEqual(changes(before, await dump(host, pod)), [])
})

test('flannel keeps its state until a DEL has succeeded', async (t) => {
  const host = await leasedHost(t, 'kept')
  const pod = await podOn(host, 'c1')
  const conf = { ...cbr0, delegate: { type: 'ptp' } }
  const before = await dump(host, pod)
  await mustRun(t, pod, { command: 'ADD', conf, plugin: 'flannel' })
  const state = fileOn(host, saved)
  const env = { CNI_PATH: '/run/nowhere' }
  const failed = await runPlugin(pod, { command: 'DEL', conf, plugin: 'flannel', env })
  t.regex(failed.json.msg ?? '', /^failed to find plugin "ptp"/)
  t.is(fileOn(host, saved), state)
  await runAt(host, ['rm', subnetFile])
  await mustRun(t, pod, { command: 'DEL', conf, plugin: 'flannel' })
  t.is(fileOn(host, saved), undefined)
  const left = changes(before, await dump(host, pod)).filter((line) => !line.includes(subnetFile))
  t.deepEqual(left, [])
})

test("flannel DEL undoes an ADD of flannel's, by the state that flannel wrote", async (t) => {
  const host = await leasedHost(t, 'theirs')
  const pod = await podOn(host, 'c1')
  // As upstream's plugin hands it to the reference bridge plugin, in Go's order of keys.
  const delegate = {
    cniVersion: '0.3.1',
    hairpinMode: true,
    ipMasq: true,
    ipam: {
      routes: [{ dst: '10.1.0.0/16' }],
      ranges: [[{ subnet: '10.1.7.0/24' }]],
      type: 'host-local',
    },
    isDefaultGateway: true,
    isGateway: true,
    mtu: 1450,
    name: 'cbr0',
    type: 'bridge',
  }
  const plugin = `${referenceFolder}/bridge`
  await mustRun(t, await podOn(host, 'first'), { command: 'ADD', conf: delegate, plugin })
  const before = await dump(host, pod)
  await mustRun(t, pod, { command: 'ADD', conf: delegate, plugin })
  const file = hostFile(host, saved)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, JSON.stringify(delegate))
  // The node's subnet is another one by now.
  await runAt(host, ['sed', '-i', 's/10.1.7.1/10.1.8.1/', subnetFile])
  await mustRun(t, pod, { ...run, command: 'DEL' })
  await runAt(host, ['sed', '-i', 's/10.1.8.1/10.1.7.1/', subnetFile])
  t.is(fileOn(host, saved), undefined)
  t.deepEqual(changes(before, await dump(host, pod)), [])
})

test('bridge runs an IPAM plugin that is not ours, and undoes it', async (t) => {
  const host = await bareHost(t, 'ipam')
  const pod = await podOn(host, 'c1')
  const ipam = {
    type: 'static',
    addresses: [{ address: '10.88.0.9/24', gateway: '10.88.0.1' }],
    dns: { nameservers: ['10.88.0.1'] },
  }
  const conf = { cniVersion: '1.0.0', name: 'net', type: 'bridge', isDefaultGateway: true, ipam }
  const { json } = await mustRun(t, pod, { command: 'ADD', conf, plugin: 'bridge' })
  t.deepEqual(json.ips as object, [{ address: '10.88.0.9/24', gateway: '10.88.0.1', interface: 2 }])
  t.deepEqual(json.dns as object, { nameservers: ['10.88.0.1'] })
  const after = { ...conf, prevResult: json }
  await mustRun(t, pod, { command: 'CHECK', conf: after, plugin: 'bridge' })
  await mustRun(t, pod, { command: 'DEL', conf: after, plugin: 'bridge' })
})

test('bridge gives the host-local of Debian the same folder', async (t) => {
  const host = await bareHost(t, 'shared')
  const ipam = { type: 'host-local', subnet: '10.88.0.0/29' }
  const conf = { cniVersion: '1.0.0', name: 'net', type: 'bridge', isGateway: true, ipam }
  const addresses: (string | undefined)[] = []
  for (const [name, plugin] of [
    ['c1', 'bridge'],
    ['c2', `${referenceFolder}/bridge`],
    ['c3', 'bridge'],
  ] as const) {
    const { json } = await mustRun(t, await podOn(host, name), { command: 'ADD', conf, plugin })
    addresses.push(json.ips?.[0]?.address)
  }
  t.deepEqual(addresses, ['10.88.0.2/29', '10.88.0.3/29', '10.88.0.4/29'])
})
