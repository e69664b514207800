import test, { type ExecutionContext } from 'ava'
import { addHost, deletePod, type Host, type Pod } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { bareHost, changes, mustRun, podOn, runPlugin, steadyDump, sysctl } from './cni-support.ts'
import { ask, askFrom, serve } from './firewall-support.ts'

const web = { hostPort: 8080, containerPort: 80, protocol: 'tcp' }
const dns = { hostPort: 5353, containerPort: 53, protocol: 'udp' }

const network = {
  cniVersion: '1.0.0',
  name: 'net',
  type: 'heddle',
  capabilities: { portMappings: true },
  ipam: { ranges: [[{ subnet: '10.88.0.0/24' }], [{ subnet: 'fd00:88::/64' }]] },
}

function publishing(...portMappings: readonly object[]) {
  return { ...network, runtimeConfig: { portMappings } }
}

/** A container that answers with its name on port 80, TCP, and 53, UDP. */
async function published(
  t: ExecutionContext,
  host: Host,
  name: string,
  conf: object,
): Promise<Pod> {
  const pod = await podOn(host, name)
  await mustRun(t, pod, { command: 'ADD', conf })
  await serve(t, pod, { name, ports: [80, 53] })
  return pod
}

test('a published port leads to its container from everywhere, and the source is hidden only where it must be', async (t) => {
  const host = await bareHost(t, 'ports')
  const outside = await addHost(host.lab, 2)
  const neighbour = await podOn(host, 'neighbour')
  await mustRun(t, neighbour, { command: 'ADD', conf: network })
  const before = await steadyDump(host)

  const conf = publishing(web, dns)
  const pod = await published(t, host, 'web', conf)
  await runAt(pod, ['ip', 'link', 'set', 'lo', 'up'])
  for (const [protocol, port] of [
    ['tcp', 8080],
    ['udp', 5353],
  ] as const) {
    const sees = (from: Host | Pod, address: string) => ask(from, protocol, address, port)
    t.is(await sees(outside, host.publicIP), `web sees ${outside.publicIP}`)
    t.is(await sees(outside, host.publicIPv6), `web sees ${outside.publicIPv6}`)
    t.is(await sees(host, '127.0.0.1'), 'web sees 10.88.0.1')
    t.is(await sees(host, '127.8.8.8'), 'web sees 10.88.0.1')
    t.is(await sees(neighbour, host.publicIP), 'web sees 10.88.0.1')
    t.is(await sees(neighbour, host.publicIPv6), 'web sees fd00:88::1')
    t.is(await sees(pod, host.publicIP), 'web sees 10.88.0.1')
    t.is(await sees(pod, host.publicIPv6), 'web sees fd00:88::1')
    t.regex(await sees(host, host.publicIP), /^web sees /)
    t.is(await sees(host, '::1'), 'refused', 'at once, so that a client tries 127.0.0.1 next')
    t.is(await sees(outside, '10.100.0.254'), 'refused', 'other hosts keep their ports')
  }
  t.is(await sysctl(host, 'ipv4/conf/cni0/route_localnet'), '1')
  await mustRun(t, pod, { command: 'DEL', conf })
  t.is(await ask(outside, 'tcp', host.publicIP, 8080), 'refused')
  const left = changes(before, await steadyDump(host))
  t.deepEqual(
    left.filter((line) => /web|8080|5353/.test(line)),
    [],
  )
})

test('a datagram goes to the new container at once when a published port changes hands', async (t) => {
  const host = await bareHost(t, 'udp')
  const outside = await addHost(host.lab, 2)
  const conf = publishing(dns)
  for (const name of ['one', 'two', 'three']) {
    const pod = await published(t, host, name, conf)
    t.is(await askFrom(outside, 5000, host.publicIP, 5353), `${name} sees ${outside.publicIP}`)
    await mustRun(t, pod, { command: 'DEL', conf, env: { CNI_NETNS: '' } })
  }
})

test('a port that is taken is refused by the name of its owner, with nothing done', async (t) => {
  const host = await bareHost(t, 'taken')
  const conf = publishing(web)
  const owner = await published(t, host, 'owner', conf)
  const late = await podOn(host, 'late')
  const before = await steadyDump(host, late)
  const { code, json } = await runPlugin(late, { command: 'ADD', conf })
  t.is(code, 1)
  t.is(json.code, 102)
  t.true(json.msg?.startsWith('host port 8080/tcp is taken by container host1-owner'), json.msg)
  t.deepEqual(changes(before, await steadyDump(host, late)), [])

  const other = publishing({ ...web, hostPort: 8081 }, { ...web, protocol: 'udp' })
  await mustRun(t, late, { command: 'ADD', conf: other })
  await mustRun(t, late, { command: 'DEL', conf: other })
  await mustRun(t, owner, { command: 'DEL', conf })
  await mustRun(t, late, { command: 'ADD', conf })
})

test('a port whose container went without DEL is taken over, and that is logged', async (t) => {
  const host = await bareHost(t, 'dead')
  const conf = publishing(web)
  const gone = await podOn(host, 'gone')
  await mustRun(t, gone, { command: 'ADD', conf })
  await deletePod(gone)
  const next = await podOn(host, 'next')
  const { stderr } = await mustRun(t, next, { command: 'ADD', conf })
  t.regex(stderr, /took over a host port.*host1-gone/)
  await serve(t, next, { name: 'next', ports: [80] })
  t.is(await ask(host, 'tcp', host.publicIP, 8080), `next sees ${host.publicIP}`)
  await mustRun(t, gone, { command: 'DEL', conf, env: { CNI_NETNS: '' } })
  t.is(await ask(host, 'tcp', host.publicIP, 8080), `next sees ${host.publicIP}`)
})

test('a port asked for in two networks of one container leads there by either, as long as one is left', async (t) => {
  const host = await bareHost(t, 'both')
  const outside = await addHost(host.lab, 2)
  const first = publishing(web, dns)
  const second = {
    ...first,
    name: 'net2',
    bridge: 'br2',
    isDefaultGateway: false,
    ipam: { ranges: [[{ subnet: '10.89.0.0/24' }]] },
  }
  const pod = await podOn(host, 'both')
  await mustRun(t, pod, { command: 'ADD', conf: first })
  const eth1 = { CNI_IFNAME: 'eth1' }
  const { json } = await mustRun(t, pod, { command: 'ADD', conf: second, env: eth1 })
  const checked = { ...second, prevResult: json }
  await mustRun(t, pod, { command: 'CHECK', conf: checked, env: eth1 })
  await serve(t, pod, { name: 'both', ports: [80, 53] })
  const sees = `both sees ${outside.publicIP}`
  t.is(await ask(outside, 'tcp', host.publicIP, 8080), sees)

  await mustRun(t, pod, { command: 'DEL', conf: second, env: eth1 })
  t.is(await ask(outside, 'tcp', host.publicIP, 8080), sees)
  const again = await mustRun(t, pod, { command: 'ADD', conf: second, env: eth1 })
  await mustRun(t, pod, { command: 'DEL', conf: first })
  await runAt(pod, ['ip', 'route', 'add', 'default', 'via', '10.89.0.1'])
  t.is(await ask(outside, 'tcp', host.publicIP, 8080), sees)
  t.is(await ask(outside, 'udp', host.publicIP, 5353), sees)
  const moved = { ...second, prevResult: again.json }
  await mustRun(t, pod, { command: 'CHECK', conf: moved, env: eth1 })
  await mustRun(t, pod, { command: 'DEL', conf: second, env: eth1 })
  t.is(await ask(outside, 'tcp', host.publicIP, 8080), 'refused')
})

test('a mapping with a host address holds for that address alone', async (t) => {
  const host = await bareHost(t, 'hostip')
  const outside = await addHost(host.lab, 2)
  const conf = publishing(
    { ...web, hostPort: 8001, hostIP: '127.0.0.1' },
    { ...web, hostPort: 8002, hostIP: host.publicIP },
    { ...web, hostPort: 8003, hostIP: '0.0.0.0' },
    { ...web, hostPort: 8004, hostIP: host.publicIPv6 },
    { ...web, hostPort: 8005, hostIP: '::' },
  )
  await published(t, host, 'chosen', conf)
  const answers = async (from: Host, address: string) => {
    const ports = [8001, 8002, 8003, 8004, 8005]
    const all = await Promise.all(ports.map((port) => ask(from, 'tcp', address, port)))
    return ports.filter((_, index) => all[index]?.startsWith('chosen sees'))
  }
  t.deepEqual(await answers(host, '127.0.0.1'), [8001, 8003])
  t.deepEqual(await answers(outside, host.publicIP), [8002, 8003])
  t.deepEqual(await answers(outside, host.publicIPv6), [8004, 8005])
})

test('without snat the container sees who really asks, and localhost gets no answer', async (t) => {
  const host = await bareHost(t, 'snat')
  const outside = await addHost(host.lab, 2)
  await published(t, host, 'plain', { ...publishing(web), snat: false })
  t.is(await ask(outside, 'tcp', host.publicIP, 8080), `plain sees ${outside.publicIP}`)
  t.not(await ask(host, 'tcp', '127.0.0.1', 8080), 'plain sees 10.88.0.1')
  t.is(await sysctl(host, 'ipv4/conf/cni0/route_localnet'), '0')
})

test('with masqAll the container sees the host, whoever asks', async (t) => {
  const host = await bareHost(t, 'masqall')
  const outside = await addHost(host.lab, 2)
  await published(t, host, 'hidden', { ...publishing(web), masqAll: true })
  t.is(await ask(outside, 'tcp', host.publicIP, 8080), 'hidden sees 10.88.0.1')
  t.is(await ask(outside, 'tcp', host.publicIPv6, 8080), 'hidden sees fd00:88::1')
})

test('CHECK finds a published port, and misses it when it is gone', async (t) => {
  const host = await bareHost(t, 'check')
  const conf = publishing(web)
  const pod = await podOn(host, 'web')
  const { json: prevResult } = await mustRun(t, pod, { command: 'ADD', conf })
  const checked = { command: 'CHECK', conf: { ...conf, prevResult } }
  await mustRun(t, pod, checked)
  await runAt(host, ['/usr/sbin/nft', 'flush', 'map', 'inet', 'heddle-cni', 'ports4'])
  const { code, json } = await runPlugin(pod, checked)
  t.is(code, 1)
  t.is(json.code, 103)
  t.regex(json.msg ?? '', /8080\/tcp/)
})
