import test from 'ava'
import { type Capture, capture } from '../../scripts/lab/capture.ts'
import { type Container, readLease } from '../../scripts/lab/heddle.ts'
import { addHost, type Host } from '../../scripts/lab/lab.ts'
import { ping } from '../../scripts/lab/ping.ts'
import { attemptAt } from '../../scripts/lab/place.ts'
import { networkConfig } from '../../scripts/lab/store.ts'
import { attachAll, hostsFor, labFor, nth, startCluster } from './support.ts'

const three = { count: 3, intervalMs: 200 }

interface Crossing {
  /** Frames that carry VXLAN, and those that carry echo requests or replies in the open. */
  readonly tunnelled: number
  readonly bare: number
}

/** How three pings and their answers cross the link of the host that sends them. */
async function crossing(from: Container, to: Container, family: 4 | 6): Promise<Crossing> {
  await using wire = await capture(from.host.lab, from.host.port)
  const address = to.addresses.find((a) => a.includes(':') === (family === 6)) ?? ''
  const { received } = await ping(from, address, three)
  if (received !== 3) throw new Error(`${from.name} does not reach ${to.name} at ${address}`)
  const addresses = `(${from.addresses.map((a) => `host ${a}`).join(' or ')})`
  return {
    tunnelled: await countFrames(wire, 'udp port 8472'),
    bare: await countFrames(wire, `(icmp or icmp6) and ${addresses}`),
  }
}

async function countFrames(wire: Capture, filter: string): Promise<number> {
  const lines = await wire.lines(filter)
  // The inner packet of a tunnelled one is printed on a line of its own, without a time.
  return lines.filter((line) => /^\d\d:\d\d:\d\d\./.test(line)).length
}

for (const [backend, ipv6] of [
  ['vxlan', false],
  ['vxlan', true],
  ['host-gw', false],
  ['host-gw', true],
] as const) {
  const how = backend === 'vxlan' ? 'in VXLAN on UDP port 8472' : 'with bare container addresses'
  test(`${backend}: packets of IPv${ipv6 ? 6 : 4} cross the switch ${how}`, async (t) => {
    const hosts = await hostsFor(t, { name: `wire-${backend}-${ipv6 ? 6 : 4}`, count: 2 })
    const config = networkConfig({ Type: backend }, { ipv6 })
    await startCluster(t, hosts, { store: 'sqlite', config })
    const containers = await attachAll(hosts, 1)
    const [from, to] = [nth(containers, 0), nth(containers, 1)]
    const { tunnelled, bare } = await crossing(from, to, ipv6 ? 6 : 4)
    // Six frames, three ways; neighbour discovery inside the tunnel may add some.
    t.true((backend === 'vxlan' ? tunnelled : bare) >= 6, `${tunnelled} tunnelled, ${bare} bare`)
    t.is(backend === 'vxlan' ? bare : tunnelled, 0)
  })
}

test('vxlan with DirectRouting: only packets for a host behind a router are tunnelled', async (t) => {
  const lab = await labFor(t, { name: 'direct', segments: 2 })
  const hosts: Host[] = [await addHost(lab, 1), await addHost(lab, 2), await addHost(lab, 3, 1)]
  const config = networkConfig({ Type: 'vxlan', DirectRouting: true })
  await startCluster(t, hosts, { store: 'sqlite', config })
  const containers = await attachAll(hosts, 1)
  const [one, near, far] = [nth(containers, 0), nth(containers, 1), nth(containers, 2)]
  t.deepEqual(await crossing(one, near, 4), { tunnelled: 0, bare: 6 })
  t.deepEqual(await crossing(one, far, 4), { tunnelled: 6, bare: 0 })
  t.deepEqual(await crossing(far, near, 4), { tunnelled: 6, bare: 0 })
})

/** Sends one IPv4 packet of exactly `bytes`, not to be fragmented; whether it was answered. */
async function answersWhole(from: Container, to: Container, bytes: number): Promise<boolean> {
  const payload = String(bytes - 28) // less the headers of IPv4 and ICMP
  const flags = ['-n', '-q', '-c', '1', '-W', '2', '-M', 'do', '-s', payload]
  const { code } = await attemptAt(from, ['ping', ...flags, nth(to.addresses, 0)])
  return code === 0
}

for (const [backend, mtu] of [
  ['vxlan', 1450],
  ['host-gw', 1500],
] as const) {
  test(`${backend}: a packet of exactly the MTU crosses whole, one byte more does not`, async (t) => {
    const hosts = await hostsFor(t, { name: `mtu-${backend}`, count: 2 })
    const config = networkConfig({ Type: backend })
    await startCluster(t, hosts, { store: 'sqlite', config })
    t.is(readLease(nth(hosts, 0)).mtu, mtu)
    const containers = await attachAll(hosts, 1)
    const [from, to] = [nth(containers, 0), nth(containers, 1)]
    await using wire = await capture(from.host.lab, from.host.port)
    t.true(await answersWhole(from, to, mtu))
    t.false(await answersWhole(from, to, mtu + 1))
    // On the wire it fills the underlay's MTU of 1500 to the byte: 14 more with the Ethernet header.
    t.true((await wire.lines('greater 1514')).length >= 2)
    t.deepEqual(await wire.lines('greater 1515'), [])
  })
}
