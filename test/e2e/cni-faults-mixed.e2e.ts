import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { dist } from '../../scripts/lab/heddle.ts'
import type { Host, Pod } from '../../scripts/lab/lab.ts'
import { attemptAt, runAt } from '../../scripts/lab/place.ts'
import { mapLimit } from '../../scripts/lab/run.ts'
import {
  environmentOf,
  idOf,
  inputOf,
  killingAt,
  type Point,
  recordPoints,
  runVerb,
  type Subject,
  stateOf,
} from './cni-faults-support.ts'
import { bareHost, changes, ipJson, type PluginAnswer, podOn } from './cni-support.ts'
import { testWith } from './installed.ts'
import { nth } from './support.ts'

const testWithTrace = testWith('strace')

const runs = Number(process.env['HEDDLE_FAULT_RUNS'] ?? 1000)
const seed = Number(process.env['HEDDLE_SEED'] ?? Date.now() % 1_000_000)
const pods = 12

/** Numbers from 0 up to 1, the same for the same seed (mulberry32). */
function randomFrom(start: number): () => number {
  let state = start >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let x = Math.imul(state ^ (state >>> 15), state | 1)
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32
  }
}

const ipMasq = true
/** Hardly more addresses than containers, so that freed ones are soon given again. */
const networks = [
  { cniVersion: '1.0.0', name: 'one', type: 'heddle', ipMasq, ipam: { subnet: '10.88.0.0/28' } },
  {
    cniVersion: '1.0.0',
    name: 'two',
    type: 'heddle',
    bridge: 'two0',
    ipam: { ranges: [[{ subnet: '10.89.0.0/28' }], [{ subnet: 'fd00:89::/124' }]] },
  },
]

/** One attachment, and what is known of it: nothing once a run on it was killed. */
interface Attachment {
  readonly subject: Subject
  state: 'none' | 'attached' | 'unknown'
  addresses: readonly string[]
  busy: boolean
}

/** How a run is to be killed: when a call is entered, or after some seconds. */
type End = { readonly point: Point } | { readonly seconds: number }

interface Tally {
  readonly verbs: { ADD: number; DEL: number }
  killed: number
  refused: number
}

function underOf(end: End): string[] {
  if ('point' in end) return killingAt(end.point)
  return ['timeout', '--signal=KILL', end.seconds.toFixed(5)]
}

/** Runs a verb that is killed, or comes to its end before that. */
async function runOnce(t: ExecutionContext, attachment: Attachment, verb: 'ADD' | 'DEL', end: End) {
  const { subject } = attachment
  const [first, ...rest] = [...underOf(end), subject.plugin]
  const { code, stdout, stderr } = await attemptAt(subject.host, [first, ...rest], {
    input: inputOf(subject, verb),
    env: environmentOf(subject, verb),
  })
  const where = `${verb} of ${idOf(subject.pod)}: exit ${code}: ${stdout}${stderr}`
  if (code === 137) attachment.state = 'unknown'
  else if (verb === 'DEL') t.is(code, 0, where)
  else t.true(code === 0 || code === 1, where)
  if (code === 0) settle(attachment, verb, stdout)
  return code
}

function settle(attachment: Attachment, verb: 'ADD' | 'DEL', stdout: string): void {
  attachment.state = verb === 'ADD' ? 'attached' : 'none'
  if (verb === 'DEL') return
  const { ips = [] } = JSON.parse(stdout) as PluginAnswer
  attachment.addresses = ips.map(({ address }) => address)
}

/** No address belongs to two attachments of which ADD said that they have it. */
function refuseDuplicates(t: ExecutionContext, attachments: readonly Attachment[]): void {
  const held = attachments
    .filter(({ state }) => state === 'attached')
    .flatMap(({ addresses }) => addresses)
  t.is(new Set(held).size, held.length, `an address was given twice: ${held.sort().join(' ')}`)
}

/** The addresses that the containers really have, link-local ones aside. */
async function addressesIn(pod: Pod): Promise<string[]> {
  interface Shown {
    ifname: string
    addr_info: { local: string; scope: string }[]
  }
  const links = await ipJson<Shown>(pod, 'addr')
  return links.flatMap(({ ifname, addr_info }) =>
    ifname === 'lo' ? [] : addr_info.filter((a) => a.scope === 'global').map((a) => a.local),
  )
}

async function attachmentsOn(host: Host, names: readonly string[]): Promise<Attachment[]> {
  const made = await mapLimit(names, 2, (name) => podOn(host, name))
  return made.map((pod, index) => {
    const conf = nth(networks, index % networks.length)
    const subject = { host, pod, conf, plugin: join(dist, 'heddle'), others: [] }
    return { subject, state: 'none', addresses: [], busy: false }
  })
}

/** After a killed run mostly DEL comes, as from a runtime; sometimes it forgets. */
function nextVerb(state: Attachment['state'], random: () => number): 'ADD' | 'DEL' {
  const addShare = { none: 0.9, attached: 0.1, unknown: 0.3 }[state]
  return random() < addShare ? 'ADD' : 'DEL'
}

/** One container of each network stays throughout: without any, the bridge loses its carrier. */
async function keepersOn(t: ExecutionContext, host: Host): Promise<Attachment[]> {
  const keepers = await attachmentsOn(host, ['keeper1', 'keeper2'])
  for (const keeper of keepers) {
    const { code, stdout } = await runVerb(keeper.subject, 'ADD')
    t.is(code, 0, stdout)
    settle(keeper, 'ADD', stdout)
  }
  return keepers
}

interface Work {
  readonly attachments: readonly Attachment[]
  readonly keepers: readonly Attachment[]
  readonly points: { readonly ADD: readonly Point[]; readonly DEL: readonly Point[] }
  /** Of a whole run. */
  readonly seconds: number
  readonly tally: Tally
}

/** The n-th run: of one attachment that nobody else is at. */
async function workOnce(t: ExecutionContext, work: Work, n: number): Promise<void> {
  const { attachments, keepers, points, seconds, tally } = work
  const random = randomFrom(seed * 1000 + n)
  const pick = <T>(items: readonly T[]) => nth(items, Math.floor(random() * items.length))
  const attachment = pick(attachments.filter(({ busy }) => !busy))
  const verb = nextVerb(attachment.state, random)
  const end = random() < 0.5 ? { point: pick(points[verb]) } : { seconds: random() * seconds }
  attachment.busy = true
  // From here on others may be given what this one had.
  if (verb === 'DEL') attachment.state = 'unknown'
  const code = await runOnce(t, attachment, verb, end)
  attachment.busy = false
  refuseDuplicates(t, [...keepers, ...attachments])
  tally.verbs[verb]++
  if (code === 137) tally.killed++
  if (code === 1) tally.refused++
}

/** What is attached, as far as ADD said, can be reached; nobody has what another one has. */
async function checkAttached(t: ExecutionContext, host: Host, all: readonly Attachment[]) {
  const held = (await mapLimit(all, 2, ({ subject }) => addressesIn(subject.pod))).flat()
  t.is(new Set(held).size, held.length, `an address is there twice: ${held.sort().join(' ')}`)
  for (const { state, addresses } of all) {
    for (const address of state === 'attached' ? addresses : []) await ping(host, address)
  }
}

testWithTrace(
  `${runs} ADDs and DELs at random points of death leave nothing, and no address twice`,
  async (t) => {
    t.timeout(600_000)
    t.log(`HEDDLE_SEED=${seed}`)
    const host = await bareHost(t, 'mixed')
    const keepers = await keepersOn(t, host)
    const names = Array.from({ length: pods }, (_, index) => `c${index}`)
    const attachments = await attachmentsOn(host, names)
    const points = { ADD: [] as Point[], DEL: [] as Point[] }
    for (const { subject } of attachments.slice(0, networks.length)) {
      points.ADD.push(...(await recordPoints(subject, 'ADD')))
      points.DEL.push(...(await recordPoints(subject, 'DEL')))
    }
    const seconds = await typicalSeconds(nth(attachments, 0).subject)
    const before = await stateOf(host)
    const tally: Tally = { verbs: { ADD: 0, DEL: 0 }, killed: 0, refused: 0 }
    const work = { attachments, keepers, points, seconds, tally }
    let begun = 0
    const worker = async () => {
      while (begun < runs) await workOnce(t, work, begun++)
    }
    await Promise.all([worker(), worker()])
    const { verbs, killed, refused } = tally
    t.log(`${verbs.ADD} ADDs and ${verbs.DEL} DELs: ${killed} killed, ${refused} refused`)
    t.true(killed > runs / 2)
    await checkAttached(t, host, [...keepers, ...attachments])
    for (const { subject } of attachments) {
      const { code, stdout } = await runVerb(subject, 'DEL')
      t.is(code, 0, stdout)
    }
    t.deepEqual(changes(before, await stateOf(host)), [])
    for (const { addresses } of keepers) for (const address of addresses) await ping(host, address)
  },
)

async function ping(host: Host, address: string): Promise<void> {
  await runAt(host, ['ping', '-c1', '-W2', address.replace(/\/\d+$/, '')])
}

/** Somewhat more than an ADD takes, so that few of those killed by time come to their end. */
async function typicalSeconds(subject: Subject): Promise<number> {
  const begun = performance.now()
  for (let i = 0; i < 5; i++) {
    await runVerb(subject, 'ADD')
    await runVerb(subject, 'DEL')
  }
  return (1.2 * (performance.now() - begun)) / 10_000
}
