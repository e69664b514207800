/**
 * Shows and forgets connections of the namespace it is started in, and prints what it found. Runs
 * under Bun, which the system calls need.
 * `netlink-conntrack-probe.ts list|flush FAMILY PORT[,PORT...] [ADDRESS]`; a list is of the first port.
 */
import { formatAddress, parseAddress } from '../../ip/address.ts'
import { Connection } from '../../netlink/connection.ts'
import { flushConntrack, listConntrack } from '../../netlink/conntrack.ts'
import { openNetlink } from '../../sys/netlink-socket.ts'

const [verb, familyText, portText, addressText = ''] = process.argv.slice(2)
const family = familyText === '6' ? 6 : 4
const portNumbers = (portText ?? '').split(',').map(Number)
const [port] = portNumbers
const address = parseAddress(addressText)
using connection = new Connection(openNetlink('netfilter'))

function list(): unknown {
  const filter = { family, protocol: 17, destinationPort: port, destination: address } as const
  return connection.dump(listConntrack(filter)).map(({ status, original, reply }) => ({
    translated: (status & 0x20) !== 0,
    to: `${formatAddress(original.destination)} ${original.destinationPort}`,
    by: `${formatAddress(reply.source)} ${reply.sourcePort}`,
  }))
}

const found =
  verb === 'list'
    ? list()
    : flushConntrack(connection, {
        family,
        protocol: 'udp',
        ports: portNumbers.map((number) => ({ port: number, address })),
      })
process.stdout.write(`${JSON.stringify(found)}\n`)
