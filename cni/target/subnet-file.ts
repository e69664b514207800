import { readFileSync } from '#fs'
import { parseSubnetEnv, type SubnetEnv } from '../../conf/subnet-env.ts'
import { parseSubnetStatus, type SubnetStatus, subnetStatusPath } from '../../conf/subnet-status.ts'
import type { CniDeps } from '../call.ts'
import { readIfThere } from '../files.ts'
import { CniError, errorCodes } from '../protocol/error.ts'

/** Flannel's. */
export const defaultSubnetFile = '/run/flannel/subnet.env'

/** How long ADD waits for a daemon that starts at the same time. */
const patienceMs = 2000
const pauseMs = 25

/**
 * Reads the subnet file, waiting a moment for one that is not there yet.
 * @throws CniError 11 when it stays away or its lease is over; SubnetEnvError when it is broken.
 */
export function waitForSubnet(path: string, deps: CniDeps): SubnetEnv {
  for (let waitedMs = 0; ; waitedMs += pauseMs) {
    const env = readSubnet(path)
    if (env) {
      refuseLostLease(path)
      return env
    }
    if (waitedMs >= patienceMs) throw missingSubnet(path)
    deps.sleep(pauseMs)
  }
}

/** The subnet file, or undefined when there is none. @throws SubnetEnvError when it is broken. */
export function readSubnet(path: string): SubnetEnv | undefined {
  const text = readIfThere(path)
  return text === undefined ? undefined : parseSubnetEnv(text, path)
}

/** What the daemon says beside the subnet file; undefined under a daemon that says nothing. */
export function readStatus(subnetFile: string): SubnetStatus | undefined {
  const text = readIfThere(subnetStatusPath(subnetFile))
  return text === undefined ? undefined : parseSubnetStatus(text)
}

/** The text is what operators of flannel look for; the daemon's own words follow it. */
export function missingSubnet(path: string): CniError {
  const missing = `failed to load flannel 'subnet.env' file: open ${path}: no such file or directory.`
  const why = readStatus(path)?.error
  const advice = why ? {} : { details: 'is the lease daemon (heddled or flanneld) running?' }
  return new CniError(errorCodes.tryAgain, why ? `${missing} ${why}` : missing, advice)
}

/** @throws CniError 11 when this host no longer holds its subnet: another host may have it now. */
function refuseLostLease(path: string): void {
  const status = readStatus(path)
  if (!status || !isOver(status)) return
  const why = status.error ? `: ${status.error}` : ''
  throw new CniError(errorCodes.tryAgain, `the lease of the subnet in ${path} is over${why}`)
}

/** Whether the lease's time has passed on the host's boot clock. */
export function isOver({ held }: SubnetStatus): boolean {
  if (!held) return false
  if (readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim() !== held.bootId) return false
  const [uptimeSeconds = '0'] = readFileSync('/proc/uptime', 'utf8').split(' ')
  return Number(uptimeSeconds) * 1000 > held.expires
}
