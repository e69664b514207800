import { BlockList, isIPv4 } from 'node:net'
import test from 'ava'
import fc from 'fast-check'
import { ConfigError, DecodeError } from '../../conf/errors.ts'
import {
  formatLeaseKey,
  formatLeaseValue,
  parseLeaseKey,
  parseLeaseValue,
} from '../../conf/lease.ts'
import { parseNetworkConfig } from '../../conf/network-config.ts'
import type { Backend, FindPath, Uplink } from '../../daemon/backend/backend.ts'
import { createBackend } from '../../daemon/backend/create-backend.ts'
import { type Entry, renderEntry } from '../../daemon/backend/kernel-state.ts'
import { planPeer } from '../../daemon/backend/plan-peer.ts'
import { readConfig } from '../../daemon/config/network-config.ts'
import { readLease } from '../../daemon/lease/lease.ts'
import { pickSubnet } from '../../daemon/lease/pick-subnet.ts'
import { type Address, formatAddress, parseAddress } from '../../ip/address.ts'
import { valuesOf } from '../../ip/by-family.ts'
import { type Mac, parseMac } from '../../ip/mac.ts'
import { lastAddress, type Prefix, parsePrefix, prefixCovers } from '../../ip/prefix.ts'
import { leaseKey, leaseValue, networkConfigText } from '../fuzz/lease-values.ts'
import { seed } from '../fuzz/seed.ts'

const numRuns = Number(process.env['HEDDLE_FUZZ_RUNS'] ?? 20_000)

/** The value, or undefined where the text was refused in one of the ways that callers know. */
function unlessRefused<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof DecodeError || error instanceof ConfigError) {
      // Anybody's text may be in it, and it goes to terminals.
      if (!/^\P{Cc}{1,1001}$/u.test(error.message))
        throw new Error('not for people', { cause: error })
      return undefined
    }
    throw error
  }
}

function ip(text: string): Address {
  const value = parseAddress(text)
  if (!value) throw new Error(text)
  return value
}

function prefix(text: string): Prefix {
  const value = parsePrefix(text)
  if (!value) throw new Error(text)
  return value
}

function mac(text: string): Mac {
  const value = parseMac(text)
  if (!value) throw new Error(text)
  return value
}

const own = { 4: prefix('10.5.1.0/24'), 6: prefix('fc00:0:0:1::/64') }
const networks = { 4: prefix('10.5.0.0/16'), 6: prefix('fc00::/48') }
const uplinks: { 4: Uplink; 6: Uplink } = {
  4: { index: 2, name: 'eth0', mtu: 1500, address: ip('192.168.0.1'), publicIP: ip('192.168.0.9') },
  6: { index: 2, name: 'eth0', mtu: 1500, address: ip('fd00::1'), publicIP: ip('fd00::1') },
}
const macs: Readonly<Record<string, Mac>> = {
  'flannel.1': mac('02:00:00:00:00:01'),
  'flannel-v6.1': mac('02:00:00:00:06:01'),
}

function vxlan(options: Readonly<Record<string, unknown>> = {}): Backend {
  const macFor = (device: string): Mac => macs[device] ?? mac('02:00:00:00:00:02')
  return createBackend({ config: { type: 'vxlan', options }, uplinks, macFor })
}

/** Node's own reading of addresses. One list for each family: it takes IPv4 for mapped IPv6. */
function listOf(family: 'ipv4' | 'ipv6', nets: readonly string[]): BlockList {
  const list = new BlockList()
  for (const net of nets) {
    const [address = '', length = ''] = net.split('/')
    list.addSubnet(address, Number(length), family)
  }
  return list
}

/** Where no packet for another host may be sent. */
const forbidden = {
  4: listOf('ipv4', [
    '0.0.0.0/8',
    '127.0.0.0/8',
    '224.0.0.0/4',
    '255.255.255.255/32',
    '10.5.0.0/16',
    '192.168.0.1/32',
    '192.168.0.9/32',
  ]),
  6: listOf('ipv6', [
    '::/127',
    'ff00::/8',
    'fe80::/10',
    '::ffff:0:0/96',
    'fc00::/48',
    'fd00::1/128',
  ]),
}
/** Where this network's routes may lead, and this host's own subnets, which they must not. */
const inside = { 4: listOf('ipv4', ['10.5.0.0/16']), 6: listOf('ipv6', ['fc00::/48']) }
const ours = { 4: listOf('ipv4', ['10.5.1.0/24']), 6: listOf('ipv6', ['fc00:0:0:1::/64']) }

function has(lists: { 4: BlockList; 6: BlockList }, address: string): boolean {
  return isIPv4(address) ? lists[4].check(address, 'ipv4') : lists[6].check(address, 'ipv6')
}

/** What is dangerous about an entry, read from its text as iproute2 would take it. */
function dangerOf(entry: Entry): string | undefined {
  const text = renderEntry(entry)
  const words = text.split(' ')
  const after = (word: string): string => words[words.indexOf(word) + 1] ?? ''
  const device = after('dev')
  const isTunnel = Object.hasOwn(macs, device)
  if (!isTunnel && device !== 'eth0') return `another device: ${text}`
  switch (entry.kind) {
    case 'address':
      return `an address of our own: ${text}`
    case 'route':
      if (!isTunnel && has(forbidden, after('via'))) return `no gateway: ${text}`
      return isSafeRoute(words[1] ?? '') ? undefined : `no route for a peer: ${text}`
    case 'fdb':
      if (has(forbidden, after('dst'))) return `no peer’s address: ${text}`
      return isStation(entry.mac, device) ? undefined : `no peer’s MAC: ${text}`
    case 'neighbour':
      return isStation(entry.mac, device) ? undefined : `no peer’s MAC: ${text}`
  }
}

function isSafeRoute(text: string): boolean {
  const destination = prefix(text)
  const ends = [destination.address, lastAddress(destination)].map(formatAddress)
  const isAround = prefixCovers(destination, own[4]) || prefixCovers(destination, own[6])
  return ends.every((end) => has(inside, end) && !has(ours, end)) && !isAround
}

/** One station’s MAC, and not this host’s. */
function isStation(lladdr: string, device: string): boolean {
  const isGroup = (Number.parseInt(lladdr.slice(0, 2), 16) & 1) === 1
  return !isGroup && !/^[0:]+$/.test(lladdr) && lladdr !== macs[device]
}

const noPath: FindPath = () => undefined
const onLink: FindPath = () => ({ device: 'eth0', onLink: true })

test('no lease makes the daemon want anything but paths to other hosts inside the network', (t) => {
  let planned = 0
  let reasons = 0
  const backends = [vxlan(), vxlan({ directrouting: true })]
  const check = (key: string, value: string): void => {
    const entry = { key: `/p/subnets/${key}`, value, revision: 1, leased: true }
    const lease = unlessRefused(() => readLease(entry, '/p/subnets/'))
    if (!lease) return
    for (const backend of backends) {
      for (const findPath of [noPath, onLink]) {
        const judge = { backend, networks, subnets: own, uplinks }
        const plan = planPeer(lease, judge, findPath)
        for (const one of plan.entries) {
          const danger = dangerOf(one)
          if (danger !== undefined) throw new Error(`${danger} from ${key} ${value}`)
        }
        if (plan.entries.length === 0 && plan.problem === undefined) throw new Error('no reason')
        if (plan.entries.length > 0) planned++
        else reasons++
      }
    }
  }
  t.notThrows(() =>
    fc.assert(fc.property(leaseKey, leaseValue, check), {
      numRuns,
      seed,
      includeErrorInReport: true,
    }),
  )
  // What is never planned cannot be dangerous.
  t.true(planned > numRuns / 10, `planned ${planned}, refused ${reasons}`)
})

test('a lease is read as it would be written, or refused by name', (t) => {
  let read = 0
  const check = (key: string, value: string): void => {
    const subnets = parseLeaseKey(key)
    if (subnets) {
      read++
      if (valuesOf(subnets).length === 0) throw new Error(`no subnet: ${key}`)
      const again = parseLeaseKey(formatLeaseKey(subnets))
      if (!again || formatLeaseKey(again) !== formatLeaseKey(subnets)) throw new Error(key)
    }
    const attrs = unlessRefused(() => parseLeaseValue(value))
    if (!attrs) return
    for (const text of [attrs.backendType, attrs.nodeId ?? '', attrs.challenge ?? '']) {
      if (!/^[ -~]*$/.test(text)) throw new Error(`not plain: ${value}`)
    }
    const written = formatLeaseValue(attrs)
    const once = formatLeaseValue(parseLeaseValue(written))
    if (once !== written) throw new Error(`${written} becomes ${once}`)
  }
  t.notThrows(() =>
    fc.assert(fc.property(leaseKey, leaseValue, check), {
      numRuns,
      seed,
      includeErrorInReport: true,
    }),
  )
  t.true(read > numRuns / 10, `${read} keys read`)
})

test('a configuration is refused by name, or holds what it promises', (t) => {
  let read = 0
  const check = (text: string): void => {
    const config = unlessRefused(() => parseNetworkConfig(text))
    if (!config) return
    read++
    for (const pool of valuesOf(config.pools)) {
      const picked = pickSubnet(pool, [], 'seed')
      if (!picked || !prefixCovers(pool.network, picked)) throw new Error(`no subnet: ${text}`)
      if (pool.min.value > pool.max.value || pool.network.length === 0) throw new Error(text)
    }
    const complete = unlessRefused(() => readConfig(text, { key: 'config', local: true }))
    if (!complete) return
    const macFor = (): Mac => mac('02:00:00:00:00:01')
    const backend = unlessRefused(() =>
      createBackend({ config: complete.backend, uplinks, macFor }),
    )
    if (backend?.devices.some(({ name }) => !/^flannel(?:-v6)?\.\d{1,8}$/.test(name))) {
      throw new Error(`a device of another name: ${text}`)
    }
  }
  t.notThrows(() =>
    fc.assert(fc.property(networkConfigText, check), { numRuns, seed, includeErrorInReport: true }),
  )
  t.true(read > numRuns / 10, `${read} read`)
})
