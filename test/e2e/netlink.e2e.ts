import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { execa } from 'execa'
import { formatAddress } from '../../ip/address.ts'
import type { InterfaceAddress } from '../../netlink/address.ts'
import type { Link } from '../../netlink/link.ts'
import type { FdbEntry, Neighbour } from '../../netlink/neighbour.ts'
import type { Route } from '../../netlink/route.ts'
import {
  type NameOf,
  type PrintedAddresses,
  type PrintedFdb,
  type PrintedLink,
  type PrintedNeighbour,
  type PrintedRoute,
  readAddresses,
  readFdb,
  readLink,
  readRoute,
  writeAddress,
  writeFdb,
  writeLink,
  writeNeighbour,
  writeRoute,
} from '../vectors/netlink/iproute2.ts'

const bun = join(import.meta.dirname, '../../node_modules/.bin/bun')

/** What netlink-probe.ts prints. */
interface Probe {
  readonly failures: readonly string[]
  readonly errors: Readonly<Record<string, { code: string; message: string }>>
  readonly seen: readonly string[]
  readonly found: {
    readonly links: readonly Link[]
    readonly ports: readonly string[]
    readonly veth0: Link
    readonly insideLinks: readonly Link[]
    readonly addresses: readonly InterfaceAddress[]
    readonly bridgeAddresses: number
    readonly addresses6: readonly InterfaceAddress[]
    readonly ours4: readonly Route[]
    readonly ours6: readonly Route[]
    readonly table1000: readonly Route[]
    readonly noTable: readonly Route[]
    readonly insideRoutes: readonly Route[]
    readonly lookup: Route
    readonly neighbours4: readonly Neighbour[]
    readonly neighbours6: readonly Neighbour[]
    readonly fdb4: readonly FdbEntry[]
    readonly fdb6: readonly FdbEntry[]
  }
}

/** Makes a namespace for one test, gone after it whatever comes of it. */
async function namespaceFor(t: ExecutionContext, suffix: string): Promise<string> {
  const name = `heddle-nl-${process.pid}-${suffix}`
  await execa('ip', ['netns', 'add', name])
  t.teardown(() => execa('ip', ['netns', 'del', name], { reject: false }))
  return name
}

/** Runs one of the programs beside this file in a namespace, and reads the JSON that it prints. */
async function run(namespace: string, program: string, argument: string): Promise<unknown> {
  const script = join(import.meta.dirname, program)
  const inside = ['netns', 'exec', namespace, bun, 'run', script, argument]
  const { stdout } = await execa('ip', inside, { timeout: 60_000 })
  return JSON.parse(stdout, (_, value: unknown) => {
    const isBig = typeof value === 'object' && value !== null && 'bigint' in value
    return isBig ? BigInt(value.bigint as string) : value
  })
}

/** iproute2's own view of a namespace. */
async function look(namespace: string, command: string): Promise<unknown> {
  const [tool = '', ...args] = command.split(' ')
  const { stdout } = await execa(tool, ['-n', namespace, '-j', ...args])
  return stdout === '' ? [] : JSON.parse(stdout)
}

function nameIn(links: readonly Link[]): NameOf {
  return (index) => links.find((link) => link.index === index)?.name
}

test('netlink: what it writes and reads is what iproute2 sees in the same namespaces', async (t) => {
  const [host, peer] = [await namespaceFor(t, 'host'), await namespaceFor(t, 'peer')]
  const probe = (await run(host, 'netlink-probe.ts', `/run/netns/${peer}`)) as Probe
  const { found } = probe
  t.deepEqual(probe.failures, [])

  const nameOf = nameIn(found.links)
  const links = (await look(host, 'ip -d link')) as PrintedLink[]
  t.deepEqual(
    found.links.map((link) => writeLink(link, nameOf)),
    links.map(readLink),
  )
  const insideLinks = (await look(peer, 'ip -d link')) as PrintedLink[]
  t.deepEqual(
    found.insideLinks.map((link) => writeLink(link, () => undefined)),
    insideLinks.map(readLink),
  )
  t.deepEqual(found.ports, ['veth0'])
  t.like(found.veth0, { name: 'veth0', port: { hairpin: true, isolated: true } })

  const addresses = (await look(host, 'ip address')) as PrintedAddresses[]
  // The end of duplicate address detection may come between our look and theirs.
  const settled = (address: object) => ({ ...address, tentative: false })
  t.deepEqual(
    found.addresses
      .toSorted((a, b) => a.index - b.index)
      .map(writeAddress)
      .map(settled),
    addresses.flatMap(readAddresses).map(settled),
  )
  t.is(found.bridgeAddresses, 3, 'one IPv4, one IPv6, one link-local')
  t.deepEqual(found.addresses6.map(({ prefix }) => formatAddress(prefix.address)).toSorted(), [
    'fd00:1::2',
    'fe80::800:ff:fe00:2',
  ])

  for (const [routes, command] of [
    [found.ours4, 'ip -4 -d route show table all proto 104'],
    [found.ours6, 'ip -6 -d route show table all proto 104'],
    [found.table1000, 'ip -4 -d route show table 1000'],
  ] as const) {
    const printed = (await look(host, command)) as PrintedRoute[]
    compareRoutes(
      t,
      routes.map((route) => writeRoute(route, nameOf)),
      printed,
    )
  }
  t.deepEqual(found.noTable, [])
  const insideRoutes = (await look(peer, 'ip -4 -d route')) as PrintedRoute[]
  const insideNames = nameIn(found.insideLinks)
  const inside = found.insideRoutes.map((route) => writeRoute(route, insideNames))
  compareRoutes(t, inside, insideRoutes)
  t.like(writeRoute(found.lookup, nameOf), { dst: '10.244.7.9', gateway: '10.244.7.0', dev: 'vx4' })

  for (const [entries, command] of [
    [found.neighbours4, 'ip neighbour show dev vx4'],
    [found.neighbours6, 'ip -6 neighbour show dev vx6 nud permanent'],
  ] as const) {
    const printed = (await look(host, command)) as PrintedNeighbour[]
    const permanent = entries.filter((entry) => entry.permanent)
    t.deepEqual(
      permanent.map(writeNeighbour),
      printed.map(({ dst, lladdr }) => ({ dst, lladdr })),
    )
    t.is(permanent.length, 1)
  }
  for (const [entries, dev] of [
    [found.fdb4, 'vx4'],
    [found.fdb6, 'vx6'],
  ] as const) {
    const printed = (await look(host, `bridge fdb show dev ${dev}`)) as PrintedFdb[]
    t.deepEqual(
      entries.map((entry) => writeFdb(entry, nameOf)),
      printed.map((entry) => readFdb({ ...entry, ifname: dev })),
    )
  }

  for (const event of ['+link', '+port', '+address', '-address', '+route', '+neighbour', '+fdb']) {
    t.true(probe.seen.includes(event), event)
  }
})

/** iproute2 leaves out what it was asked to show only: one table, one protocol. */
function compareRoutes(
  t: ExecutionContext,
  ours: readonly Readonly<Record<string, unknown>>[],
  printed: readonly PrintedRoute[],
): void {
  t.true(printed.length > 0)
  const theirs = printed.map((route, index) => {
    const { table, protocol } = { ...ours[index], ...route }
    return { ...readRoute(route), table, protocol }
  })
  t.deepEqual(ours, theirs)
}

test('netlink: what the kernel refuses has its errno and its words', async (t) => {
  const [host, peer] = [await namespaceFor(t, 'host'), await namespaceFor(t, 'peer')]
  const { errors } = (await run(host, 'netlink-probe.ts', `/run/netns/${peer}`)) as Probe
  t.like(errors, {
    taken: { code: 'EEXIST' },
    missing: { code: 'ENODEV', message: 'Cannot get link nosuch: no such device (ENODEV)' },
    missingIndex: { code: 'ENODEV' },
    unreachable: { code: 'ENETUNREACH', extack: 'Nexthop has invalid gateway' },
    noRoute: { code: 'ENETUNREACH' },
    addressTwice: { code: 'EEXIST' },
    noAddress: { code: 'EADDRNOTAVAIL' },
  })
})

test('netlink: the entries of two thousand leases go in and come back within seconds', async (t) => {
  const namespace = await namespaceFor(t, 'bulk')
  const result = (await run(namespace, 'netlink-bulk.ts', '2000')) as {
    errors: string[]
    entries: number
    writeMs: number
    readMs: number
  }
  t.deepEqual(result.errors, [])
  t.is(result.entries, 6000)
  // 10,000 leases take 1.4 s on an idle machine.
  t.true(result.writeMs < 5000, `${result.writeMs} ms`)
  t.true(result.readMs < 2000, `${result.readMs} ms`)
  const routes = (await look(namespace, 'ip route show proto 104')) as unknown[]
  t.is(routes.length, 2000)
})
