import { attemptAt, type Place, startAt } from './place.ts'

/** What a series of echo requests came to. */
export interface PingResult {
  readonly sent: number
  readonly received: number
  /** Mean round trip in milliseconds; null when nothing came back. */
  readonly rttMs: number | null
}

/** Pings an address, `count` times with `intervalMs` between; a reply may take a second. */
export async function ping(
  from: Place,
  address: string,
  options: { count: number; intervalMs: number },
): Promise<PingResult> {
  const { count, intervalMs } = options
  const { stdout } = await attemptAt(
    from,
    ['ping', '-n', '-q', '-c', String(count), '-i', String(intervalMs / 1000), '-W', '1', address],
    { timeoutMs: count * intervalMs + 10_000 },
  )
  return parsePing(stdout, count)
}

/**
 * Reads the closing lines of iputils' ping. One that could not even begin (no route, no address)
 * printed none: everything it was to send is lost.
 */
export function parsePing(output: string, wanted: number): PingResult {
  const counts = /(\d+) packets transmitted, (\d+) received/.exec(output)
  const rtt = /^rtt .* = [\d.]+\/([\d.]+)\//m.exec(output)
  return {
    sent: counts ? Number(counts[1]) : wanted,
    received: counts ? Number(counts[2]) : 0,
    rttMs: rtt ? Number(rtt[1]) : null,
  }
}

/** A ping that goes on until it is stopped. */
export interface Pinging {
  /** Ends it and counts; a request still on its way then is not held against anybody. */
  stop(): Promise<{ readonly sent: number; readonly lost: number }>
}

/** Starts to ping an address, one echo request every `intervalMs`, writing to `logFile`. */
export function startPinging(
  from: Place,
  address: string,
  options: { intervalMs: number; logFile: string },
): Pinging {
  const seconds = String(options.intervalMs / 1000)
  const ping = startAt(from, ['ping', '-n', '-i', seconds, address], { logFile: options.logFile })
  return {
    async stop() {
      await ping.stop('SIGINT')
      return countLosses(ping.log())
    },
  }
}

/** Reads the whole output of iputils' ping, ended by SIGINT. */
export function countLosses(output: string): { sent: number; lost: number } {
  const answered = new Set(
    Array.from(output.matchAll(/icmp_seq=(\d+) ttl=/g), ([, n]) => Number(n)),
  )
  const { sent } = parsePing(output, 0)
  const last = answered.has(sent) ? sent : sent - 1
  return { sent: last, lost: last - answered.size }
}
