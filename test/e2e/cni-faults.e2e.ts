import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { dist } from '../../scripts/lab/heddle.ts'
import { runAt } from '../../scripts/lab/place.ts'
import {
  idOf,
  killAndClean,
  plainChanges,
  recordPoints,
  runVerb,
  type Subject,
  sample,
  stateOf,
  type Verb,
} from './cni-faults-support.ts'
import { bareHost, changes, podOn } from './cni-support.ts'
import { testWith } from './installed.ts'

const testWithTrace = testWith('strace')

/** More points than this in one verb are sampled, unless there is time for all of them. */
const budget = process.env['HEDDLE_LONG_TESTS'] ? Number.POSITIVE_INFINITY : 100
/** A call may come fewer times than in the recorded run, when a thread was quicker or slower. */
const attempts = 3

const ipam = {
  type: 'heddle-ipam',
  ranges: [[{ subnet: '10.88.0.0/24' }], [{ subnet: 'fd00:88::/64' }]],
}
const plain = { cniVersion: '1.0.0', name: 'net', type: 'heddle', ipam }

const subnetText = `FLANNEL_NETWORK=10.88.0.0/16
FLANNEL_SUBNET=10.88.7.1/24
FLANNEL_MTU=1450
FLANNEL_IPMASQ=false
`

interface Configuration {
  readonly title: string
  /** The name that the executable is called by; `heddle` if absent. */
  readonly role?: string
  readonly conf: object
  /** Only for the container that is killed: nobody else can have the same ports. */
  readonly runtimeConfig?: object
}

/** What is attached and killed. A host has two containers of it; only the second is touched. */
const configurations: readonly Configuration[] = [
  { title: 'a bridge', role: 'bridge', conf: { ...plain, type: 'bridge', isGateway: true } },
  { title: 'a bridge with masquerading', conf: { ...plain, ipMasq: true } },
  {
    title: 'a bridge with published ports and shaping',
    conf: { ...plain, ipMasq: true, capabilities: { portMappings: true, bandwidth: true } },
    runtimeConfig: {
      portMappings: [
        { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
        { hostPort: 8053, containerPort: 53, protocol: 'udp', hostIP: '127.0.0.1' },
      ],
      bandwidth: {
        ingressRate: 8_000_000,
        ingressBurst: 800_000,
        egressRate: 8_000_000,
        egressBurst: 800_000,
      },
    },
  },
  { title: 'ptp', conf: { ...plain, mode: 'ptp', ipMasq: true } },
  { title: 'macvlan', conf: { ...plain, mode: 'macvlan', master: 'eth0' } },
  {
    title: 'flannel',
    role: 'flannel',
    conf: { cniVersion: '1.0.0', name: 'net', type: 'flannel' },
  },
]

async function subjectFor(
  t: ExecutionContext,
  name: string,
  { role = 'heddle', conf, runtimeConfig = {} }: Configuration,
): Promise<Subject> {
  const host = await bareHost(t, name)
  const save = 'mkdir -p /run/flannel; cat >/run/flannel/subnet.env'
  await runAt(host, ['sh', '-c', save], { input: subnetText })
  const plugin = role === 'heddle' ? join(dist, role) : `/run/lab/${role}`
  const neighbour = await podOn(host, 'n1')
  const pod = await podOn(host, 'c1')
  const others = [idOf(neighbour)]
  await mustRun(t, { host, pod: neighbour, conf, plugin, others }, 'ADD')
  const subject = { host, pod, conf: { ...conf, runtimeConfig }, plugin, others }
  // Once to the end and back, so that folders, sets and all that stays are there.
  await mustRun(t, subject, 'ADD')
  await mustRun(t, subject, 'DEL')
  return subject
}

async function mustRun(t: ExecutionContext, subject: Subject, verb: Verb): Promise<void> {
  const { code, stdout, stderr } = await runVerb(subject, verb)
  t.is(code, 0, `${verb}: ${stdout}${stderr}`)
}

interface Sweep {
  readonly points: number
  readonly tried: number
  readonly killed: number
  readonly partial: number
}

/** Kills a verb at each of its points and cleans up, in turn by DEL and by GC. */
async function sweep(t: ExecutionContext, subject: Subject, verb: 'ADD' | 'DEL'): Promise<Sweep> {
  const before = await stateOf(subject.host)
  await mustRun(t, subject, 'ADD')
  const whole = plainChanges(before, await stateOf(subject.host))
  if (verb === 'ADD') await mustRun(t, subject, 'DEL')
  const all = await recordPoints(subject, verb)
  if (verb === 'ADD') await mustRun(t, subject, 'DEL')
  const points = sample(all, budget)
  let [killed, partial] = [0, 0]
  for (const [index, point] of points.entries()) {
    const cleaner = index % 2 === 0 ? 'DEL' : 'GC'
    for (let attempt = 1; attempt <= attempts; attempt++) {
      if (verb === 'DEL') await mustRun(t, subject, 'ADD')
      const kill = await killAndClean(subject, verb, point, cleaner)
      const where = `${verb} at ${point.call} number ${point.occurrence}, then ${cleaner}`
      t.regex(kill.cleaned, /^exit 0$/, where)
      t.deepEqual(changes(before, kill.after).slice(0, 10), [], where)
      if (!kill.killed) continue
      killed++
      const left = plainChanges(before, kill.between)
      if (left.length > 0 && left.join() !== whole.join()) partial++
      break
    }
  }
  return { points: all.length, tried: points.length, killed, partial }
}

for (const configuration of configurations) {
  const { title } = configuration
  testWithTrace(
    `ADD and DEL of ${title} killed anywhere leave nothing after DEL or GC`,
    async (t) => {
      t.timeout(240_000)
      const verbs = ['ADD', 'DEL'] as const
      await Promise.all(
        verbs.map(async (verb) => {
          const subject = await subjectFor(t, `kill-${verb.toLowerCase()}`, configuration)
          const { points, tried, killed, partial } = await sweep(t, subject, verb)
          const counts = `${points} points, ${tried} tried, ${killed} killed`
          t.log(`${verb}: ${counts}, ${partial} left partial state`)
          t.true(killed >= 0.95 * tried, `${killed} of ${tried} killed`)
          t.true(partial > 0, 'some runs must be killed halfway')
        }),
      )
    },
  )
}
