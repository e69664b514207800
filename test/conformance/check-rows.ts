import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { hostFile, type Pod } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import type { Answer, Case } from './case.ts'
import { attaching } from './result-rows.ts'
import { every, own, type Row } from './rows.ts'

interface Attached {
  readonly pod: Pod
  readonly result: Answer
  readonly check: (prevResult?: object) => Promise<unknown>
}

async function attached(c: Case, conf: object = {}, suffix = ''): Promise<Attached> {
  const pod = await c.pod(suffix)
  const result = await c.result({ command: 'ADD', pod, conf })
  const check = (prevResult: object = result) =>
    c.say({ command: 'CHECK', pod, conf: { ...conf, prevResult } })
  return { pod, result, check }
}

/** cni.md 1.6, CHECK. */
export const checkRows: readonly Row[] = [
  {
    row: 'C1',
    rule: 'CHECK needs 0.4.0',
    of: every,
    observe: async (c) => ({
      '0.3.1': await c.say({ command: 'CHECK', conf: { cniVersion: '0.3.1' } }),
      foo: await c.say({ command: 'CHECK', conf: { cniVersion: 'foo' } }),
      '2.0.0': await c.say({ command: 'CHECK', conf: { cniVersion: '2.0.0' } }),
    }),
    expect: {
      '0.3.1': { code: 1, msg: 'config version does not allow CHECK' },
      foo: { code: 6, msg: /foo/ },
      '2.0.0': { code: 1, msg: 'plugin version does not allow CHECK' },
    },
  },
  {
    row: 'C2',
    rule: 'CHECK needs prevResult',
    of: [...attaching, 'portmap', 'bandwidth'],
    observe: async (c) => {
      const { pod } = await attached(c)
      return { CHECK: await c.say({ command: 'CHECK', pod, conf: { prevResult: undefined } }) }
    },
    expect: ({ subject: { kind } }) => ({
      CHECK: own(
        7,
        kind === 'bandwidth' ? 'must be called as a chained plugin' : 'Required prevResult missing',
      ),
    }),
  },
  {
    row: 'C3',
    rule: 'CHECK right after ADD is content, whatever ADD accepted',
    of: [...attaching, 'loopback', 'ipam'],
    observe: async (c) => {
      const facts: Record<string, unknown> = {}
      for (const [title, conf] of Object.entries(variants(c))) {
        const suffix = `v${Object.keys(facts).length}`
        facts[title] = await (await attached(c, conf, suffix)).check()
      }
      return facts
    },
    expect: (c) => Object.fromEntries(Object.keys(variants(c)).map((title) => [title, 'ok'])),
  },
  {
    row: 'C4',
    rule: 'CHECK holds the kernel against the final result, as later plugins left it',
    of: attaching,
    observe: async (c) => {
      const { pod, result, check } = await attached(c)
      await runAt(pod, ['ip', 'link', 'set', 'eth0', 'address', '0a:00:00:00:00:77'])
      const interfaces = result.interfaces?.map((one) =>
        one.sandbox ? { ...one, mac: '0a:00:00:00:00:77' } : one,
      )
      const more = [...(interfaces ?? []), { name: 'bwp0', mac: '0a:00:00:00:00:78' }]
      return {
        changed: await check({ ...result, interfaces: more }),
        unchanged: failed(await check()),
      }
    },
    expect: { changed: 'ok', unchanged: true },
  },
  {
    row: 'C5a',
    rule: 'CHECK misses what is gone',
    of: attaching,
    observe: async (c) => {
      const ipMasq = c.subject.kind === 'macvlan' ? {} : { ipMasq: true }
      const masqueraded =
        c.subject.plugin === 'flannel'
          ? { delegate: { bridge: c.bridge, isDefaultGateway: true, ipMasq: true } }
          : ipMasq
      const facts: Record<string, unknown> = {}
      for (const [title, damage] of Object.entries(damages(c))) {
        const made = await attached(c, masqueraded, `d${Object.keys(facts).length}`)
        await damage(made)
        facts[title] = failed(await made.check())
        await c.run({
          command: 'DEL',
          pod: made.pod,
          conf: { ...masqueraded, prevResult: made.result },
        })
      }
      return facts
    },
    expect: (c) => Object.fromEntries(Object.keys(damages(c)).map((title) => [title, true])),
  },
  {
    row: 'C5b',
    rule: 'CHECK misses a reservation that is gone',
    of: ['ipam'],
    observe: async (c) => {
      const made = await attached(c)
      forget(c, made.pod)
      return { CHECK: await made.check() }
    },
    expect: { CHECK: own(103, /^host-local: Failed to find address added by container /) },
  },
  {
    row: 'C5c',
    rule: 'CHECK misses that loopback is up',
    of: ['loopback'],
    observe: async (c) => {
      const { pod, check } = await attached(c)
      await runAt(pod, ['ip', 'link', 'set', 'lo', 'down'])
      return { CHECK: await check() }
    },
    expect: { CHECK: own(103, /^loopback interface is down/) },
  },
]

function failed(said: unknown): boolean {
  return typeof said === 'object' && said !== null && 'code' in said
}

/** Configurations that ADD accepts. */
function variants(c: Case): Record<string, object> {
  const { subject, subnet, subnet6 } = c
  const { ipam = {} } = c.conf() as { ipam?: object }
  const ranges = (...subnets: string[]) => ({
    ...ipam,
    ranges: subnets.map((one) => [{ subnet: one }]),
  })
  if (subject.kind === 'loopback') return { plain: {} }
  if (subject.plugin === 'flannel') return { plain: {} }
  const addresses = { 'IPv4 alone': { ipam: ranges(subnet) } }
  if (subject.kind === 'ipam') {
    return {
      ...addresses,
      'IPv6 alone': { ipam: ranges(subnet6) },
      both: { ipam: ranges(subnet, subnet6) },
    }
  }
  // Beyond a point-to-point link there is only the gateway.
  const last = subject.kind === 'ptp' ? '.1' : '.9'
  const routed = {
    'routes with and without a gateway': {
      ipam: {
        ...ranges(subnet),
        routes: [
          { dst: '198.51.100.0/24' },
          { dst: '192.0.2.0/24', gw: subnet.replace('.0/24', last) },
        ],
      },
    },
    'an MTU': { mtu: 1400 },
  }
  if (subject.kind !== 'network') return { ...addresses, ...routed }
  const none = { ipam: undefined, isGateway: false, isDefaultGateway: false }
  const layer2 = { bridge: `${c.bridge}l`, ...none }
  return {
    ...addresses,
    ...routed,
    'IPv6 alone': { ipam: ranges(subnet6) },
    'an IPv6 route without a gateway': {
      ipam: { ...ranges(subnet, subnet6), routes: [{ dst: '2001:db8:7::/64' }] },
    },
    masquerading: { ipMasq: true },
    'no gateway': { isGateway: false, isDefaultGateway: false },
    'promiscuous mode': { bridge: `${c.bridge}p`, hairpinMode: false, promiscMode: true },
    hairpin: { hairpinMode: true },
    ...(subject.plugin === 'heddle' ? {} : { 'layer 2 alone': layer2 }),
  }
}

type Damage = (made: Attached) => Promise<unknown>

/** Ways to harm an attachment. */
function damages(c: Case): Record<string, Damage> {
  const { subject } = c
  const address: Record<string, Damage> = {
    'an address': ({ pod, result }) =>
      runAt(pod, ['ip', 'address', 'delete', result.ips?.[0]?.address ?? '', 'dev', 'eth0']),
    'the interface': ({ pod }) => runAt(pod, ['ip', 'link', 'delete', 'eth0']),
    'its MAC': ({ pod }) =>
      runAt(pod, ['ip', 'link', 'set', 'eth0', 'address', '0a:00:00:00:00:99']),
    'the reservation': async ({ pod }) => forget(c, pod),
  }
  const route: Record<string, Damage> = {
    'the default route': ({ pod }) => runAt(pod, ['ip', 'route', 'delete', 'default']),
  }
  const host: Record<string, Damage> = {
    "the port's place in the bridge": ({ result }) =>
      runAt(c.host, ['ip', 'link', 'set', result.interfaces?.[1]?.name ?? '', 'nomaster']),
  }
  const rules: Record<string, Damage> = {
    'the masquerading': () => runAt(c.host, ['/usr/sbin/nft', 'flush', 'ruleset']),
  }
  if (subject.kind === 'network') return { ...address, ...route, ...host, ...rules }
  return subject.kind === 'ptp' ? { ...address, ...rules } : address
}

/** Removes a container's addresses from host-local's folder. */
function forget(c: Case, pod: Pod): void {
  const id = pod.name.slice(pod.name.lastIndexOf('/') + 1)
  const root = hostFile(c.host, '/var/lib/cni/networks')
  const folder = join(root, c.network)
  for (const name of readdirSync(folder)) {
    if (readFileSync(join(folder, name), 'utf8').startsWith(`${id}\r\n`)) rmSync(join(folder, name))
  }
}
