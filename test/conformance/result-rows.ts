import type { Pod } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import type { Answer, Case } from './case.ts'
import { fakePlugin } from './fake.ts'
import { readGoResult } from './go-result.ts'
import { own, type Row } from './rows.ts'
import type { Kind } from './subjects.ts'

const versions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0']

/** Plugins that make an interface. */
export const attaching: readonly Kind[] = ['network', 'ptp', 'macvlan']

/** ADD, then DEL, in a namespace of its own; the result, or the error. */
async function added(
  c: Case,
  version: string,
  { pod, ...more }: { pod: Pod; [key: string]: unknown },
): Promise<Answer> {
  const chained = 'prevResult' in c.conf() ? { prevResult: c.earlier(pod, version) } : {}
  const conf = { cniVersion: version, ...chained, ...more }
  const { stdout, exit } = await c.run({ command: 'ADD', pod, conf })
  if (exit !== 0) return JSON.parse(stdout) as Answer
  c.t.notThrows(() => readGoResult(stdout, version), 'libcni reads it')
  await c.ok({ command: 'DEL', pod, conf })
  return JSON.parse(neutral(stdout, pod)) as Answer
}

/** The names of a result's parts; an error's text. */
function shapeOf(answer: Answer): string[] | string {
  return answer.msg ?? Object.keys(answer).toSorted()
}

/** What tells two attachments apart that are alike otherwise. */
function neutral(text: string, pod: Pod): string {
  return text
    .replaceAll(/"veth[\da-f]{8}"/g, '"veth"')
    .replaceAll(pod.path, 'NETNS')
    .replaceAll(/(?:[\da-f]{2}:){5}[\da-f]{2}/g, 'MAC')
}

async function inAll<T>(
  c: Case,
  look: (answer: Answer) => T,
  more: object = {},
): Promise<Record<string, T>> {
  const pod = await c.pod()
  const facts: Record<string, T> = {}
  for (const version of versions) facts[version] = look(await added(c, version, { pod, ...more }))
  return facts
}

function forAll<T>(body: (version: string) => T): Record<string, T> {
  return Object.fromEntries(versions.map((version) => [version, body(version)]))
}

/** A route with everything that 1.1.0 can say of it. */
const routes = [
  { dst: '198.51.100.0/24', mtu: 1300, advmss: 1200, priority: 7 },
  { dst: '2001:db8:7::/64' },
]

/** cni.md 1.5. */
export const resultRows: readonly Row[] = [
  {
    row: 'R1',
    rule: "the result is of the configuration's version",
    of: [...attaching, 'loopback', 'ipam', 'portmap', 'bandwidth'],
    observe: (c) => inAll(c, ({ cniVersion, msg }) => cniVersion ?? msg),
    expect: forAll((version) => version),
  },
  {
    row: 'R2',
    rule: 'addresses point at an interface there is, by its number, and 0 is printed',
    of: [...attaching, 'loopback'],
    observe: async (c) => {
      const { ips = [], interfaces = [] } = await added(c, '1.0.0', { pod: await c.pod() })
      const pointed = ips.map((ip) => interfaces[ip.interface ?? -1]?.sandbox)
      return { numbers: ips.map((ip) => ip.interface), pointed }
    },
    expect: ({ subject: { kind } }) => {
      const number = kind === 'network' ? 2 : kind === 'ptp' ? 1 : 0
      const single = kind === 'ptp' || kind === 'macvlan'
      return {
        numbers: single ? [number] : [number, number],
        pointed: single ? ['NETNS'] : ['NETNS', 'NETNS'],
      }
    },
  },
  {
    row: 'R3',
    rule: 'empty lists are left out, and so is empty dns from 1.0.0 on',
    of: (subject) => subject.kind === 'network' && subject.plugin === 'bridge',
    observe: async (c) => {
      const pod = await c.pod()
      const bare = { pod, ipam: undefined, isGateway: false, isDefaultGateway: false }
      const old = await added(c, '0.4.0', bare)
      const now = await added(c, '1.0.0', bare)
      const single = await added(c, '0.2.0', {
        pod,
        isDefaultGateway: false,
        bridge: `${c.bridge}b`,
      })
      return {
        '0.4.0 without addresses': Object.keys(old).toSorted(),
        '1.0.0 without addresses': Object.keys(now).toSorted(),
        'dns of 0.4.0': old.dns,
        '0.2.0 without routes': Object.keys(single.ip4 ?? {}).toSorted(),
      }
    },
    expect: {
      '0.4.0 without addresses': ['cniVersion', 'dns', 'interfaces'],
      '1.0.0 without addresses': ['cniVersion', 'interfaces'],
      'dns of 0.4.0': {},
      '0.2.0 without routes': ['gateway', 'ip'],
    },
  },
  {
    row: 'R4',
    rule: 'every interface in a sandbox has a MAC',
    of: [...attaching, 'loopback'],
    observe: async (c) => {
      const { interfaces = [] } = await added(c, '1.0.0', { pod: await c.pod() })
      return { macs: interfaces.filter((one) => one.sandbox).map((one) => one.mac) }
    },
    expect: { macs: ['MAC'] },
  },
  {
    row: 'R5',
    rule: 'the sandbox is CNI_NETNS to the letter',
    of: [...attaching, 'loopback'],
    observe: async (c) => {
      const pod = await c.pod()
      const env = { CNI_NETNS: pod.path.replace('/run/', '/run/.//') }
      const { interfaces = [] } = await c.result({ command: 'ADD', pod, env })
      await c.ok({ command: 'DEL', pod, env })
      return {
        sandbox: interfaces
          .map((one) => one.sandbox)
          .filter(Boolean)
          .map((one) => one === env.CNI_NETNS),
      }
    },
    expect: { sandbox: [true] },
  },
  {
    row: 'R6a',
    rule: 'each version has its own shape',
    of: (subject) => subject.kind === 'network' && subject.plugin !== 'flannel',
    observe: (c) => {
      const { ipam } = c.conf() as { ipam: object }
      const conf = { isDefaultGateway: false, mtu: 1400, ipam: { ...ipam, routes } }
      return inAll(c, (answer) => answer.msg ?? signature(answer), conf)
    },
    expect: forAll(signatureIn),
  },
  {
    row: 'R6b',
    rule: 'without an address there is no 0.2.0 result, which is found before anything is made',
    of: (subject) => subject.kind === 'network' && subject.plugin === 'bridge',
    observe: async (c) => {
      const pod = await c.pod()
      const before = await c.state(pod)
      const conf = {
        cniVersion: '0.2.0',
        ipam: undefined,
        isGateway: false,
        isDefaultGateway: false,
      }
      return { ADD: await c.say({ command: 'ADD', pod, conf }), left: await c.left(before) }
    },
    expect: {
      ADD: own(7, 'cannot convert: no valid IP addresses'),
      left: [],
    },
  },
  {
    row: 'R7',
    rule: "a delegate's result without a version is of the configuration's",
    of: attaching,
    observe: async (c) => {
      const { type, path } = fakePlugin(c, {
        stdout: `{"ips":[{"address":"${c.subnet.replace('.0/', '.5/')}","gateway":"${c.subnet.replace('.0/24', '.1')}"}]}`,
      })
      const pod = await c.pod()
      const run = { pod, conf: { ipam: { type } }, env: { CNI_PATH: path } }
      const { ips = [] } = await c.result({ ...run, command: 'ADD', delegates: 1 })
      const address = await runAt(pod, ['ip', '-oneline', '-4', 'address', 'show', 'dev', 'eth0'])
      await c.ok({ ...run, command: 'DEL', delegates: 1 })
      const own = c.subnet.replace('.0/', '.5/')
      return { result: ips.map((one) => one.address === own), kernel: address.includes(own) }
    },
    expect: { result: [true], kernel: true },
  },
  {
    row: 'R8',
    rule: "prevResult is of the configuration's family of versions, also where it does not say so",
    of: ['portmap', 'bandwidth', ...attaching],
    observe: async (c) => {
      const pod = await c.pod()
      const command =
        c.subject.kind === 'portmap' || c.subject.kind === 'bandwidth' ? 'ADD' : 'CHECK'
      const wrong = { cniVersion: '0.4.0', prevResult: c.earlier(pod, '1.0.0') }
      const { cniVersion: _, ...unsaid } = c.earlier(pod, '1.0.0') as Record<string, unknown>
      const without = await c.say({ command: 'ADD', pod, conf: { prevResult: unsaid } })
      return {
        'another family': await c.say({ command, pod, conf: wrong }),
        ...(command === 'ADD' ? { 'no version': without } : {}),
      }
    },
    expect: ({ subject }) => ({
      'another family': own(
        6,
        /could not parse prevResult: result type supports \[0\.3\.0 0\.3\.1 0\.4\.0\] but unmarshalled CNIVersion is "1\.0\.0"$/,
      ),
      ...(attaching.includes(subject.kind) ? {} : { 'no version': 'result' }),
    }),
  },
  {
    row: 'R9',
    rule: 'a chained plugin prints prevResult, and keeps what it does not know',
    of: ['portmap', 'bandwidth'],
    observe: async (c) => {
      const pod = await c.pod()
      const earlier = c.earlier(pod) as { interfaces: object[] }
      const prevResult = {
        ...earlier,
        interfaces: earlier.interfaces.map((one) => ({ ...one, mtu: 1400, vendor: 'x' })),
        'example.org/extra': [1],
      }
      const printed = await c.result({ command: 'ADD', pod, conf: { prevResult } })
      return { kept: JSON.stringify(sorted(printed)) === JSON.stringify(sorted(prevResult)) }
    },
    expect: { kept: true },
  },
  {
    row: 'R10',
    rule: 'standard output is one JSON object and nothing else',
    of: [...attaching, 'loopback', 'ipam', 'portmap', 'bandwidth'],
    observe: async (c) => {
      const pod = await c.pod()
      const text = async (command: string, more: object = {}) =>
        (await c.run({ command, pod, conf: more })).stdout
      const isObject = (one: string) =>
        one === JSON.stringify(JSON.parse(one), null, indentOf(one)) || one.endsWith('}\n')
      const ADD = isObject(await text('ADD'))
      const refusal = isObject(await text('ADD', { cniVersion: '9.9.9' }))
      return { ADD, refusal, DEL: await text('DEL') }
    },
    expect: { ADD: true, refusal: true, DEL: '' },
  },
  {
    row: 'R11',
    rule: "loopback's result has the shape that its version says",
    of: ['loopback'],
    observe: (c) => inAll(c, shapeOf),
    expect: forAll((version) => {
      if (version < '0.3.0') return ['cniVersion', 'dns', 'ip4', 'ip6']
      return ['cniVersion', ...(version < '1.0.0' ? ['dns'] : []), 'interfaces', 'ips']
    }),
  },
]

function indentOf(text: string): number {
  return /^\{\n( +)/.exec(text)?.[1]?.length ?? 0
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, one]) => [key, sorted(one)]))
}

/** The keys of a value, of what is below them, and of each kind of thing in a list. */
function signature(value: unknown): string {
  if (Array.isArray(value)) return `[${[...new Set(value.map(signature))].join(' ')}]`
  if (typeof value !== 'object' || value === null) return ''
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return `{${entries.map(([key, one]) => `${key}${signature(one)}`).join(' ')}}`
}

/** The signature of a result with two families, an MTU and the routes above. */
function signatureIn(version: string): string {
  if (version < '0.3.0') {
    const part = '{gateway ip routes[{dst}]}'
    return `{cniVersion dns{} ip4${part} ip6${part}}`
  }
  if (version === '1.1.0') {
    const interfaces = '{mac name} {mac mtu name} {mac mtu name sandbox}'
    return `{cniVersion interfaces[${interfaces}] ips[{address gateway interface}] routes[{advmss dst mtu priority} {dst}]}`
  }
  const [dns, family] = version < '1.0.0' ? [' dns{}', ' version'] : ['', '']
  return `{cniVersion${dns} interfaces[{mac name} {mac name sandbox}] ips[{address gateway interface${family}}] routes[{dst}]}`
}
