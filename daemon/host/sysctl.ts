import { readFileSync, writeFileSync } from 'node:fs'
import type { Family } from '../../ip/address.ts'
import { type ByFamily, familiesOf } from '../../ip/by-family.ts'
import type { Logger } from '../../log/logger.ts'
import type { Uplink } from '../backend/backend.ts'

/** A kernel parameter by its path below /proc/sys, and what goes wrong while it is something else. */
interface Need {
  readonly key: string
  readonly value: string
  readonly without: string
}

/** Sets a kernel parameter if it is not set so; when it cannot be, what to do about it. */
function ensure({ key, value, without }: Need, log?: Logger): string | undefined {
  const found = get(key)
  if (found === value) return undefined
  try {
    writeFileSync(`/proc/sys/${key}`, value)
    log?.info('kernel setting made', { key: sysctlName(key), value, was: found })
    return undefined
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    const name = sysctlName(key)
    return (
      `${name} is ${found ?? 'not there'} and cannot be set to ${value} (${reason}): ${without}. ` +
      `Set it on the host: sysctl -w ${name}=${value}, and in /etc/sysctl.d for the next boot`
    )
  }
}

function get(key: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${key}`, 'utf8').trim()
  } catch {
    return undefined
  }
}

/** The name that sysctl(8) takes: dots and slashes change places, as interfaces have dots in theirs. */
export function sysctlName(key: string): string {
  return key.replaceAll(/[./]/g, (sign) => (sign === '.' ? '/' : '.'))
}

/**
 * Lets this host forward packets between containers and other hosts. Sentences for what could not
 * be set, or stands in the way and is not ours to set.
 */
export function enableForwarding(uplinks: ByFamily<Uplink>, log: Logger): string[] {
  const problems: (string | undefined)[] = []
  for (const family of familiesOf(uplinks)) {
    const without = `containers do not reach other hosts over IPv${family}`
    if (family === 4) {
      problems.push(ensure({ key: 'net/ipv4/ip_forward', value: '1', without }, log))
      problems.push(strictUplink(uplinks[4]?.name ?? ''))
      continue
    }
    if (get('net/ipv6/conf/all/forwarding') === '1') continue
    for (const name of new Set([uplinks[6]?.name ?? '', ...routerInterfaces()])) {
      problems.push(keepRouters(name, log))
    }
    problems.push(ensure({ key: 'net/ipv6/conf/all/forwarding', value: '1', without }, log))
  }
  return problems.filter((problem) => problem !== undefined)
}

/** A forwarding host stops taking router advertisements, and loses its default route, unless told to go on (2). */
function keepRouters(name: string, log: Logger): string | undefined {
  const key = `net/ipv6/conf/${name}/accept_ra`
  if (get(key) !== '1') return undefined
  return ensure(
    { key, value: '2', without: `${name} loses the routes that routers advertise` },
    log,
  )
}

const RTF_DEFAULT = 0x10000

/** The interfaces on which a router advertised itself to this host (net/ipv6/route.c, ipv6_route). */
function routerInterfaces(): string[] {
  return table('/proc/net/ipv6_route').flatMap((words) => {
    const flags = Number.parseInt(words[8] ?? '', 16)
    return (flags & RTF_DEFAULT) === 0 ? [] : (words[9] ?? [])
  })
}

/** Where packets from beyond an interface's own network would be taken for forged ones. */
function strictUplink(name: string): string | undefined {
  if (!isStrict(name)) return undefined
  const routes = table('/proc/net/route')
  const defaults = routes.flatMap(([device = '', to, , , , , , mask]) =>
    to === '00000000' && mask === '00000000' ? device : [],
  )
  if (defaults.length === 0 || defaults.includes(name)) return undefined
  const key = sysctlName(`net/ipv4/conf/${name}/rp_filter`)
  return (
    `the reverse path filter of ${name} is strict and the default route leaves by ${defaults[0]}: ` +
    `packets from hosts beyond the network of ${name} are dropped. Set it to loose: sysctl -w ${key}=2`
  )
}

/** The stricter of the setting for all interfaces and the one's own holds; 2 is loose (ip-sysctl.rst). */
function isStrict(name: string): boolean {
  const values = ['all', name].map((one) => Number(get(`net/ipv4/conf/${one}/rp_filter`) ?? 0))
  return Math.max(...values) === 1
}

function table(path: string): string[][] {
  try {
    const lines = readFileSync(path, 'utf8').trim().split('\n')
    return lines.map((line) => line.trim().split(/\s+/))
  } catch {
    // A kernel without that family.
    return []
  }
}

/**
 * Settings of a tunnel device of ours, just made and without addresses. It takes no router's word;
 * IPv6 is on, where that is what it carries, though the host has it off for new interfaces; and a
 * container's packet may come by it while this host's way
 * back is another, as when a peer turns to a direct route first. Sentences for what could not be set.
 */
export function prepareDevice(device: string, family: Family): string[] {
  const needs: Need[] = []
  const v6 = `net/ipv6/conf/${device}`
  if (family === 6) {
    needs.push({
      key: `${v6}/disable_ipv6`,
      value: '0',
      without: `${device} carries no IPv6`,
    })
  }
  if (get(`${v6}/accept_ra`) !== undefined) {
    needs.push({
      key: `${v6}/accept_ra`,
      value: '0',
      without: `containers elsewhere can advertise themselves as routers on ${device}`,
    })
  }
  if (isStrict(device)) {
    needs.push({
      key: `net/ipv4/conf/${device}/rp_filter`,
      value: '2',
      without: 'packets are dropped for a moment when a peer’s path changes',
    })
  }
  return needs.map((need) => ensure(need)).filter((problem) => problem !== undefined)
}
