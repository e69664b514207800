import { readFileSync } from 'node:fs'

/**
 * One moment on both clocks, in ms: `boot` since the host's boot, running on while it sleeps and
 * never set, for all we time; `wall` since the epoch, for what others tell us and what is kept
 * across boots.
 */
export interface Instant {
  readonly boot: number
  readonly wall: number
}

/** Tells the time; tests give one they move by hand. */
export type Clock = () => Instant

/** The host's clocks. CLOCK_BOOTTIME has no call in Node; `/proc/uptime` shows it to 10 ms. */
export function hostClock(): Instant {
  const uptime = readFileSync('/proc/uptime', 'utf8')
  return { boot: Math.round(Number.parseFloat(uptime) * 1000), wall: Date.now() }
}

/** Names this boot of the host; times on the boot clock hold within it only. */
export function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}
