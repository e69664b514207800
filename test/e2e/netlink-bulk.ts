/**
 * Puts the entries of many leases into the kernel of the namespace it is started in: a neighbour, a
 * forwarding entry and a route each, as `heddled` does. Prints how long that and reading it back
 * took. `netlink-bulk.ts LEASES`.
 */
import type { Address } from '../../ip/address.ts'
import { parseMac } from '../../ip/mac.ts'
import { addAddress } from '../../netlink/address.ts'
import { Connection } from '../../netlink/connection.ts'
import { addLink, getLink, setLink } from '../../netlink/link.ts'
import { listFdb, listNeighbours, replaceFdb, replaceNeighbour } from '../../netlink/neighbour.ts'
import { listRoutes, replaceRoute } from '../../netlink/route.ts'
import { openNetlink } from '../../sys/netlink-socket.ts'

const count = Number(process.argv[2])
using connection = new Connection(openNetlink('route'))
connection.execute(addLink({ kind: 'vxlan', name: 'vx', id: 1, port: 8472, learning: false }))
const { index } = connection.get(getLink({ name: 'vx' }))
// Without any IPv4 address a namespace has no local table, and every gateway is invalid.
connection.execute(addAddress({ index, prefix: { address: ipv4(0x0afffff0, 0), length: 32 } }))
connection.execute(setLink({ index, up: true }))

function ipv4(base: number, offset: number): Address {
  return { family: 4, value: BigInt(base + offset) }
}

const began = performance.now()
const requests = Array.from({ length: count }, (_, lease) => {
  const subnet = ipv4(0x0a000000, lease * 256)
  const mac = parseMac(`0e:00:00:00:${hex(lease >> 8)}:${hex(lease & 255)}`)
  if (!mac) throw new Error('no MAC address')
  return [
    replaceNeighbour({ index, address: subnet, mac }),
    replaceFdb({ index, mac, destination: ipv4(0xac100000, lease) }),
    replaceRoute({
      destination: { address: subnet, length: 24 },
      gateway: subnet,
      oif: index,
      onlink: true,
      protocol: 104,
    }),
  ]
}).flat()
const built = performance.now()
const errors = connection.batch(requests).filter((error) => error !== undefined)
const written = performance.now()
const entries = [
  connection.dump(listNeighbours({ family: 4, index })),
  connection.dump(listFdb({ index })),
  connection.dump(listRoutes({ family: 4, protocol: 104 })),
].flat().length
const read = performance.now()
process.stdout.write(
  `${JSON.stringify({
    errors: errors.map(({ message }) => message).slice(0, 5),
    entries,
    buildMs: built - began,
    writeMs: written - built,
    readMs: read - written,
  })}\n`,
)

function hex(octet: number): string {
  return octet.toString(16).padStart(2, '0')
}
