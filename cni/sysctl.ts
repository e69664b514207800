import { readFileSync, writeFileSync } from '#fs'

/** Kernel settings of the network namespace the thread is in. `key` is the path below /proc/sys/net. */
export interface Sysctl {
  read(key: string): string
  write(key: string, value: string): void
}

/** The real ones. Both throw node:fs errors. */
export const procSysctl: Sysctl = {
  read: (key) => readFileSync(`/proc/sys/net/${key}`, 'utf8').trimEnd(),
  write: (key, value) => writeFileSync(`/proc/sys/net/${key}`, value),
}

/** Writes a setting of a fresh link, unless it cannot be written and has the value already. */
export function setLinkSysctl(sysctl: Sysctl, key: string, value: string): void {
  try {
    sysctl.write(key, value)
  } catch (error) {
    if (readOrNothing(sysctl, key) !== value) throw error
  }
}

/** As `setLinkSysctl`, for one that a kernel may lack (no IPv6, an older version). */
export function trySysctl(sysctl: Sysctl, key: string, value: string): void {
  try {
    sysctl.write(key, value)
  } catch {
    // A kernel without the setting does not need it, and the reference plugins go on as well.
  }
}

/** Writes a setting of the whole namespace only when it has another value: others watch those. */
export function ensureSysctl(sysctl: Sysctl, key: string, value: string): void {
  if (readOrNothing(sysctl, key) !== value) sysctl.write(key, value)
}

function readOrNothing(sysctl: Sysctl, key: string): string | undefined {
  try {
    return sysctl.read(key)
  } catch {
    return undefined
  }
}
