import { attach, type Container, startDaemon, waitForPeers } from '../lab/heddle.ts'
import { createHosts, type Host, type Lab } from '../lab/lab.ts'
import { runAt, startAt } from '../lab/place.ts'
import { until } from '../lab/run.ts'
import { networkConfig, openStore } from '../lab/store.ts'
import { remakeByHand } from './handmade.ts'
import { median } from './statistics.ts'

/** Two containers on two hosts; TCP goes from the first to the second. */
export interface Line {
  readonly from: Container
  readonly to: Container
}

/** Attaches a container to each of two hosts, the second one with a server that takes what comes. */
export async function layLine([first, second]: readonly Host[]): Promise<Line> {
  if (!first || !second) throw new RangeError('A line has two ends')
  const [from, to] = [await attach(first, 'line'), await attach(second, 'line')]
  const logFile = `${second.lab.directory}/${second.name}/iperf3.log`
  const server = startAt(to, ['iperf3', '--server', '--forceflush'], { logFile })
  const isListening = (): boolean => server.log().includes('listening')
  await until('iperf3 to listen', isListening, { timeoutMs: 10_000 })
  return { from, to }
}

/** What goes through in so many whole seconds, in bits per second. */
export async function throughput({ from, to }: Line, seconds: number): Promise<number> {
  const [address = ''] = to.addresses
  const command = ['iperf3', '--json', '--time', `${seconds}`, '--client', address] as const
  const result = JSON.parse(await runAt(from, command)) as {
    readonly end: { readonly sum_received: { readonly bits_per_second: number } }
  }
  return result.end.sum_received.bits_per_second
}

/** One line's throughput as a share of another's, measured in turns. */
export interface Share {
  readonly median: number
  readonly ratios: readonly number[]
}

/**
 * At least `pairs.least`, and more up to `pairs.most` until their median is `enough`: a machine that
 * does other things too is not held against either of the two.
 */
export async function compareLines(
  line: Line,
  other: Line,
  options: {
    readonly seconds: number
    readonly pairs: { least: number; most: number }
    readonly enough: number
  },
): Promise<Share> {
  const ratios: number[] = []
  for (let pair = 0; pair < options.pairs.most; pair++) {
    const isFirst = pair % 2 === 0
    const [a, b] = isFirst ? [line, other] : [other, line]
    const first = await throughput(a, options.seconds)
    const second = await throughput(b, options.seconds)
    ratios.push(isFirst ? first / second : second / first)
    if (ratios.length >= options.pairs.least && median(ratios) >= options.enough) break
  }
  return { median: median(ratios), ratios }
}

/** The names of the two labs that `measureThroughput` makes. */
export function throughputLabs(name: string): [daemons: string, byHand: string] {
  return [`${name}-daemons`, `${name}-by-hand`]
}

/** A network that daemons made against one that was made by hand. */
export async function measureThroughput(
  name: string,
  options: Parameters<typeof compareLines>[2],
): Promise<Share> {
  const [daemons, byHand] = throughputLabs(name)
  await using stack = new AsyncDisposableStack()
  const [lab, hosts] = await createHosts(daemons, 2)
  stack.use(lab)
  await startDaemons(lab, hosts)
  const [other, remade] = await createHosts(byHand, 2)
  stack.use(other)
  await remakeByHand(hosts, remade)
  return await compareLines(await layLine(hosts), await layLine(remade), options)
}

async function startDaemons(lab: Lab, hosts: readonly Host[]): Promise<void> {
  const store = await openStore(lab, 'sqlite', networkConfig({ Type: 'vxlan' }))
  for (const host of hosts) await startDaemon(host, store, ['--iface', 'eth0'])
  for (const host of hosts) await waitForPeers(host, hosts.length - 1)
}
