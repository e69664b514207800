import { readFileSync } from 'node:fs'

/**
 * The machine's clocks as every process on it sees them. `wallMs` may jump; `bootMs` (milliseconds
 * since boot, time asleep included) only runs forward but begins anew with every boot.
 */
export interface MachineClock {
  readonly bootId: string
  wallMs(): number
  bootMs(): number
}

/** Reads Linux: proc(5) `uptime` (10 ms steps) and `random/boot_id`. */
export function machineClock(): MachineClock {
  return {
    bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    wallMs: Date.now,
    // Not os.uptime(): Bun gives whole seconds.
    bootMs: () => Number.parseFloat(readFileSync('/proc/uptime', 'utf8')) * 1000,
  }
}
