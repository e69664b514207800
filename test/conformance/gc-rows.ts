import { mkdirSync, writeFileSync } from 'node:fs'
import { hostFile, type Pod } from '../../scripts/lab/lab.ts'
import { attemptAt } from '../../scripts/lab/place.ts'
import { type Case, idOf } from './case.ts'
import { fakePlugin } from './fake.ts'
import { attaching } from './result-rows.ts'
import { every, of11, type Row } from './rows.ts'

const version = { cniVersion: '1.1.0' }
const nobody = { CNI_CONTAINERID: '', CNI_NETNS: '', CNI_IFNAME: '', CNI_ARGS: '' }

/** What keeps a reservation, a record or a link of each container. */
const keepers = of11([...attaching, 'ipam'])

/** Plugins whose GC has something to collect. Masquerading is on where there is any. */
async function attachAll(c: Case, names: readonly string[], more: object = {}): Promise<Pod[]> {
  const { kind, plugin } = c.subject
  const own = { delegate: { bridge: c.bridge, isDefaultGateway: true, ipMasq: true } }
  const masquerading = kind === 'network' || kind === 'ptp' ? { ipMasq: true } : {}
  const pods: Pod[] = []
  for (const name of names) {
    const pod = await c.pod(name)
    const conf = { ...version, ...(plugin === 'flannel' ? own : masquerading), ...more }
    await c.result({ command: 'ADD', pod, conf })
    pods.push(pod)
  }
  return pods
}

/** Another network with addresses of its own. */
function elsewhere(c: Case): object {
  const { kind, plugin } = c.subject
  const name = `${c.network}x`
  if (plugin === 'flannel') return { name }
  const { ipam } = c.conf() as { ipam: object }
  const ranges = [[{ subnet: c.subnet.replace(/^10\.1/, '10.2') }]]
  return {
    name,
    ipam: { ...ipam, ranges },
    ...(kind === 'network' ? { bridge: `${c.bridge}x` } : {}),
  }
}

/** Which containers of a case are still known: by a reservation, a record, a rule or a link. */
async function known(c: Case, pods: readonly Pod[]): Promise<string[]> {
  const { reservation = [], record = [], rule = [] } = await c.state()
  const texts = [...reservation, ...record, ...rule].join('\n')
  const facts: string[] = []
  for (const pod of pods) {
    const id = idOf(pod)
    if (new RegExp(`\\b${id}\\b`).test(texts)) facts.push(`${id.replace(/^p\d+/, '')}: state`)
    const link = await attemptAt(pod, ['ip', 'link', 'show', 'eth0'])
    if (link.code === 0) facts.push(`${id.replace(/^p\d+/, '')}: link`)
  }
  return facts
}

function valid(...pods: readonly Pod[]): object[] {
  return pods.map((pod) => ({ containerID: idOf(pod), ifname: 'eth0' }))
}

function collect(c: Case, more: object): Promise<unknown> {
  return c.say({ command: 'GC', env: nobody, conf: { ...version, ...more } })
}

/** What stays of a container that is kept. */
function kept(c: Case, ...names: readonly string[]): string[] {
  const isLink = c.subject.kind !== 'ipam'
  return names.flatMap((name) => [`${name}: state`, ...(isLink ? [`${name}: link`] : [])])
}

/** cni.md 1.6, GC. */
export const gcRows: readonly Row[] = [
  {
    row: 'G1a',
    rule: 'GC removes what is not listed, of this network alone',
    of: keepers,
    observe: async (c) => {
      const pods = await attachAll(c, ['a', 'b', 'c'])
      const other = await attachAll(c, ['o'], elsewhere(c))
      const GC = await collect(c, { 'cni.dev/valid-attachments': valid(...pods.slice(0, 1)) })
      return { GC, left: await known(c, [...pods, ...other]) }
    },
    expect: (c) => ({ GC: 'ok', left: kept(c, 'a', 'o') }),
  },
  {
    row: 'G1b',
    rule: 'the old name of the list is taken too',
    of: keepers,
    observe: async (c) => {
      const pods = await attachAll(c, ['a', 'b'])
      const GC = await collect(c, { 'cni.dev/attachments': valid(...pods.slice(1)) })
      return { GC, left: await known(c, pods) }
    },
    expect: (c) => ({ GC: 'ok', left: kept(c, 'b') }),
  },
  {
    row: 'G1c',
    rule: 'GC is forwarded to a delegate with the same input, and goes on after its error',
    of: (subject) => of11(attaching)(subject) && subject.plugin !== 'flannel',
    observe: async (c) => {
      const pods = await attachAll(c, ['a'])
      const fails = { GC: '{"code":77,"msg":"not today"}' }
      const { type, path, seen } = fakePlugin(c, { fails })
      const conf = { ...version, ipam: { type }, 'cni.dev/valid-attachments': [] }
      const GC = await c.say({
        command: 'GC',
        env: { ...nobody, CNI_PATH: path },
        conf,
        delegates: 1,
      })
      const asked = seen().map(({ command, stdin }) => [
        command,
        stdin === JSON.stringify(c.conf(conf)),
      ])
      const links = (await known(c, pods)).filter((fact) => fact.endsWith('link'))
      return { GC, asked, links }
    },
    expect: { GC: { code: 77, msg: /not today/ }, asked: [['GC', true]], links: [] },
  },
  {
    row: 'G2',
    rule: "an empty list makes everything of the network stale, and so does Go's nil",
    of: keepers,
    observe: async (c) => {
      const first = await attachAll(c, ['a', 'b'])
      const GC = await collect(c, { 'cni.dev/valid-attachments': [], 'cni.dev/attachments': [] })
      const left = await known(c, first)
      const second = await attachAll(c, ['c'])
      const nil = await collect(c, {
        'cni.dev/valid-attachments': null,
        'cni.dev/attachments': null,
      })
      return { GC, left, nil, 'left after nil': await known(c, second) }
    },
    expect: { GC: 'ok', left: [], nil: 'ok', 'left after nil': [] },
  },
  {
    row: 'G3',
    rule: 'without a list nothing is removed',
    of: of11(every),
    observe: async (c) => {
      const chained = c.subject.kind === 'portmap' || c.subject.kind === 'bandwidth'
      const pods = chained || c.subject.kind === 'loopback' ? [] : await attachAll(c, ['a'])
      const before = await c.state()
      return {
        GC: await collect(c, {}),
        changed: await c.changed(before),
        left: await known(c, pods),
      }
    },
    expect: (c) => ({
      GC: 'ok',
      changed: [],
      left: ['network', 'ptp', 'macvlan', 'ipam'].includes(c.subject.kind) ? kept(c, 'a') : [],
    }),
  },
  {
    row: 'G4',
    rule: 'a reservation without an interface stays with any listed attachment of its container',
    of: (subject) => of11(['network', 'ipam'])(subject) && /bridge|local|ipam/.test(subject.plugin),
    observe: async (c) => {
      const folder = hostFile(c.host, `/var/lib/cni/networks/${c.network}`)
      mkdirSync(folder, { recursive: true })
      const at = (host: number) => `${folder}/${c.subnet.replace('.0/24', `.${host}`)}`
      writeFileSync(at(9), 'old')
      writeFileSync(at(10), 'gone')
      const GC = await collect(c, {
        'cni.dev/valid-attachments': [{ containerID: 'old', ifname: 'net1' }],
      })
      const { reservation = [] } = await c.state()
      return { GC, left: reservation.map((line) => line.slice(line.lastIndexOf(':') + 1)) }
    },
    expect: { GC: 'ok', left: ['old'] },
  },
  {
    row: 'G5',
    rule: 'GC can be said twice, and beside the ADDs of another network',
    of: keepers,
    observe: async (c) => {
      const pods = await attachAll(c, ['a', 'b'])
      const list = { 'cni.dev/valid-attachments': valid(...pods.slice(0, 1)) }
      const others = await Promise.all(['o', 'p', 'q'].map((name) => c.pod(name)))
      const more = { ...version, ...elsewhere(c) }
      const [one, two, ...added] = await Promise.all([
        collect(c, list),
        collect(c, list),
        ...others.map((pod) => c.say({ command: 'ADD', pod, conf: more })),
      ])
      return { one, two, added, left: await known(c, [...pods, ...others]) }
    },
    expect: (c) => ({
      one: 'ok',
      two: 'ok',
      added: ['result', 'result', 'result'],
      left: kept(c, 'a', 'o', 'p', 'q'),
    }),
  },
]
