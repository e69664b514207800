import test from 'ava'
import { addHost, deletePod, type Host, type Pod } from '../../scripts/lab/lab.ts'
import { attemptAt, runAt } from '../../scripts/lab/place.ts'
import {
  bareHost,
  changes,
  dump,
  ipJson,
  mustRun,
  podOn,
  referenceFolder,
  runPlugin,
  sysctl,
} from './cni-support.ts'

const v4 = { subnet: '10.88.0.0/24' }
const v6 = { subnet: 'fd00:88::/64' }

function ptp(more: object = {}, ranges: object[][] = [[v4], [v6]]): object {
  const ipam = { type: 'host-local', ranges }
  return { cniVersion: '1.0.0', name: 'net', type: 'heddle', mode: 'ptp', ipam, ...more }
}

/** Addresses of the lab's own network, from 200 on: what containers on it would be given. */
const range4 = {
  subnet: '10.100.0.0/24',
  rangeStart: '10.100.0.200',
  rangeEnd: '10.100.0.210',
  gateway: '10.100.0.254',
}
const range6 = {
  subnet: 'fd00:100::/64',
  rangeStart: 'fd00:100::200',
  rangeEnd: 'fd00:100::210',
  gateway: 'fd00:100::fe',
}

function macvlan(more: object = {}, ranges: object[][] = [[range4], [range6]]): object {
  const ipam = { type: 'host-local', ranges }
  return { cniVersion: '1.0.0', name: 'net', type: 'heddle', mode: 'macvlan', ipam, ...more }
}

async function reaches(from: Host | Pod, address: string, ...flags: string[]): Promise<boolean> {
  const { code } = await attemptAt(from, ['ping', '-c1', '-W1', ...flags, address])
  return code === 0
}

const families = { IPv4: [0], IPv6: [1], both: [0, 1] }
const versions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0']
const modes = {
  ptp: { conf: ptp, ranges: [v4, v6], gateways: ['10.88.0.1', 'fd00:88::1'], interfaces: 2 },
  macvlan: {
    conf: macvlan,
    ranges: [range4, range6],
    gateways: ['10.100.0.254', 'fd00:100::fe'],
    interfaces: 1,
  },
}
for (const [mode, { conf, ranges, gateways, interfaces }] of Object.entries(modes)) {
  for (const [family, indices] of Object.entries(families)) {
    test(`heddle ADD, CHECK and DEL in mode ${mode} with ${family} in every version`, async (t) => {
      const host = await bareHost(t, 'versions')
      const used = indices.map((at) => [ranges[at] ?? {}])
      // Another container has the host forward already.
      await mustRun(t, await podOn(host, 'first'), { command: 'ADD', conf: conf({}, used) })
      const pod = await podOn(host, 'c1')
      const empty = await dump(host, pod)
      for (const cniVersion of versions) {
        const made = conf({ cniVersion }, used)
        const { json } = await mustRun(t, pod, { command: 'ADD', conf: made })
        t.is(json.cniVersion, cniVersion)
        if (json.ips) {
          const own = interfaces - 1
          t.is(json.interfaces?.length, interfaces)
          t.is(json.interfaces?.[own]?.sandbox, pod.path)
          t.deepEqual(
            json.ips.map((ip) => ip.interface),
            indices.map(() => own),
          )
        }
        for (const at of indices) t.true(await reaches(pod, gateways[at] ?? ''), `${gateways[at]}`)
        const after = { ...made, prevResult: json }
        if (cniVersion >= '0.4.0') {
          const { stdout } = await mustRun(t, pod, { command: 'CHECK', conf: after })
          t.is(stdout, '')
        }
        const { stdout } = await mustRun(t, pod, { command: 'DEL', conf: after })
        t.is(stdout, '')
        t.deepEqual(changes(empty, await dump(host, pod)), [])
      }
    })
  }
}

interface Route {
  readonly dst: string
  readonly gateway?: string
  readonly dev?: string
  readonly scope?: string
  readonly prefsrc?: string
}

/** What a ptp container and its host have, with the names of links made alike. */
async function stateOf(pod: Pod): Promise<unknown> {
  const { host } = pod
  const routes = async (place: Host | Pod) => [
    ...(await ipJson<Route>(place, 'route')),
    ...(await ipJson<Route>(place, '-6', 'route')),
  ]
  const picked = (all: readonly Route[]) =>
    all
      .filter(({ dst, dev }) => !dst.startsWith('fe80') && dev !== 'eth0@host')
      .map(({ dst, gateway, scope, prefsrc }) => ({ dst, gateway, scope, prefsrc }))
      .sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
  const addresses = async (place: Host | Pod) => {
    const links = await ipJson<{
      ifname: string
      addr_info: { local: string; prefixlen: number; scope: string }[]
    }>(place, 'addr')
    return links
      .filter(({ ifname }) => ifname.startsWith('veth') || ifname === 'eth0')
      .flatMap(({ addr_info: list }) => list)
      .filter(({ scope }) => scope === 'global')
      .map(({ local, prefixlen }) => `${local}/${prefixlen}`)
  }
  return {
    inside: await addresses(pod),
    outside: await addresses(host),
    routes: [picked(await routes(pod)), picked(await routes(host))],
    sysctl: [await sysctl(host, 'ipv4/ip_forward'), await sysctl(host, 'ipv6/conf/all/forwarding')],
  }
}

for (const [how, ranges, routes] of [
  ['with IPv4', [[v4]], [{ dst: '0.0.0.0/0' }]],
  ['with both families and routes', [[v4], [v6]], [{ dst: '0.0.0.0/0' }, { dst: 'fd00::/16' }]],
] as const) {
  test(`heddle in mode ptp leaves addresses and routes ${how} as the reference plugin does`, async (t) => {
    const state = async (name: string, plugin: string) => {
      const host = await bareHost(t, name)
      const pod = await podOn(host, 'c1')
      const ipam = { type: 'host-local', ranges, routes }
      const conf = ptp({ ipam, isDefaultGateway: false })
      const { json } = await mustRun(t, pod, { command: 'ADD', conf, plugin })
      const { ips, routes: made, interfaces } = json
      const names = interfaces?.map((one) => [one.name.slice(0, 4), one.sandbox === undefined])
      return { kernel: await stateOf(pod), ips, made, names }
    }
    t.deepEqual(await state('ours', 'heddle'), await state('theirs', `${referenceFolder}/ptp`))
  })
}

test('containers in mode ptp reach each other, the host and, masqueraded, the world', async (t) => {
  const host = await bareHost(t, 'ptp')
  const [a, b] = [await podOn(host, 'a'), await podOn(host, 'b')]
  const { json } = await mustRun(t, a, { command: 'ADD', conf: ptp({ ipMasq: true, mtu: 1400 }) })
  await mustRun(t, b, { command: 'ADD', conf: ptp({ mtu: 1400 }) })
  for (const address of ['10.88.0.3', 'fd00:88::3']) t.true(await reaches(a, address), address)
  for (const address of ['10.88.0.2', 'fd00:88::2']) t.true(await reaches(host, address), address)
  for (const world of ['10.100.0.254', 'fd00:100::fe']) {
    t.true(await reaches(a, world), world)
    t.false(await reaches(b, world), world)
  }
  t.true(await reaches(a, '10.88.0.1', '-M', 'do', '-s', '1372'))
  t.false(await reaches(a, '10.88.0.1', '-M', 'do', '-s', '1373'))
  const port = json.interfaces?.[0]?.name ?? ''
  const [link] = await ipJson<{ mtu: number }>(host, 'link', 'show', port)
  t.is(link?.mtu, 1400)
})

test('a macvlan container reaches others and the world, and no two nodes give one MAC address', async (t) => {
  const host = await bareHost(t, 'macvlan')
  const other = await addHost(host.lab, 2)
  const [a, b] = [await podOn(host, 'a'), await podOn(host, 'b')]
  const far = await podOn(other, 'a')
  const env = { CNI_CONTAINERID: 'same' }
  const made = await mustRun(t, a, { command: 'ADD', conf: macvlan({ master: 'eth0' }), env })
  await mustRun(t, b, { command: 'ADD', conf: macvlan() })
  const started = { ...range4, rangeStart: '10.100.0.205' }
  const apart = macvlan({ isDefaultGateway: true }, [[started]])
  const there = await mustRun(t, far, { command: 'ADD', conf: apart, env })
  const [mac] = made.json.interfaces?.map((one) => one.mac) ?? []
  t.regex(mac ?? '', /^[\da-f]{2}(:[\da-f]{2}){5}$/)
  t.not(there.json.interfaces?.[0]?.mac, mac)
  for (const address of ['10.100.0.201', '10.100.0.205', '10.100.0.254', 'fd00:100::201']) {
    t.true(await reaches(a, address), address)
  }
  t.like(there.json, { routes: [{ dst: '0.0.0.0/0', gw: '10.100.0.254' }] })
  // The same container gets the same address again, since others remember it.
  await mustRun(t, a, { command: 'DEL', conf: macvlan({ master: 'eth0' }), env })
  const again = await mustRun(t, a, { command: 'ADD', conf: macvlan({ master: 'eth0' }), env })
  t.is(again.json.interfaces?.[0]?.mac, mac)
})

test('heddle makes macvlans of every mode, with the MTU and MAC address asked for', async (t) => {
  const host = await bareHost(t, 'kinds')
  const mac = '02:00:00:00:00:77'
  for (const macvlanMode of ['bridge', 'private', 'vepa', 'passthru']) {
    const pod = await podOn(host, macvlanMode)
    const conf = macvlan({ macvlanMode, mtu: 1400, cniVersion: '1.1.0' }, [[range4]])
    const env = { CNI_ARGS: `MAC=${mac}` }
    const before = await dump(host, pod)
    const { json } = await mustRun(t, pod, { command: 'ADD', conf, env })
    const [link] = await ipJson<{
      address: string
      mtu: number
      linkinfo: { info_data: { mode: string } }
    }>(pod, '-details', 'link', 'show', 'eth0')
    t.like(link, { address: mac, mtu: 1400, linkinfo: { info_data: { mode: macvlanMode } } })
    t.like(json, { interfaces: [{ name: 'eth0', mac, mtu: 1400, sandbox: pod.path }] })
    await mustRun(t, pod, { command: 'CHECK', conf: { ...conf, prevResult: json }, env })
    await mustRun(t, pod, { command: 'DEL', conf, env })
    // A passthru gave its parent this address, and the kernel takes it back.
    t.deepEqual(changes(before, await dump(host, pod)), [])
    t.deepEqual(await ipJson(pod, 'link', 'show', 'type', 'macvlan'), [])
  }
})

const gone: Readonly<Record<string, (pod: Pod) => Promise<object>>> = {
  'with an empty namespace path': () => Promise.resolve({ env: { CNI_NETNS: '' } }),
  'with a namespace that is gone': async (pod) => {
    await deletePod(pod)
    return {}
  },
  "with another container's namespace": async (pod) => {
    const other = await podOn(pod.host, 'other')
    await runAt(other, ['ip', 'link', 'add', 'eth0', 'type', 'bridge'])
    return { env: { CNI_NETNS: other.path } }
  },
  'without the record': async ({ host }) => {
    await runAt(host, ['rm', '-r', '/run/heddle/attachments/net'])
    return {}
  },
}
for (const [mode, { conf }] of Object.entries(modes)) {
  for (const [way, prepare] of Object.entries(gone)) {
    test(`heddle DEL in mode ${mode} ${way} removes everything, twice too`, async (t) => {
      const host = await bareHost(t, 'gone')
      const made = mode === 'ptp' ? conf({ ipMasq: true }) : conf()
      await mustRun(t, await podOn(host, 'first'), { command: 'ADD', conf: made })
      const pod = await podOn(host, 'c1')
      const before = await dump(host)
      await mustRun(t, pod, { command: 'ADD', conf: made })
      const run = { command: 'DEL', conf: made, ...(await prepare(pod)) }
      await mustRun(t, pod, run)
      const left = changes(before, await dump(host)).filter((line) => !line.includes('first'))
      t.deepEqual(left, [])
      if (way !== 'with a namespace that is gone') {
        t.deepEqual(await ipJson(pod, 'link', 'show', 'type', mode === 'ptp' ? 'veth' : mode), [])
      }
      await mustRun(t, pod, run)
    })
  }
}

test('heddle DEL in mode macvlan leaves an interface alone that another network brought in', async (t) => {
  const host = await bareHost(t, 'foreign')
  const pod = await podOn(host, 'c1')
  await mustRun(t, pod, { command: 'ADD', conf: macvlan() })
  const other = macvlan({ name: 'other' })
  const before = await dump(host, pod)
  t.is((await runPlugin(pod, { command: 'ADD', conf: other })).json.code, 101)
  await mustRun(t, pod, { command: 'DEL', conf: other })
  t.deepEqual(changes(before, await dump(host, pod)), [])
})
