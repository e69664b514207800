import test from 'ava'
import { bareHost, fileOn, ipJson, mustRun, podOn, runPlugin } from './cni-support.ts'

const v4 = { subnet: '10.88.0.0/24' }
const v6 = { subnet: 'fd00:88::/64' }

function conf(more: object = {}, ranges: object[][] = [[v4], [v6]]): object {
  const ipam = { type: 'host-local', ranges }
  return { cniVersion: '1.0.0', name: 'net', type: 'heddle', ipam, ...more }
}

interface KernelRoute {
  readonly dst: string
  readonly gateway?: string
  readonly nexthops?: readonly { readonly gateway?: string }[]
  readonly flags: readonly string[]
  readonly metrics?: readonly object[]
  readonly metric?: number
  readonly table?: string
  readonly scope?: string
}

test('heddle gives routes all that IPAM says of them, and keeps several ways to one place', async (t) => {
  const host = await bareHost(t, 'routes')
  const pod = await podOn(host, 'c1')
  const routes = [
    { dst: '10.1.0.0/16', mtu: 1300, advmss: 1200, priority: 7 },
    { dst: '10.2.0.0/16', table: 100 },
    { dst: '10.3.0.0/16', gw: '10.88.0.7' },
    { dst: '10.3.0.0/16', gw: '10.88.0.8' },
    { dst: 'fd00:1::/32', mtu: 1300, advmss: 1200, priority: 7 },
    { dst: 'fd00:3::/32', gw: 'fd00:88::7' },
    { dst: 'fd00:3::/32', gw: 'fd00:88::8' },
  ]
  const ipam = { type: 'host-local', ranges: [[v4], [v6]], routes }
  const made = conf({ cniVersion: '1.1.0', ipam })
  const { json } = await mustRun(t, pod, { command: 'ADD', conf: made })
  t.deepEqual(json.routes?.slice(0, 2) as object, routes.slice(0, 2))
  // Of both families.
  const all = await ipJson<KernelRoute>(pod, 'route', 'show', 'table', 'all')
  const to = (dst: string) => all.filter((route) => route.dst === dst)
  t.like(to('10.1.0.0/16')[0], { metric: 7, metrics: [{ mtu: 1300, advmss: 1200 }] })
  t.is(to('10.2.0.0/16')[0]?.table, '100')
  t.like(to('fd00:1::/32')[0], { metric: 7, metrics: [{ mtu: 1300, advmss: 1200 }] })
  const ways = (dst: string) =>
    to(dst).flatMap((route) => [
      ...(route.gateway ? [route.gateway] : []),
      ...(route.nexthops ?? []).map(({ gateway = '' }) => gateway),
    ])
  t.deepEqual(ways('10.3.0.0/16').sort(), ['10.88.0.7', '10.88.0.8'])
  t.deepEqual(ways('fd00:3::/32').sort(), ['fd00:88::7', 'fd00:88::8'])
  await mustRun(t, pod, { command: 'CHECK', conf: { ...made, prevResult: json } })
})

test('heddle takes the word of an IPAM plugin for a gateway outside the network', async (t) => {
  const host = await bareHost(t, 'onlink')
  const pod = await podOn(host, 'c1')
  const addresses = [
    { address: '10.88.0.9/32', gateway: '169.254.1.1' },
    { address: 'fd00:88::9/128', gateway: 'fd00:99::1' },
  ]
  const made = conf({ ipam: { type: 'static', addresses } })
  const { json } = await mustRun(t, pod, { command: 'ADD', conf: made })
  const [way] = await ipJson<KernelRoute>(pod, 'route', 'show', 'default')
  t.like(way, { gateway: '169.254.1.1', flags: ['onlink'] })
  const [way6] = await ipJson<KernelRoute>(pod, '-6', 'route', 'show', 'default')
  t.is(way6?.gateway, 'fd00:99::1')
  await mustRun(t, pod, { command: 'CHECK', conf: { ...made, prevResult: json } })
})

test("heddle answers the runtime's name servers, and keeps the container's other names", async (t) => {
  const host = await bareHost(t, 'dns')
  const pod = await podOn(host, 'c1')
  const dns = { Servers: ['10.9.9.9'], Searches: ['svc.local'], Options: ['ndots:5'] }
  const runtimeConfig = { dns, aliases: { net: ['web', 'www'], other: ['x'] } }
  const own = { nameservers: ['10.0.0.1'], domain: 'example.org' }
  const made = conf({ dns: own, runtimeConfig })
  const { json } = await mustRun(t, pod, { command: 'ADD', conf: made })
  t.deepEqual(json.dns, {
    nameservers: ['10.9.9.9'],
    domain: 'example.org',
    search: ['svc.local'],
    options: ['ndots:5'],
  })
  const record = fileOn(host, '/run/heddle/attachments/net/host1-c1-eth0.json') ?? ''
  t.deepEqual(JSON.parse(record).aliases, ['web', 'www'])
  await mustRun(t, pod, { command: 'DEL', conf: made })
  const bad = conf({ runtimeConfig: { aliases: 'web' } })
  const { json: refused } = await runPlugin(pod, { command: 'ADD', conf: bad })
  t.like(refused, { code: 7, msg: 'aliases must be a list of names' })
})

const asked: readonly [args: string, more: object, outcome: string[] | RegExp][] = [
  ['IP=', {}, ['10.88.0.2/24']],
  ['IP=10.88.0.9/16', {}, ['10.88.0.9/24']],
  ['IP=10.88.0.9', { args: { cni: { ips: ['10.88.0.7'] } } }, ['10.88.0.7/24']],
  ['K8S_POD_NAME=a;IgnoreUnknown=1;K8S_POD_UID=b', {}, ['10.88.0.2/24']],
  ['K8S_POD_NAME=a', {}, /^ARGS: unknown args \["K8S_POD_NAME=a"\]$/],
  ['GATEWAY=10.88.0.1', {}, /^ARGS: unknown args \["GATEWAY=10\.88\.0\.1"\]$/],
  ['ip=10.88.0.9', {}, /^ARGS: unknown args \["ip=10\.88\.0\.9"\]$/],
  ['IP=banana', {}, /^ARGS: error parsing value of pair "IP=banana": invalid IP address banana$/],
  ['IP=10.88.0.1', {}, /requested ip 10\.88\.0\.1 is subnet's gateway/],
  ['IP=10.88.0.9/24;GATEWAY=10.88.0.3', { ipam: { type: 'static' } }, ['10.88.0.9/24 10.88.0.3']],
]
for (const [args, more, outcome] of asked) {
  test(`heddle ADD with CNI_ARGS ${args} and ${JSON.stringify(more)}`, async (t) => {
    const host = await bareHost(t, 'args')
    const pod = await podOn(host, 'c1')
    const made = conf({ ...more }, [[v4]])
    const run = { command: 'ADD', conf: made, env: { CNI_ARGS: args } }
    const { code, json } = await runPlugin(pod, run)
    if (outcome instanceof RegExp) {
      t.is(code, 1)
      t.regex(json.msg ?? '', outcome)
      return
    }
    t.is(code, 0, JSON.stringify(json))
    const found = json.ips?.map(({ address, gateway }) =>
      gateway === '10.88.0.1' ? address : `${address} ${gateway}`,
    )
    t.deepEqual(found, outcome)
    await mustRun(t, pod, { ...run, command: 'DEL' })
  })
}
