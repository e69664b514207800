import { readFileSync } from 'node:fs'
import type { Host } from '../lab/lab.ts'
import { startAt } from '../lab/place.ts'
import { until } from '../lab/run.ts'

/** Linux' USER_HZ: /proc counts in hundredths of a second. */
const TICK_MS = 10

/** Processor time a process has used so far, its threads included, in ms. */
export function processorMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  // utime and stime are fields 14 and 15 of proc(5); the state is field 3.
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS
}

/** Resident memory in MB. */
export interface Memory {
  readonly now: number
  readonly peak: number
  /** Of it what is not the executable's or a library's file. */
  readonly own: number
}

export function memoryOf(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024
  return { now: field('VmRSS'), peak: field('VmHWM'), own: field('RssAnon') }
}

/**
 * Waits until a process has nothing to do: for `seconds` it uses no more than 2% of a processor in
 * any of them.
 */
export async function untilIdle(pid: number, seconds = 2): Promise<void> {
  let before = Number.NEGATIVE_INFINITY
  let idle = 0
  const isIdle = (): boolean => {
    const now = processorMs(pid)
    idle = now - before <= 20 ? idle + 1 : 0
    before = now
    return idle >= seconds
  }
  await until(`process ${pid} to be idle`, isIdle, { timeoutMs: 120_000, everyMs: 1_000 })
}

/** The netlink messages that a process sent. */
export interface Sent {
  readonly messages: number
  readonly dumps: number
}

/** Counts with strace what a process of this host sends to the kernel while `body` runs. */
export async function countSent(host: Host, pid: number, body: () => Promise<void>): Promise<Sent> {
  const stamp = process.hrtime.bigint()
  const out = `${host.lab.directory}/${host.name}/strace-${stamp}`
  const flags = ['-f', '-e', 'trace=sendto,sendmsg,sendmmsg', '-e', 'abbrev=none', '-s', '65536']
  const strace = startAt(host, ['strace', ...flags, '-o', out, '-p', `${pid}`], {
    logFile: `${out}.log`,
  })
  const isAttached = (): boolean => strace.log().includes('attached') || !strace.running()
  await until('strace to be attached', isAttached, { timeoutMs: 10_000 })
  if (!strace.running()) throw new Error(`strace does not run: ${strace.log()}`)
  try {
    await body()
  } finally {
    await strace.stop('SIGINT')
  }
  const text = readFileSync(out, 'utf8')
  return {
    messages: text.match(/nlmsg_type=/g)?.length ?? 0,
    dumps: text.match(/nlmsg_flags=[A-Z_|]*NLM_F_DUMP\b/g)?.length ?? 0,
  }
}
