import test from 'ava'
import fc from 'fast-check'
import { attachMasquerade, detachMasquerade } from '../../firewall/masquerade.ts'
import { pluginTableSpec, syncPluginTable } from '../../firewall/plugin-table.ts'
import { holderOf, networkTag, PortTaken, portTag } from '../../firewall/port-owner.ts'
import {
  missingPublished,
  prunePublished,
  publishPorts,
  unpublishPorts,
} from '../../firewall/published.ts'
import { type Published, portPlaces } from '../../firewall/published-parts.ts'
import { FirewallVersionError } from '../../firewall/version.ts'
import { Connection } from '../../netlink/connection.ts'
import { renderTable } from '../../netlink/nftables/render.ts'
import { sameTable, type TableSpec } from '../../netlink/nftables/table-spec.ts'
import { addresses, prefixes } from '../vectors/nftables/samples.ts'
import { livingNftables } from './nftables-state.ts'

const web: Published = {
  network: 'brnet',
  owner: { containerId: 'c1', ifname: 'eth0' },
  mappings: [{ protocol: 'tcp', hostPort: 8080, containerPort: 80 }],
  addresses: addresses('10.88.0.5', 'fd00:88::5'),
  near: prefixes('10.88.0.1/16', '127.0.0.0/8', 'fd00:88::/64'),
}
const other: Published = {
  ...web,
  owner: { containerId: 'c2', ifname: 'eth0' },
  addresses: addresses('10.88.0.6'),
}
const on = (hostIp: string, published = other): Published => ({
  ...published,
  mappings: published.mappings.map((mapping) => ({ ...mapping, hostIp })),
})

test('publishPorts: is one transaction of elements once the table is there', (t) => {
  const kernel = livingNftables()
  const connection = new Connection(kernel)
  publishPorts(connection, web)
  t.deepEqual(
    kernel.transactions.map((names) => names[0]),
    ['newElement', 'newTable', 'newElement'],
  )
  publishPorts(connection, {
    ...other,
    mappings: [{ protocol: 'tcp', hostPort: 1, containerPort: 2 }],
  })
  t.deepEqual(kernel.transactions.slice(3), [['newElement', 'newElement']], 'a port and neighbours')
  publishPorts(connection, web)
  t.is(kernel.transactions.length, 4, 'again: nothing')
  t.is(kernel.conntrackDumps, 0, 'TCP connections end by themselves')
})

test('publishPorts: forgets what was tracked to ports of UDP and SCTP, in each family', (t) => {
  const kernel = livingNftables()
  const connection = new Connection(kernel)
  const mappings = (['tcp', 'udp', 'sctp'] as const).map((protocol) => ({
    protocol,
    hostPort: 53,
    containerPort: 53,
  }))
  publishPorts(connection, { ...web, mappings })
  t.is(kernel.conntrackDumps, 4)
  unpublishPorts(connection, { ...web, mappings })
  t.is(kernel.conntrackDumps, 8)
})

test('publishPorts: refuses a port that another owner has, in both directions of addresses', (t) => {
  const taken = (first: Published, second: Published) => {
    const kernel = livingNftables()
    const connection = new Connection(kernel)
    publishPorts(connection, first)
    const before = kernel.tables
    const error = t.throws(() => publishPorts(connection, second), { instanceOf: PortTaken })
    t.is(kernel.tables, before, 'nothing was published')
    return error
  }
  t.like(taken(web, other), {
    message: 'host port 8080/tcp is taken by container c1 (interface eth0 of network brnet)',
    protocol: 'tcp',
    port: 8080,
    hostIp: undefined,
    holder: { tag: 'brnet c1 eth0', network: 'brnet', containerId: 'c1', ifname: 'eth0' },
  })
  t.is(taken(web, on('192.0.2.1'))?.hostIp, '192.0.2.1')
  t.is(taken(on('192.0.2.1'), web)?.hostIp, '192.0.2.1')
  t.is(taken(on('192.0.2.1', web), on('192.0.2.1'))?.hostIp, '192.0.2.1')
  t.is(taken(on('0.0.0.0', web), other)?.hostIp, undefined)
})

test('publishPorts: other protocols, addresses and families do not clash', (t) => {
  const connection = new Connection(livingNftables())
  publishPorts(connection, on('192.0.2.1', web))
  publishPorts(connection, on('192.0.2.2'))
  publishPorts(connection, on('2001:db8::1', { ...web, owner: { containerId: 'c3', ifname: 'a' } }))
  const udp = {
    ...other,
    mappings: [{ protocol: 'udp', hostPort: 8080, containerPort: 80 } as const],
  }
  t.notThrows(() => publishPorts(connection, udp))
})

test('publishPorts: looks again when another transaction came between', (t) => {
  const kernel = livingNftables()
  const connection = new Connection(kernel)
  publishPorts(
    connection,
    on('192.0.2.1', {
      ...web,
      mappings: [{ ...web.mappings[0], protocol: 'udp', hostPort: 9, containerPort: 9 }],
    }),
  )
  // The other one comes just before ours is carried out.
  let isFirst = true
  kernel.interfere = () => {
    if (!isFirst) return
    isFirst = false
    publishPorts(new Connection(kernel), web)
  }
  t.throws(() => publishPorts(connection, on('192.0.2.1')), { instanceOf: PortTaken })
})

test('publishPorts: asks whether the holder lives, and takes over from the dead only', (t) => {
  const kernel = livingNftables()
  const connection = new Connection(kernel)
  publishPorts(connection, web)
  const asked: string[] = []
  publishPorts(connection, other, {
    isAlive: ({ tag }) => {
      asked.push(tag)
      return false
    },
  })
  t.deepEqual(asked, ['brnet c1 eth0'])
  t.is(missingPublished(connection, other), undefined)
  unpublishPorts(connection, web)
  t.is(
    missingPublished(connection, other),
    undefined,
    'a late DEL removes nothing of the new owner',
  )
})

test('publishPorts: two networks of a container may want its ports, of which the first has them', (t) => {
  const kernel = livingNftables()
  const connection = new Connection(kernel)
  const second = { ...other, network: 'second', owner: { ...web.owner, ifname: 'eth1' } }
  publishPorts(connection, web)
  publishPorts(connection, second, { isAlive: () => false })
  for (const one of [web, second]) t.is(missingPublished(connection, one), undefined)
  for (const published of [
    [web, second],
    [second, web],
  ]) {
    const state = { masqueraded: [], published }
    t.is(
      syncPluginTable(connection, () => state),
      'unchanged',
      'in any order',
    )
  }
  unpublishPorts(connection, second)
  t.is(missingPublished(connection, web), undefined)
  publishPorts(connection, second)
  unpublishPorts(connection, web)
  t.regex(missingPublished(connection, second) ?? '', /has no 8080\/tcp of second c1 eth1/)
  publishPorts(connection, second)
  t.is(missingPublished(connection, second), undefined)
})

test('publishPorts: a container whose address changed keeps its ports', (t) => {
  const connection = new Connection(livingNftables())
  publishPorts(connection, web)
  const moved = { ...web, addresses: addresses('10.88.0.7', 'fd00:88::7') }
  publishPorts(connection, moved)
  t.is(missingPublished(connection, moved), undefined)
})

test('publishPorts: refuses a table of a newer heddle', (t) => {
  const table = { ...pluginTableSpec({ masqueraded: [], published: [web] }), comment: 'heddle v=2' }
  t.throws(() => publishPorts(new Connection(livingNftables(table)), other), {
    instanceOf: FirewallVersionError,
  })
})

test('portPlaces: a mapping counts in the families that container and host address share', (t) => {
  const names = (published: Published) => portPlaces(published).map(({ set }) => set.set)
  t.deepEqual(names(web), ['ports4', 'ports6'])
  t.deepEqual(names(other), ['ports4'])
  t.deepEqual(names(on('0.0.0.0', web)), ['ports4'])
  t.deepEqual(names(on('::', web)), ['ports6'])
  t.deepEqual(names(on('192.0.2.1', web)), ['ports4-at'])
  t.deepEqual(names(on('2001:db8::1')), [])
  const [mapping] = web.mappings
  if (!mapping) return t.fail()
  const twice = { ...other, mappings: [mapping, { ...mapping, containerPort: 81 }] }
  t.deepEqual(portPlaces(twice).length, 1, 'the first one of a port')
})

test('near: an empty list translates nobody’s address, and everybody can be near', (t) => {
  const rendered = (near: Published['near']) =>
    renderTable(pluginTableSpec({ masqueraded: [], published: [{ ...web, near }] }))
  t.notRegex(rendered([]), /masquerade|jump near/)
  const everybody = rendered(prefixes('0.0.0.0/0', '::/0'))
  t.regex(everybody, /meta nfproto ipv4 masquerade/)
  t.regex(everybody, /meta nfproto ipv6 masquerade/)
})

test('holderOf: reads a tag back, and tells when it was cut', (t) => {
  t.like(holderOf('brnet c1 eth0'), { network: 'brnet', containerId: 'c1', ifname: 'eth0' })
  const long = portTag('brnet', { containerId: 'c'.repeat(200), ifname: 'eth0' })
  t.deepEqual(holderOf(long), { tag: long, network: '', containerId: '', ifname: '' })
  const longNetwork = portTag('n'.repeat(60), { containerId: 'c1', ifname: 'eth0' })
  t.is(holderOf(longNetwork).ifname, '', 'the network’s name is not whole')
  t.is(holderOf('').ifname, '')
})

const words = fc.stringMatching(/^[a-z][\w.-]{0,70}$/)

test('networkTag: begins the tags of its own network and of no other, however long', (t) => {
  fc.assert(
    fc.property(words, words, words, (network, stranger, containerId) => {
      const tag = portTag(network, { containerId, ifname: 'eth0' })
      t.true(tag.startsWith(networkTag(network)))
      t.true(tag.length <= 127)
      if (stranger !== network) t.false(tag.startsWith(networkTag(stranger)))
    }),
  )
})

/** Attachments of few containers, ports and addresses, so that they meet. */
const published = fc
  .record({
    network: fc.constantFrom('a', 'b'),
    id: fc.integer({ min: 2, max: 6 }),
    families: fc.constantFrom([4], [6], [4, 6]),
    near: fc.subarray(['10.0.0.0/8', '127.0.0.0/8', 'fd00::/8', '0.0.0.0/0', '::/0']),
    mappings: fc.array(
      fc.record(
        {
          protocol: fc.constantFrom('tcp', 'udp', 'sctp'),
          hostPort: fc.integer({ min: 1, max: 4 }),
          containerPort: fc.integer({ min: 1, max: 2 }),
          hostIp: fc.constantFrom('192.0.2.1', '2001:db8::1', '0.0.0.0', '::'),
        },
        { requiredKeys: ['protocol', 'hostPort', 'containerPort'] },
      ),
      { maxLength: 4 },
    ),
  })
  .map(({ network, id, families, near, mappings }): Published => {
    const texts = { 4: `10.0.0.${id}`, 6: `fd00::${id}` }
    return {
      network,
      owner: { containerId: `c${id}`, ifname: 'eth0' },
      mappings,
      addresses: addresses(...families.map((family) => texts[family === 4 ? 4 : 6])),
      near: prefixes(...near),
    }
  })

const masqueraded = published.map(({ near, ...rest }) => ({ ...rest, exempt: near }))

/** Publishes those that find their ports free; returns them. */
function publishAll(connection: Connection, wanted: readonly Published[]): Published[] {
  const owners = new Set<string>()
  return wanted.filter((one) => {
    const owner = one.owner.containerId
    if (owners.has(owner)) return false
    try {
      publishPorts(connection, one)
      owners.add(owner)
      return true
    } catch (error) {
      if (error instanceof PortTaken) return false
      throw error
    }
  })
}

test('syncPluginTable: of any attachments, once is enough', (t) => {
  fc.assert(
    fc.property(fc.array(published), fc.array(masqueraded), (published, masqueraded) => {
      const kernel = livingNftables()
      const connection = new Connection(kernel)
      const state = { published, masqueraded }
      const first = syncPluginTable(connection, () => state)
      const isNothing = pluginTableSpec(state).sets.length === 0
      t.is(first, isNothing ? 'unchanged' : 'written')
      t.is(
        syncPluginTable(connection, () => state),
        'unchanged',
      )
      t.true(isNothing || sameTable(kernel.tables[0] as TableSpec, pluginTableSpec(state)))
    }),
  )
})

test('syncPluginTable: has nothing to do after attaching one by one', (t) => {
  fc.assert(
    fc.property(fc.array(published, { maxLength: 5 }), (wanted) => {
      const kernel = livingNftables()
      const connection = new Connection(kernel)
      const published = publishAll(connection, wanted)
      const masqueraded = published.map(({ near, ...rest }) => ({ ...rest, exempt: near }))
      for (const one of masqueraded) attachMasquerade(connection, one)
      t.is(
        syncPluginTable(connection, () => ({ published, masqueraded })),
        'unchanged',
      )
      for (const one of published) t.is(missingPublished(connection, one), undefined)
      for (const one of masqueraded) detachMasquerade(connection, one)
      t.is(
        syncPluginTable(connection, () => ({ published, masqueraded: [] })),
        'unchanged',
      )
    }),
  )
})

test('publishPorts, then unpublishPorts: leaves the table as before, whoever is in it', (t) => {
  fc.assert(
    fc.property(
      fc.array(published, { maxLength: 4 }),
      published,
      fc.boolean(),
      (others, one, byTag) => {
        const kernel = livingNftables()
        const connection = new Connection(kernel)
        const owner = { containerId: 'mine', ifname: 'eth0' }
        const mine = { ...one, owner, addresses: addresses('10.0.0.99', 'fd00::99') }
        // Once before, for the parts that stay.
        publishPorts(connection, mine)
        unpublishPorts(connection, mine)
        publishAll(connection, others)
        const before = structuredClone(kernel.tables)
        publishAll(connection, [mine])
        const { network } = mine
        unpublishPorts(connection, byTag ? { network, owner } : mine)
        t.true(sameTables(kernel.tables, before))
      },
    ),
  )
})

function sameTables(a: readonly TableSpec[], b: readonly TableSpec[]): boolean {
  return a.length === b.length && a.every((table, index) => sameTable(table, b[index] ?? table))
}

test('publishPorts: no port ever has two owners on one address', (t) => {
  fc.assert(
    fc.property(fc.array(published, { maxLength: 6 }), (wanted) => {
      const winners = publishAll(new Connection(livingNftables()), wanted)
      const owners = new Map<string, string>()
      for (const one of winners) {
        const mine = new Set<string>()
        for (const { family, hostPort } of portPlaces(one)) {
          const places = hostPort.address ? ['one'] : ['one', 'others']
          for (const place of places)
            mine.add(`${family} ${hostPort.protocol} ${hostPort.port} ${place}`)
        }
        for (const place of mine) {
          t.false(owners.has(place), `${place}: ${owners.get(place)} and ${one.owner.containerId}`)
          owners.set(place, one.owner.containerId)
        }
      }
    }),
  )
})

test('prunePublished: leaves what is kept and what is another network’s', (t) => {
  fc.assert(
    fc.property(fc.array(published, { maxLength: 6 }), fc.array(fc.nat(6)), (wanted, ids) => {
      const connection = new Connection(livingNftables())
      const winners = publishAll(connection, wanted)
      const keep = ids.map((id) => ({ containerId: `c${id}`, ifname: 'eth0' }))
      const isKept = ({ network, owner }: Published) =>
        network !== 'a' || keep.some(({ containerId }) => containerId === owner.containerId)
      const gone = winners.filter((one) => !isKept(one)).flatMap(portPlaces).length
      t.is(prunePublished(connection, 'a', keep), gone)
      const left = { published: winners.filter(isKept), masqueraded: [] }
      t.is(
        syncPluginTable(connection, () => left),
        'unchanged',
      )
    }),
  )
})
