import test from 'ava'
import type { Host, Pod } from '../../scripts/lab/lab.ts'
import { attemptAt, runAt } from '../../scripts/lab/place.ts'
import { mapLimit } from '../../scripts/lab/run.ts'
import {
  bareHost,
  changes,
  dump,
  ipJson,
  mustRun,
  podOn,
  runPlugin,
  sysctl,
} from './cni-support.ts'

const conf = {
  cniVersion: '1.0.0',
  name: 'net',
  type: 'heddle',
  ipam: { ranges: [[{ subnet: '10.88.0.0/24' }], [{ subnet: 'fd00:88::/64' }]] },
}

/** Whether one ping is answered within a second. */
async function reaches(from: Host | Pod, address: string, ...flags: string[]): Promise<boolean> {
  const { code } = await attemptAt(from, ['ping', '-c1', '-W1', ...flags, address])
  return code === 0
}

test('heddle lets 40 first containers attach at the same time', async (t) => {
  const host = await bareHost(t, 'crowd')
  const names = Array.from({ length: 40 }, (_, index) => `c${index}`)
  const pods = await mapLimit(names, 4, (name) => podOn(host, name))
  const crowded = { ...conf, ipMasq: true }
  const results = await Promise.all(
    pods.map((pod) => runPlugin(pod, { command: 'ADD', conf: crowded })),
  )
  t.deepEqual(
    results.filter(({ code }) => code !== 0).map(({ stdout }) => stdout),
    [],
  )
  const addresses = results.flatMap(({ json }) => json.ips?.map(({ address }) => address) ?? [])
  t.is(new Set(addresses).size, 80)
  for (const pod of [pods[0], pods[39]]) {
    if (pod) t.true(await reaches(pod, '10.88.0.1'))
  }
  const removed = await Promise.all(
    pods.map((pod) => runPlugin(pod, { command: 'DEL', conf: crowded, env: { CNI_NETNS: '' } })),
  )
  t.deepEqual(
    removed.filter(({ code }) => code !== 0).map(({ stdout }) => stdout),
    [],
  )
  t.deepEqual(await ipJson(host, 'link', 'show', 'master', 'cni0'), [])
  const left = await dump(host)
  t.deepEqual(
    left.filter((line) => /c\d+/.test(line) && line.includes('host1')),
    [],
  )
})

test('heddle makes a reused address reachable at once, from the host and from its neighbours', async (t) => {
  const one = { subnet: '10.88.0.0/24', rangeStart: '10.88.0.9', rangeEnd: '10.88.0.9' }
  const one6 = { subnet: 'fd00:88::/64', rangeStart: 'fd00:88::9', rangeEnd: 'fd00:88::9' }
  const scarce = { ...conf, ipam: { ranges: [[one], [one6]], dataDir: '/var/lib/cni/scarce' } }
  const host = await bareHost(t, 'reuse')
  const neighbour = await podOn(host, 'neighbour')
  await mustRun(t, neighbour, { command: 'ADD', conf })
  let mac = ''
  for (const name of ['c1', 'c2', 'c3']) {
    const pod = await podOn(host, name)
    await mustRun(t, pod, { command: 'ADD', conf: scarce })
    for (const address of ['10.88.0.9', 'fd00:88::9']) {
      t.true(await reaches(host, address), `${name}: host to ${address}`)
      t.true(await reaches(neighbour, address), `${name}: neighbour to ${address}`)
    }
    const [link] = await ipJson<{ address: string }>(pod, 'link', 'show', 'eth0')
    t.not(link?.address, mac)
    mac = link?.address ?? ''
    await mustRun(t, pod, { command: 'DEL', conf: scarce })
  }
})

test('heddle masquerades what leaves the cluster, and only when asked to', async (t) => {
  const host = await bareHost(t, 'masq')
  const [hidden, plain] = [await podOn(host, 'hidden'), await podOn(host, 'plain')]
  await mustRun(t, hidden, { command: 'ADD', conf: { ...conf, ipMasq: true } })
  await mustRun(t, plain, {
    command: 'ADD',
    conf: {
      ...conf,
      name: 'plain',
      ipam: {
        ranges: [
          [{ subnet: '10.88.0.0/24', rangeStart: '10.88.0.200' }],
          [{ subnet: 'fd00:88::/64', rangeStart: 'fd00:88::200' }],
        ],
      },
    },
  })
  // The switch has no route back to the containers.
  for (const world of ['10.100.0.254', 'fd00:100::fe']) {
    t.true(await reaches(hidden, world))
    t.false(await reaches(plain, world))
  }
})

test('heddle sets the MTU on both ends, and frames of that size pass', async (t) => {
  const host = await bareHost(t, 'mtu')
  const pod = await podOn(host, 'c1')
  await mustRun(t, pod, { command: 'ADD', conf: { ...conf, mtu: 1400 } })
  t.true(await reaches(pod, '10.88.0.1', '-M', 'do', '-s', '1372'))
  t.false(await reaches(pod, '10.88.0.1', '-M', 'do', '-s', '1373'))
  const links = await ipJson<{ mtu: number }>(host, 'link', 'show', 'master', 'cni0')
  t.deepEqual(
    links.map(({ mtu }) => mtu),
    [1400],
  )
})

test('heddle keeps isolated containers apart', async (t) => {
  const host = await bareHost(t, 'isolated')
  const apart = { ...conf, portIsolation: true }
  const [a, b] = [await podOn(host, 'a'), await podOn(host, 'b')]
  await mustRun(t, a, { command: 'ADD', conf: apart })
  const { json } = await mustRun(t, b, { command: 'ADD', conf: apart })
  const [address = ''] = json.ips?.[0]?.address.split('/') ?? []
  t.false(await reaches(a, address))
  t.true(await reaches(a, '10.88.0.1'))
  await mustRun(t, b, { command: 'CHECK', conf: { ...apart, prevResult: json } })
})

test('heddle gives the addresses that are asked for', async (t) => {
  const host = await bareHost(t, 'asked')
  const pod = await podOn(host, 'c1')
  const mac = '02:12:34:56:78:9a'
  const env = { CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAME=a;IP=10.88.0.50;MAC=${mac}` }
  const runtimeConfig = { ips: ['fd00:88::50/64'] }
  const { json } = await mustRun(t, pod, { command: 'ADD', conf: { ...conf, runtimeConfig }, env })
  t.deepEqual(
    json.ips?.map(({ address }) => address),
    ['10.88.0.50/24', 'fd00:88::50/64'],
  )
  t.is(json.interfaces?.[2]?.mac, mac)
  const [link] = await ipJson<{ address: string }>(pod, 'link', 'show', 'eth0')
  t.is(link?.address, mac)
})

test('heddle waits for duplicate address detection when asked to', async (t) => {
  const host = await bareHost(t, 'dad')
  const pod = await podOn(host, 'c1')
  const careful = { ...conf, enabledad: true }
  await mustRun(t, pod, { command: 'ADD', conf: careful })
  t.is(await runAt(pod, ['ip', '-6', 'addr', 'show', 'tentative']), '')
  t.is(await sysctl(pod, 'ipv6/conf/eth0/accept_dad'), '1')
  const taken = { subnet: 'fd00:88::/64', rangeStart: 'fd00:88::2', rangeEnd: 'fd00:88::2' }
  const ipam = { ranges: [[taken]], dataDir: '/var/lib/cni/elsewhere' }
  const other = await podOn(host, 'c2')
  const before = await dump(host, other)
  const clash = await runPlugin(other, { command: 'ADD', conf: { ...careful, ipam } })
  t.is(clash.json.code, 102)
  t.regex(clash.json.msg ?? '', /^IPv6 address fd00:88::2 is in use/)
  t.deepEqual(changes(before, await dump(host, other)), [])
})

test('heddle replaces an address in the way with forceAddress, and puts it back when it fails', async (t) => {
  const host = await bareHost(t, 'force')
  await runAt(host, ['ip', 'link', 'add', 'cni0', 'type', 'bridge'])
  await runAt(host, ['ip', 'link', 'set', 'cni0', 'up'])
  await runAt(host, ['ip', 'addr', 'add', '10.99.0.1/24', 'dev', 'cni0'])
  const bridgeAddresses = () => runAt(host, ['ip', '-4', '-oneline', 'addr', 'show', 'cni0'])
  const pod = await podOn(host, 'c1')
  const force = { ...conf, forceAddress: true, ipam: { subnet: '10.88.0.0/24' } }
  const routes = [{ dst: '10.1.0.0/16', gw: '192.0.2.1' }]
  const fails = { ...force, ipam: { ...force.ipam, routes } }
  t.is((await runPlugin(pod, { command: 'ADD', conf: fails })).code, 1)
  const kept = await bridgeAddresses()
  t.regex(kept, /10\.99\.0\.1\/24/)
  t.notRegex(kept, /10\.88\.0\.1/)
  await mustRun(t, pod, { command: 'ADD', conf: force })
  const after = await bridgeAddresses()
  t.regex(after, /10\.88\.0\.1\/24/)
  t.notRegex(after, /10\.99\.0\.1/)
  t.true(await reaches(pod, '10.88.0.1'))
})

test('heddle finds a name for the host end when another link has its first', async (t) => {
  const host = await bareHost(t, 'names')
  const pod = await podOn(host, 'c1')
  const { json } = await mustRun(t, pod, { command: 'ADD', conf })
  const first = json.interfaces?.[1]?.name ?? ''
  await mustRun(t, pod, { command: 'DEL', conf })
  await runAt(host, ['ip', 'link', 'add', first, 'type', 'bridge'])
  const before = await dump(host, pod)
  const again = await mustRun(t, pod, { command: 'ADD', conf })
  t.not(again.json.interfaces?.[1]?.name, first)
  await mustRun(t, pod, { command: 'CHECK', conf: { ...conf, prevResult: again.json } })
  await mustRun(t, pod, { command: 'DEL', conf })
  t.deepEqual(changes(before, await dump(host, pod)), [])
})
