import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import type { Pod } from '../../scripts/lab/lab.ts'
import { countLosses } from '../../scripts/lab/ping.ts'
import { type Background, startAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'
import { nth } from './support.ts'

const probe = join(import.meta.dirname, 'takeover-probe.ts')
/** The world outside, which knows no way to a container's address. */
const worlds = ['10.100.0.254', 'fd00:100::fe'] as const
const port = '7000'

/** What `takeover-probe.ts ask` got; `sources` are the addresses that the world saw. */
export interface Answers {
  readonly flow: Answered & { readonly error: string }
  readonly packets: Answered
}

interface Answered {
  readonly asked: number
  readonly answered: number
  readonly sources: readonly string[]
}

/** A container with its addresses. */
export interface Station {
  readonly pod: Pod
  readonly addresses: readonly string[]
}

/** Traffic between two containers, and from one of them to the world. */
export interface Traffic {
  /** Lets 30 more echo requests of each kind go out. */
  goOn(): Promise<void>
  /** Ends it and fails the test if anything was lost. */
  stopAndCheck(): Promise<void>
}

/**
 * Starts echo requests, 100 a second, both ways, and from `one` a TCP flow and new UDP flows to the
 * world, masqueraded as its host; all in every family. They have had answers when this returns.
 */
export async function startTraffic(
  t: ExecutionContext,
  [one, other]: readonly [Station, Station],
): Promise<Traffic> {
  const askers: Asker[] = []
  for (const [i, world] of worlds.slice(0, one.addresses.length).entries()) {
    askers.push(await startAsking(one.pod, world, i))
  }
  const pings = [...pingFrom(one, other), ...pingFrom(other, one)]
  const traffic: Traffic = {
    async goOn() {
      for (const ping of pings) {
        const enough = sentBy(ping.log()) + 30
        await until('more echo requests', () => sentBy(ping.log()) >= enough, { timeoutMs: 20_000 })
      }
    },
    async stopAndCheck() {
      await traffic.goOn()
      for (const ping of pings) await ping.stop('SIGINT')
      for (const ping of pings) {
        const { sent, lost } = countLosses(ping.log())
        const title = ping.log().split('\n', 1)[0]
        t.log(`${title}: ${sent} sent, ${lost} lost`)
        t.is(lost, 0, title)
      }
      for (const asker of askers) await checkAnswers(t, asker)
    },
  }
  await traffic.goOn()
  return traffic
}

interface Asker {
  readonly program: Background
  /** The address that the world is to see. */
  readonly source: string
}

/** Asks the world, which is made to listen; returns when it has answered once. */
async function startAsking(pod: Pod, world: string, family: number): Promise<Asker> {
  const { lab, publicIP, publicIPv6 } = pod.host
  const server = startAt(lab.switch, [process.execPath, probe, 'serve', world, port], {
    logFile: `${lab.directory}/world-${family}.log`,
  })
  await until('the world to listen', () => server.log().includes('ready'), { timeoutMs: 20_000 })
  const program = startAt(pod, [process.execPath, probe, 'ask', world, port], {
    logFile: `${lab.directory}/ask-${family}.log`,
  })
  const isAnswered = () => program.log().includes('answered')
  await until(`${world} to answer`, isAnswered, { timeoutMs: 20_000 })
  return { program, source: family === 0 ? publicIP : publicIPv6 }
}

async function checkAnswers(t: ExecutionContext, { program, source }: Asker): Promise<void> {
  await program.stop()
  const { flow, packets } = JSON.parse(nth(program.log().split('\n'), 1)) as Answers
  t.log(`seen as ${source}: ${flow.answered} lines of a flow, ${packets.answered} packets answered`)
  t.deepEqual(flow, { ...flow, answered: flow.asked, error: '', sources: [source] })
  t.deepEqual(packets, { ...packets, answered: packets.asked, sources: [source] })
}

function pingFrom({ pod }: Station, { addresses }: Station): Background[] {
  return addresses.map((address) => {
    const name = `ping-${pod.name}-${address}`.replaceAll(/[/:]/g, '-')
    const command = ['ping', '-n', '-i', '0.01', address] as const
    return startAt(pod, command, { logFile: `${pod.host.lab.directory}/${name}.log` })
  })
}

/** The last request that ping has an answer to. */
function sentBy(log: string): number {
  return Number(/.*icmp_seq=(\d+) ttl=/s.exec(log)?.[1] ?? 0)
}
