import { readFileSync, writeFileSync } from 'node:fs'
import { type ByFamily, familiesOf } from '../ip/by-family.ts'
import type { Logger } from '../log/logger.ts'
import type { Uplink } from './backend/backend.ts'

/** Sets a kernel parameter if it is not set so; a sentence when it cannot be. */
function set(key: string, value: string): string | undefined {
  const path = `/proc/sys/${key}`
  try {
    if (readFileSync(path, 'utf8').trim() === value) return undefined
    writeFileSync(path, value)
    return undefined
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return `cannot set ${key.replaceAll('/', '.')} to ${value}: ${reason}`
  }
}

function get(key: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${key}`, 'utf8').trim()
  } catch {
    return undefined
  }
}

/**
 * Lets this host forward packets between containers and other hosts. Sentences for what could not
 * be set: containers do not reach other hosts then.
 */
export function enableForwarding(uplinks: ByFamily<Uplink>, log: Logger): string[] {
  const problems: (string | undefined)[] = []
  for (const family of familiesOf(uplinks)) {
    if (family === 4) {
      problems.push(set('net/ipv4/ip_forward', '1'))
      continue
    }
    if (get('net/ipv6/conf/all/forwarding') === '1') continue
    // A forwarding host stops taking router advertisements, unless told to go on (2).
    const uplink = uplinks[6]?.name ?? ''
    const acceptRa = `net/ipv6/conf/${uplink}/accept_ra`
    if (get(acceptRa) === '1') {
      log.info('router advertisements stay accepted', { interface: uplink })
      problems.push(set(acceptRa, '2'))
    }
    problems.push(set('net/ipv6/conf/all/forwarding', '1'))
  }
  return problems.filter((problem) => problem !== undefined)
}

/** A tunnel device takes no router's word; where IPv6 is off there is nothing to set. */
export function ignoreRouterAdvertisements(device: string): string | undefined {
  const key = `net/ipv6/conf/${device}/accept_ra`
  return get(key) === undefined ? undefined : set(key, '0')
}
