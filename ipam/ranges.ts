import { ConfigError } from '../conf/errors.ts'
import type { RangeConf } from '../conf/net-conf.ts'
import {
  type Address,
  addressBits,
  formatAddress,
  offsetAddress,
  parseAddress,
  sameAddress,
} from '../ip/address.ts'
import {
  firstAddress,
  formatPrefix,
  lastAddress,
  type Prefix,
  parsePrefix,
  prefixContains,
} from '../ip/prefix.ts'

/** Addresses `start` to `end`, both included, all inside `subnet`. */
export interface Range {
  readonly subnet: Prefix
  readonly start: Address
  readonly end: Address
  readonly gateway: Address
}

/** Ranges of one family that do not overlap; an ADD takes one address out of each set. */
export type RangeSet = readonly Range[]

/** A range set as configured; `path` is its key in the configuration. */
export interface RangeSetConf {
  readonly path: string
  readonly ranges: readonly RangeConf[]
}

/**
 * Fills in what a configured range set leaves open, as upstream does: gateway and start are the
 * subnet's second address, the end is its last one (the last before the broadcast address in IPv4).
 * `index` is the set's place among all sets of the plan.
 * @throws ConfigError `invalid range set <index>: ...`
 */
export function readRangeSet(conf: RangeSetConf, index: number): RangeSet {
  const refuse: Refuse = (key, text) => {
    throw new ConfigError(`${conf.path}${key}`, `invalid range set ${index}: ${text}`)
  }
  if (conf.ranges.length === 0) refuse('', 'empty range set')
  const set: Range[] = []
  for (const range of conf.ranges) {
    const at = set.length
    const read = readRange(range, (key, text) => refuse(`.${at}.${key}`, text))
    for (const other of set) {
      if (other.start.family !== read.start.family) refuse(`.${at}`, 'mixed address families')
    }
    set.push(read)
  }
  refuseOverlapIn(set, refuse)
  return set
}

type Refuse = (key: string, text: string) => never

function refuseOverlapIn(set: RangeSet, refuse: Refuse): void {
  for (let i = 0; i < set.length; i++) {
    for (let j = i + 1; j < set.length; j++) {
      const [a, b] = [set[i], set[j]]
      if (a && b && rangesOverlap(a, b)) {
        refuse('', `subnets ${formatRange(a)} and ${formatRange(b)} overlap`)
      }
    }
  }
}

function readRange(conf: RangeConf, refuse: Refuse): Range {
  const subnet = readSubnet(conf.subnet, refuse)
  const second = offsetAddress(subnet.address, 1)
  const gateway = readIn('gateway', conf.gateway, refuse) ?? second
  const start = readIn('rangeStart', conf.rangeStart, refuse) ?? second
  const end = readIn('rangeEnd', conf.rangeEnd, refuse)
  const outside = (what: string, address: Address) =>
    `${what} ${formatAddress(address)} not in network ${formatPrefix(subnet)}`
  if (!prefixContains(subnet, gateway)) refuse('gateway', outside('gateway', gateway))
  if (!prefixContains(subnet, start) || (conf.rangeStart && end && start.value > end.value)) {
    refuse('rangeStart', outside('RangeStart', start))
  }
  if (end && (!prefixContains(subnet, end) || end.value < start.value)) {
    refuse('rangeEnd', outside('RangeEnd', end))
  }
  return { subnet, gateway, start, end: end ?? defaultEnd(subnet) }
}

function readSubnet(text: string | undefined, refuse: Refuse): Prefix {
  if (text === undefined || text === '') return refuse('subnet', 'a range needs a subnet')
  const subnet = parsePrefix(text)
  if (!subnet) return refuse('subnet', `invalid CIDR address: ${text}`)
  if (isMapped(subnet.address)) refuse('subnet', 'IPNet IP and Mask version mismatch')
  if (subnet.length > addressBits(subnet.address.family) - 2) {
    refuse('subnet', `Network ${formatPrefix(subnet)} too small to allocate from`)
  }
  const first = firstAddress(subnet)
  if (!sameAddress(first, subnet.address)) {
    refuse(
      'subnet',
      `Network has host bits set. For a subnet mask of length ${subnet.length} the network address is ${formatAddress(first)}`,
    )
  }
  return subnet
}

function readIn(key: string, text: string | undefined, refuse: Refuse): Address | undefined {
  if (text === undefined || text === '') return undefined
  return parseIp(text) ?? refuse(key, `invalid IP address: ${text}`)
}

function defaultEnd(subnet: Prefix): Address {
  const last = lastAddress(subnet)
  return last.family === 4 ? offsetAddress(last, -1) : last
}

/** Reads an address as Go does, for which an IPv4-mapped IPv6 address is the IPv4 address. */
export function parseIp(text: string): Address | undefined {
  const address = parseAddress(text)
  if (!address || !isMapped(address)) return address
  return { family: 4, value: address.value & 0xffffffffn }
}

/** Whether this is an IPv4-mapped IPv6 address, ::ffff:0:0/96 (RFC 4291 section 2.5.5.2). */
function isMapped({ family, value }: Address): boolean {
  return family === 6 && value >> 32n === 0xffffn
}

/** @throws ConfigError `range set I overlaps with J` */
export function refuseOverlaps(sets: readonly RangeSet[]): void {
  for (let i = 0; i < sets.length; i++) {
    for (let j = i + 1; j < sets.length; j++) {
      if (setsOverlap(sets[i] ?? [], sets[j] ?? [])) {
        throw new ConfigError('ipam.ranges', `range set ${i} overlaps with ${j}`)
      }
    }
  }
}

function setsOverlap(a: RangeSet, b: RangeSet): boolean {
  for (const range of a) {
    for (const other of b) if (rangesOverlap(range, other)) return true
  }
  return false
}

export function rangesOverlap(a: Range, b: Range): boolean {
  return (
    a.start.family === b.start.family &&
    a.start.value <= b.end.value &&
    b.start.value <= a.end.value
  )
}

/** The range of the set that holds the address. */
export function rangeFor(set: RangeSet, address: Address): Range | undefined {
  for (const range of set) if (rangeContains(range, address)) return range
  return undefined
}

function rangeContains({ start, end }: Range, { family, value }: Address): boolean {
  return start.family === family && start.value <= value && value <= end.value
}

/** `START-END`, joined by commas for a set: the form of upstream's messages. */
export function formatRangeSet(set: RangeSet): string {
  return set.map(formatRange).join(',')
}

function formatRange({ start, end }: Range): string {
  return `${formatAddress(start)}-${formatAddress(end)}`
}
