/**
 * Drives netlink/ against the kernel of the namespace it is started in, and prints what it was
 * told. Runs under Bun, which the system calls need; netlink.e2e.ts looks at the same namespace with
 * iproute2. `netlink-probe.ts PEER-NETNS`.
 */
import { parseAddress } from '../../ip/address.ts'
import { type Mac, parseMac } from '../../ip/mac.ts'
import { parsePrefix } from '../../ip/prefix.ts'
import { addAddress, deleteAddress, listAddresses } from '../../netlink/address.ts'
import { Connection } from '../../netlink/connection.ts'
import { NetlinkError } from '../../netlink/errors.ts'
import { decodeEvents, groups, type KernelEvent } from '../../netlink/events.ts'
import {
  addLink,
  deleteLink,
  getLink,
  listLinks,
  setBridgePort,
  setLink,
} from '../../netlink/link.ts'
import {
  appendFdb,
  deleteFdb,
  listFdb,
  listNeighbours,
  replaceFdb,
  replaceNeighbour,
} from '../../netlink/neighbour.ts'
import {
  addRoute,
  appendRoute,
  deleteRoute,
  getRoute,
  listRoutes,
  type Route,
  replaceRoute,
} from '../../netlink/route.ts'
import { openNetlink } from '../../sys/netlink-socket.ts'
import { inNetns, openNetns } from '../../sys/netns.ts'

function known<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the probe has a mistake in one of its own addresses')
  return value
}
const address = (text: string) => known(parseAddress(text))
const prefix = (text: string) => known(parsePrefix(text))
const mac = (text: string): Mac => known(parseMac(text))

function errorOf(body: () => unknown): { code: string; message: string; extack?: string } | string {
  try {
    body()
    return 'no error'
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error
    const { code, message, extack } = error
    return { code, message, ...(extack !== undefined && { extack }) }
  }
}

/** Everything that the kernel has told so far; the socket's timeout ends it. */
function heard(): KernelEvent[] {
  const all: KernelEvent[] = []
  for (;;) {
    try {
      all.push(...decodeEvents(events.receive()))
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return all
      throw error
    }
  }
}

using events = openNetlink('route', { groups: Object.values(groups), timeoutMs: 200 })
using host = new Connection(openNetlink('route'))
using netns = openNetns(known(process.argv[2]))
using inside = new Connection(inNetns(netns, () => openNetlink('route')))

// A bridge, and a veth on it whose far end is born in the other namespace: one datagram.
host.execute(
  addLink({ kind: 'bridge', name: 'br0', mtu: 1400, mac: mac('0a:00:00:00:00:01'), up: true }),
)
const bridge = host.get(getLink({ name: 'br0' }))
const peer = { name: 'eth0', mtu: 1400, mac: mac('0a:00:00:00:00:02'), netnsFd: netns.fd }
const veth = { kind: 'veth', name: 'veth0', mtu: 1400, up: true, master: bridge.index } as const
const [vethAdded, portSet, vethGot] = host.exchange([
  addLink({ ...veth, peer }),
  setBridgePort({ name: 'veth0', hairpin: true, isolated: true }),
  getLink({ name: 'veth0' }),
])
if (vethAdded.error) throw vethAdded.error
const eth0 = inside.get(getLink({ name: 'eth0' }))

// Addresses, and routes of protocol 104.
const bridgeErrors = host.batch([
  addAddress({ index: bridge.index, prefix: prefix('10.1.0.1/24') }),
  addAddress({ index: bridge.index, prefix: prefix('fd00:1::1/64'), noDad: true }),
  addAddress({ index: bridge.index, prefix: prefix('10.1.0.9/24') }),
  deleteAddress({ index: bridge.index, prefix: prefix('10.1.0.9/24') }),
])
const insideErrors = inside.batch([
  setLink({ index: eth0.index, up: true }),
  addAddress({ index: eth0.index, prefix: prefix('10.1.0.2/24') }),
  addAddress({ index: eth0.index, prefix: prefix('fd00:1::2/64'), noDad: true }),
  addRoute({ destination: prefix('0.0.0.0/0'), gateway: address('10.1.0.1') }),
  addRoute({ destination: prefix('::/0'), gateway: address('fd00:1::1') }),
  appendRoute({ destination: prefix('10.9.0.0/16'), oif: eth0.index, mtu: 1300, advmss: 1200 }),
])

// Tunnels over both families, with what a lease puts on them.
const common = { kind: 'vxlan', link: bridge.index, port: 8472, learning: false, ttl: 0 } as const
host.execute(addLink({ ...common, name: 'vx4', id: 4, local: address('10.1.0.1'), gbp: true }))
host.execute(addLink({ ...common, name: 'vx6', id: 6, local: address('fd00:1::1'), udpCsum: true }))
const vx4 = host.get(getLink({ name: 'vx4' }))
const vx6 = host.get(getLink({ name: 'vx6' }))
const ours = { protocol: 104, onlink: true } as const
const lease4: Route = {
  ...ours,
  destination: prefix('10.244.7.0/24'),
  gateway: address('10.244.7.0'),
  oif: vx4.index,
}
const lease6: Route = {
  ...ours,
  destination: prefix('fd00:7::/64'),
  gateway: address('fd00:7::'),
  oif: vx6.index,
}
const macs = { one: mac('0e:00:00:00:00:07'), none: mac('00:00:00:00:00:00') }
const leaseErrors = host.batch([
  setLink({ index: vx4.index, up: true, addrGenMode: 1 }),
  setLink({ index: vx6.index, up: true, mtu: 1300 }),
  replaceNeighbour({ index: vx4.index, address: address('10.244.7.0'), mac: macs.one }),
  replaceFdb({ index: vx4.index, mac: macs.one, destination: address('10.1.0.3') }),
  replaceFdb({ index: vx4.index, mac: macs.one, destination: address('10.1.0.7') }),
  replaceRoute(lease4),
  replaceRoute(lease4),
  replaceNeighbour({ index: vx6.index, address: address('fd00:7::'), mac: macs.one }),
  replaceFdb({ index: vx6.index, mac: macs.one, destination: address('fd00:1::7') }),
  replaceRoute(lease6),
  appendFdb({ index: vx4.index, mac: macs.none, destination: address('10.1.0.8') }),
  appendFdb({ index: vx4.index, mac: macs.none, destination: address('10.1.0.9') }),
  deleteFdb({ index: vx4.index, mac: macs.none, destination: address('10.1.0.8') }),
  addRoute({ destination: prefix('10.99.0.0/16'), type: 'blackhole', protocol: 104, table: 1000 }),
  addRoute({ destination: prefix('10.98.0.0/16'), oif: bridge.index, priority: 7 }),
  deleteRoute({ destination: prefix('10.98.0.0/16') }),
])
const seen = heard().map(({ kind, gone }) => `${gone ? '-' : '+'}${kind}`)

const errors = {
  taken: errorOf(() => host.execute(addLink({ kind: 'bridge', name: 'br0' }))),
  missing: errorOf(() => host.get(getLink({ name: 'nosuch' }))),
  missingIndex: errorOf(() => host.execute(deleteLink({ index: 4711 }))),
  unreachable: errorOf(() =>
    host.execute(addRoute({ destination: prefix('10.97.0.0/16'), gateway: address('192.0.2.1') })),
  ),
  noRoute: errorOf(() => host.get(getRoute(address('192.0.2.1')))),
  addressTwice: errorOf(() =>
    host.execute(addAddress({ index: bridge.index, prefix: prefix('10.1.0.1/24') })),
  ),
  noAddress: errorOf(() =>
    host.execute(deleteAddress({ index: bridge.index, prefix: prefix('10.1.0.5/24') })),
  ),
}

const found = {
  veth0: vethGot.value,
  insideLinks: inside.dump(listLinks()),
  links: host.dump(listLinks()),
  ports: host.dump(listLinks({ master: bridge.index })).map(({ name }) => name),
  addresses: host.dump(listAddresses()),
  bridgeAddresses: host.dump(listAddresses({ index: bridge.index })).length,
  addresses6: inside.dump(listAddresses({ family: 6, index: eth0.index })),
  ours4: host.dump(listRoutes({ family: 4, protocol: 104 })),
  ours6: host.dump(listRoutes({ family: 6, protocol: 104 })),
  table1000: host.dump(listRoutes({ family: 4, table: 1000 })),
  noTable: ([4, 6] as const).flatMap((family) => host.dump(listRoutes({ family, table: 4711 }))),
  insideRoutes: inside.dump(listRoutes({ family: 4, table: 254, oif: eth0.index })),
  lookup: host.get(getRoute(address('10.244.7.9'))),
  neighbours4: host.dump(listNeighbours({ family: 4, index: vx4.index })),
  neighbours6: host.dump(listNeighbours({ family: 6, index: vx6.index })),
  fdb4: host.dump(listFdb({ index: vx4.index })),
  fdb6: host.dump(listFdb({ index: vx6.index })),
}
const failures = [
  vethAdded.error,
  portSet.error,
  ...bridgeErrors,
  ...insideErrors,
  ...leaseErrors,
].flatMap((error) => (error ? [error.message] : []))
const text = JSON.stringify({ failures, errors, found, seen }, (_, value: unknown) =>
  typeof value === 'bigint' ? { bigint: `${value}` } : value,
)
process.stdout.write(`${text}\n`)
