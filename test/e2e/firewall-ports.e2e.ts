import test, { type ExecutionContext } from 'ava'
import type { Host, Pod } from '../../scripts/lab/lab.ts'
import { type Place, runAt } from '../../scripts/lab/place.ts'
import type { PublishedText } from './firewall-probe.ts'
import { ask, askFrom, bridgeOn, nft, podAt, probe, serve, shell } from './firewall-support.ts'
import { hostsFor, nth } from './support.ts'

const near = ['10.88.0.0/16', '127.0.0.0/8', 'fd00:88::/64']

/** What is published of the container that `podAt` makes for this number. */
function attachment(number: number, ports: readonly string[]): PublishedText {
  const addresses = [`10.88.0.${number}`, `fd00:88::${number}`]
  return { network: 'brnet', id: `c${number}`, ports, addresses, near }
}

interface Stage {
  /** Has the bridge and the containers. */
  readonly host: Host
  /** Somebody else. */
  readonly outside: Host
  readonly web: Pod
  readonly neighbour: Pod
}

/** A host with two containers, of which one, `web`, serves port 80 by TCP and UDP. */
async function stageFor(t: ExecutionContext, name: string): Promise<Stage> {
  const hosts = await hostsFor(t, { name, count: 2 })
  const [host, outside] = [nth(hosts, 0), nth(hosts, 1)]
  await bridgeOn(host)
  const [web, neighbour] = [await podAt(host, 2), await podAt(host, 3)]
  await serve(t, web, { name: 'web', ports: [80] })
  return { host, outside, web, neighbour }
}

async function publish(place: Place, text: PublishedText): Promise<void> {
  const answer = await probe(place, 'publish', text)
  if (answer !== 'published') throw new Error(JSON.stringify(answer))
}

const protocols = ['tcp', 'udp'] as const
const [host4, host6] = ['10.100.0.1', 'fd00:100::1']

test('a published port is reached from everywhere, and strangers keep their address', async (t) => {
  const { host, outside, web, neighbour } = await stageFor(t, 'reach')
  const answers = async (from: Place, address: string) =>
    Promise.all(protocols.map((protocol) => ask(from, protocol, address, 8080)))
  const both = (source: string) => [`web sees ${source}`, `web sees ${source}`]
  t.deepEqual(await answers(outside, host4), ['refused', 'refused'], 'nothing is published yet')
  await publish(host, attachment(2, ['tcp:8080:80', 'udp:8080:80']))

  t.deepEqual(await answers(outside, host4), both('10.100.0.2'))
  t.deepEqual(await answers(outside, host6), both('fd00:100::2'))
  t.deepEqual(await answers(host, host4), both('10.100.0.1'))
  t.deepEqual(await answers(host, host6), both('fd00:100::1'))
  // Whoever answers such a packet without the host would answer it from an address nobody asked.
  for (const near of [web, neighbour]) {
    t.deepEqual(await answers(near, host4), both('10.88.0.1'), near.name)
    t.deepEqual(await answers(near, host6), both('fd00:88::1'), near.name)
    t.deepEqual(await answers(near, '10.88.0.1'), both('10.88.0.1'), near.name)
  }
  t.deepEqual(await answers(host, '127.0.0.1'), both('10.88.0.1'))
  t.deepEqual(await answers(host, '::1'), ['refused', 'refused'], 'not left hanging')
  t.deepEqual(
    await answers(neighbour, '10.88.0.2'),
    ['refused', 'refused'],
    'not a port of its own',
  )

  await probe(host, 'unpublish', attachment(2, ['tcp:8080:80', 'udp:8080:80']))
  for (const address of [host4, host6]) {
    t.deepEqual(await answers(outside, address), ['refused', 'refused'])
  }
  t.deepEqual(await answers(host, '127.0.0.1'), ['refused', 'refused'])
})

test('a port published on one address is no other address’s', async (t) => {
  const { host, outside } = await stageFor(t, 'address')
  await runAt(host, ['ip', 'addr', 'add', '10.100.0.77/24', 'dev', 'eth0'])
  const ports = ['tcp:8080:80:10.100.0.77', 'tcp:8081:80:127.0.0.1', 'tcp:8082:80:fd00:100::1']
  await publish(host, attachment(2, [...ports, 'tcp:8083:80:0.0.0.0', 'tcp:8084:80:::']))
  const reached = async (from: Place, address: string) => {
    const found: number[] = []
    for (const port of [8080, 8081, 8082, 8083, 8084]) {
      if ((await ask(from, 'tcp', address, port)).startsWith('web')) found.push(port)
    }
    return found
  }
  t.deepEqual(await reached(outside, '10.100.0.77'), [8080, 8083])
  t.deepEqual(await reached(outside, host4), [8083])
  t.deepEqual(await reached(outside, host6), [8082, 8084])
  t.deepEqual(await reached(host, '127.0.0.1'), [8081, 8083])
})

test('packets for others are nobody’s to take, whatever their port', async (t) => {
  const { host, outside, neighbour } = await stageFor(t, 'foreign')
  await serve(t, outside, { name: 'outside', ports: [8080] })
  await serve(t, neighbour, { name: 'neighbour', ports: [8080] })
  // The way back from outside, since nothing masquerades here.
  await runAt(outside, ['ip', 'route', 'add', '10.88.0.0/16', 'via', host4])
  await publish(host, attachment(2, ['tcp:8080:80', 'udp:8080:80']))
  for (const protocol of protocols) {
    t.is(await ask(neighbour, protocol, '10.100.0.2', 8080), 'outside sees 10.88.0.3')
    t.is(await ask(host, protocol, '10.100.0.2', 8080), 'outside sees 10.100.0.1')
    t.is(await ask(host, protocol, '10.88.0.3', 8080), 'neighbour sees 10.88.0.1')
    t.is(await ask(outside, protocol, '10.88.0.3', 8080), 'neighbour sees 10.100.0.2')
    t.is(await ask(outside, protocol, host4, 8080), 'web sees 10.100.0.2')
  }
})

test('what listens on the host’s 127.0.0.1 stays out of reach of containers', async (t) => {
  const { host, web, neighbour } = await stageFor(t, 'loopback')
  await serve(t, host, { name: 'private', address: '127.0.0.1', ports: [7000] })
  // A container that means it: its own loopback gives way to the host's.
  await shell(
    neighbour,
    `echo 1 >/proc/sys/net/ipv4/conf/eth0/route_localnet
     ip addr del 127.0.0.1/8 dev lo
     ip route del local 127.0.0.0/8 dev lo table local 2>/dev/null || true
     ip route add 127.0.0.1/32 via 10.88.0.1`,
  )
  t.is(
    await ask(neighbour, 'tcp', '127.0.0.1', 7000),
    'private sees 10.88.0.3',
    'the danger is real',
  )
  await publish(host, attachment(2, ['tcp:8080:80', 'udp:8080:80']))
  t.is(await ask(neighbour, 'tcp', '127.0.0.1', 7000), 'silence')
  t.is(await ask(neighbour, 'udp', '127.0.0.1', 7000), 'silence')
  t.is(await ask(neighbour, 'tcp', '127.0.0.1', 8080), 'silence')
  t.is(await ask(host, 'tcp', '127.0.0.1', 7000), 'private sees 127.0.0.1')
  t.is(await ask(host, 'tcp', '127.0.0.1', 8080), 'web sees 10.88.0.1')
  t.is(await ask(web, 'tcp', '10.88.0.1', 8080), 'web sees 10.88.0.1')
})

test('a UDP client that never closes its port follows the published one', async (t) => {
  const { host, outside, neighbour } = await stageFor(t, 'udp')
  await serve(t, neighbour, { name: 'second', ports: [80] })
  await serve(t, host, { name: 'host', ports: [5353] })
  const asked = () => askFrom(outside, 40_000, host4, 5353)
  t.is(await asked(), 'host sees 10.100.0.2')
  await publish(host, attachment(2, ['udp:5353:80']))
  t.is(await asked(), 'web sees 10.100.0.2')
  await probe(host, 'unpublish', attachment(2, ['udp:5353:80']))
  t.is(await asked(), 'host sees 10.100.0.2')
  await publish(host, attachment(3, ['udp:5353:80']))
  t.is(await asked(), 'second sees 10.100.0.2')
  await probe(host, 'unpublishByTag', attachment(3, []))
  t.is(await asked(), 'host sees 10.100.0.2')
  // And when the firewall was emptied behind its back.
  await publish(host, attachment(2, ['udp:5353:80']))
  await nft(host, 'flush', 'ruleset')
  t.is(await askFrom(outside, 40_001, host4, 5353), 'host sees 10.100.0.2')
  t.is(await probe(host, 'sync', [attachment(2, ['udp:5353:80'])]), 'written')
  t.is(await askFrom(outside, 40_001, host4, 5353), 'web sees 10.100.0.2')
})

test('rules that others have at dstnat come first', async (t) => {
  const { host, outside, neighbour } = await stageFor(t, 'order')
  await serve(t, neighbour, { name: 'service', ports: [80] })
  await publish(host, attachment(2, ['tcp:8080:80', 'tcp:8081:80']))
  await shell(
    host,
    `/usr/sbin/nft -f - <<END
table ip other {
  chain prerouting { type nat hook prerouting priority dstnat; tcp dport 8080 dnat to 10.88.0.3:80; }
}
END`,
  )
  t.is(await ask(outside, 'tcp', host4, 8080), 'service sees 10.100.0.2')
  t.is(await ask(outside, 'tcp', host4, 8081), 'web sees 10.100.0.2')
})

test('a FORWARD chain that drops lets the bridge through once it is accepted there', async (t) => {
  const { host, outside } = await stageFor(t, 'forward')
  await publish(host, attachment(2, ['tcp:8080:80']))
  t.is(await probe(host, 'accept', 'br0'), 'absent')
  await shell(host, 'iptables -P FORWARD DROP; ip6tables -P FORWARD DROP')
  for (const address of [host4, host6]) t.is(await ask(outside, 'tcp', address, 8080), 'silence')
  t.is(await probe(host, 'accept', 'br0'), 'written')
  t.is(await ask(outside, 'tcp', host4, 8080), 'web sees 10.100.0.2')
  t.is(await ask(outside, 'tcp', host6, 8080), 'web sees fd00:100::2')
})
