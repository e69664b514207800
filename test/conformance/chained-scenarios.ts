import { runAt } from '../../scripts/lab/place.ts'
import type { Case } from './case.ts'
import { own, type Row } from './rows.ts'
import type { Subject } from './subjects.ts'

const portmaps = (subject: Subject) => subject.kind === 'portmap'
const shapers = (subject: Subject) => subject.kind === 'bandwidth'

/** Adds a link from the host into the case's pod. */
function vethTo({ number }: Case): [string, ...string[]] {
  const peer = ['peer', 'name', 'eth0', 'netns', `p${number}`]
  return ['ip', 'link', 'add', `hv${number}`, 'type', 'veth', ...peer]
}

/** An earlier result as bandwidth needs it: with a veth in the sandbox, and its peer on the host. */
async function veth(
  c: Case,
): Promise<{ pod: Awaited<ReturnType<Case['pod']>>; prevResult: object }> {
  const pod = await c.pod()
  const host = `hv${c.number}`
  await runAt(c.host, vethTo(c))
  const earlier = c.earlier(pod) as { interfaces: object[] }
  return {
    pod,
    prevResult: {
      ...earlier,
      interfaces: [...earlier.interfaces, { name: host, mac: '0a:00:00:00:00:03' }],
    },
  }
}

/** Cases of the reference plugins' own tests (cni.md 5) for portmap and bandwidth. */
export const chainedScenarios: readonly Row[] = [
  {
    row: '5/portmap-invalid',
    rule: 'mappings that are none are refused',
    of: portmaps,
    observe: async (c) => {
      const pod = await c.pod()
      const bad = {
        'host port 0': [0, 80, 'tcp'],
        'container port 0': [8080, 0, 'tcp'],
        'a protocol': [8080, 80, 'icmp'],
      } as const
      const facts: Record<string, unknown> = {}
      for (const [title, [hostPort, containerPort, protocol]] of Object.entries(bad)) {
        const runtimeConfig = { portMappings: [{ hostPort, containerPort, protocol }] }
        const { exit, stdout } = await c.run({ command: 'ADD', pod, conf: { runtimeConfig } })
        facts[title] = { exit, msg: (JSON.parse(stdout) as { msg?: string }).msg }
      }
      return facts
    },
    expect: {
      'host port 0': { exit: 1, msg: /Invalid host port number: 0$/ },
      'container port 0': { exit: 1, msg: /Invalid container port number: 0$/ },
      'a protocol': { exit: 1, msg: /icmp/ },
    },
  },
  {
    row: '5/portmap-index',
    rule: "an address without an interface is taken for the container's",
    of: portmaps,
    observe: async (c) => {
      const pod = await c.pod()
      await runAt(c.host, vethTo(c))
      const earlier = c.earlier(pod) as { ips: { address: string }[] }
      const ips = earlier.ips.map(({ address }) => ({ address }))
      const runtimeConfig = {
        portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
      }
      const conf = { prevResult: { ...earlier, ips }, runtimeConfig }
      const ADD = await c.say({ command: 'ADD', pod, conf })
      const { rule = [] } = await c.state()
      const published = rule.some((line) => /8080/.test(line))
      const DEL = await c.say({ command: 'DEL', pod, conf })
      const after = (await c.state())['rule'] ?? []
      return { ADD, published, DEL, withdrawn: !after.some((line) => /8080/.test(line)) }
    },
    expect: { ADD: 'result', published: true, DEL: 'ok', withdrawn: true },
  },
  {
    row: '5/portmap-many',
    rule: 'more than fifteen ports are published, and DEL takes them away',
    of: portmaps,
    observe: async (c) => {
      const pod = await c.pod()
      await runAt(c.host, vethTo(c))
      const ports = Array.from({ length: 17 }, (_, i) => 20_001 + i)
      const portMappings = ports.map((hostPort) => ({
        hostPort,
        containerPort: 80,
        protocol: 'tcp',
      }))
      const conf = { prevResult: c.earlier(pod), runtimeConfig: { portMappings } }
      await c.result({ command: 'ADD', pod, conf })
      const count = async () => {
        const text = ((await c.state())['rule'] ?? []).join('\n')
        return ports.filter((port) => new RegExp(`\\b${port}\\b`).test(text)).length
      }
      const published = await count()
      const DEL = await c.say({ command: 'DEL', pod, conf })
      return { published, DEL, left: await count() }
    },
    expect: { published: 17, DEL: 'ok', left: 0 },
  },
  {
    row: '5/portmap-parallel',
    rule: 'DELs of one container at once all succeed',
    // What becomes of the reference plugin's is a matter of luck: a chain that is gone is an error to it.
    of: (subject) => portmaps(subject) && subject.maker === 'heddle',
    observe: async (c) => {
      const pod = await c.pod()
      await runAt(c.host, vethTo(c))
      const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: 'udp' }]
      const conf = { prevResult: c.earlier(pod), runtimeConfig: { portMappings } }
      await c.result({ command: 'ADD', pod, conf })
      return { DEL: await Promise.all([1, 2, 3].map(() => c.say({ command: 'DEL', pod, conf }))) }
    },
    expect: { DEL: ['ok', 'ok', 'ok'] },
  },
  {
    row: '5/bandwidth-invalid',
    rule: 'a rate without a burst, and a burst beyond 4 GB, are refused',
    of: shapers,
    observe: async (c) => {
      const { pod, prevResult } = await veth(c)
      return {
        'no burst': await c.say({ command: 'ADD', pod, conf: { prevResult, ingressRate: 8000 } }),
        'a huge burst': await c.say({
          command: 'ADD',
          pod,
          conf: { prevResult, egressRate: 8000, egressBurst: 4_294_967_296 * 8 },
        }),
      }
    },
    expect: {
      'no burst': own(7, /if rate is set, burst must also be set$/),
      'a huge burst': own(7, /burst cannot be more than 4GB$/),
    },
  },
  {
    row: '5/bandwidth-shapes',
    rule: 'what the configuration says wins over what the runtime says, and DEL takes all away',
    of: shapers,
    observe: async (c) => {
      const { pod, prevResult } = await veth(c)
      const conf = {
        prevResult,
        ingressRate: 8_000_000,
        ingressBurst: 80_000,
        egressRate: 8_000_000,
        egressBurst: 80_000,
        runtimeConfig: { bandwidth: { ingressRate: 16_000, ingressBurst: 80_000 } },
      }
      const before = await c.state()
      const ADD = await c.say({ command: 'ADD', pod, conf })
      const { qdisc = [] } = await c.state()
      const rates = qdisc.flatMap((line) => /tbf.* rate (\w+)/.exec(line)?.[1] ?? [])
      const DEL = await c.say({ command: 'DEL', pod, conf })
      return { ADD, rates, DEL, left: await c.left(before) }
    },
    expect: { ADD: 'result', rates: ['8Mbit', '8Mbit'], DEL: 'ok', left: [] },
  },
  {
    row: '5/bandwidth-peer',
    rule: 'without a peer on the host nothing can be shaped',
    of: shapers,
    observe: async (c) => {
      const pod = await c.pod()
      const link = [
        'link',
        'add',
        'link',
        'eth0',
        'name',
        'eth0',
        'netns',
        `p${c.number}`,
        'type',
        'macvlan',
      ]
      await runAt(c.host, ['ip', ...link])
      return {
        ADD: await c.say({ command: 'ADD', pod, conf: { ingressRate: 8000, ingressBurst: 8000 } }),
      }
    },
    expect: { ADD: own(7, /^(container interface eth0 has )?no veth peer/) },
  },
]
