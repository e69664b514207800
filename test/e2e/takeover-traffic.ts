import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import type { Pod } from '../../scripts/lab/lab.ts'
import { countLosses } from '../../scripts/lab/ping.ts'
import { type Background, startAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'
import { nth } from './support.ts'

const probe = join(import.meta.dirname, 'takeover-probe.ts')
/** The world outside, which knows no way to a container's address. */
const world = ['10.100.0.254', '7000'] as const

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
 * Starts echo requests, 100 a second, both ways and in every family, and from `one` a TCP flow and
 * new UDP flows to the world, masqueraded as its host. All have had answers when this returns.
 */
export async function startTraffic(
  t: ExecutionContext,
  [one, other]: readonly [Station, Station],
): Promise<Traffic> {
  const { lab, publicIP } = one.pod.host
  const server = startAt(lab.switch, [process.execPath, probe, 'serve', ...world], {
    logFile: `${lab.directory}/world.log`,
  })
  await until('the world to listen', () => server.log().includes('ready'), { timeoutMs: 20_000 })
  const pings = [...pingFrom(one, other), ...pingFrom(other, one)]
  const asking = startAt(one.pod, [process.execPath, probe, 'ask', ...world], {
    logFile: `${lab.directory}/ask.log`,
  })
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
      await asking.stop()
      for (const ping of pings) {
        const { sent, lost } = countLosses(ping.log())
        const title = ping.log().split('\n', 1)[0]
        t.log(`${title}: ${sent} sent, ${lost} lost`)
        t.is(lost, 0, title)
      }
      const { flow, packets } = JSON.parse(nth(asking.log().split('\n'), 1)) as Answers
      t.log(`masqueraded: ${flow.answered} lines of a flow, ${packets.answered} packets answered`)
      t.deepEqual(flow, { ...flow, answered: flow.asked, error: '', sources: [publicIP] })
      t.deepEqual(packets, { ...packets, answered: packets.asked, sources: [publicIP] })
    },
  }
  const isAnswered = () => asking.log().includes('answered')
  await until('the world to answer', isAnswered, { timeoutMs: 20_000 })
  await traffic.goOn()
  return traffic
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
