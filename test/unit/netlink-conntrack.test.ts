import test from 'ava'
import { formatAddress, parseAddress } from '../../ip/address.ts'
import { decodeMessages, encodeMessages } from '../../netlink/codec/message.ts'
import { type ConntrackEntry, deleteConntrack, listConntrack } from '../../netlink/conntrack.ts'

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'))

/** The question for connections to UDP port 5300, as Linux 6.18 understood it. */
const question =
  '3800000001010103010000000000000002000000180001801400028005000100110000000600030014b40000' +
  '0c0019800800010028000000'

/**
 * What it answered: a connection to 127.0.0.1 and one to 10.5.0.1, both sent on to port 5400 of
 * 127.0.0.1.
 */
const answer =
  'a40000000001220001000000541e0000020000003400018014000180080001007f000001080002007f0000011c000280' +
  '050001001100000006000200d80f00000600030014b400003400028014000180080001007f000001080002007f000001' +
  '1c0002800500010011000000060002001518000006000300d80f000008000300000001a8080008000000000008000c00' +
  '1fbed90e08000b0000000001080007000000001da40000000001220001000000541e0000020000003400018014000180' +
  '080001000a050001080002000a0500011c000280050001001100000006000200d30100000600030014b4000034000280' +
  '14000180080001007f000001080002000a0500011c0002800500010011000000060002001518000006000300d3010000' +
  '08000300000001a8080008000000000008000c00d2f3545508000b0000000001080007000000001d'

const toPort = { family: 4, protocol: 17, destinationPort: 5300 } as const

function entries(filter: Parameters<typeof listConntrack>[0]): ConntrackEntry[] {
  const { decode } = listConntrack(filter)
  return decodeMessages(bytes(answer)).flatMap(({ type, payload }) => decode?.(type, payload) ?? [])
}

test('listConntrack: asks the kernel for one port of one protocol', (t) => {
  const sent = encodeMessages([listConntrack(toPort)], 1, 0x301)
  const [message] = decodeMessages(bytes(question))
  // The recorded body has a port id and a length before it that are not the request's.
  t.is(Buffer.from(sent.subarray(16)).toString('hex'), question.slice(32))
  t.is(message?.type, 0x101)
})

test('listConntrack: reads both directions of a connection', (t) => {
  const [first, second] = entries(toPort)
  t.like(first, { family: 4, id: 0x1fbed90e, status: 0x1a8, mark: 0 })
  t.is(formatAddress(second?.original.destination ?? { family: 4, value: 0n }), '10.5.0.1')
  t.is(formatAddress(second?.reply.source ?? { family: 4, value: 0n }), '127.0.0.1')
  t.like(second?.original, { protocol: 17, sourcePort: 0xd301, destinationPort: 5300 })
  t.like(second?.reply, { protocol: 17, sourcePort: 5400, destinationPort: 0xd301 })
})

test('listConntrack: leaves out what a kernel answers that does not filter', (t) => {
  const destination = parseAddress('10.5.0.1')
  t.is(entries({ ...toPort, destination }).length, 1)
  for (const other of [{ protocol: 6 }, { destinationPort: 5301 }, { family: 6 } as const]) {
    t.deepEqual(entries({ ...toPort, ...other }), [])
  }
})

test('deleteConntrack: names the connection by its original direction and its id', (t) => {
  const [entry] = entries(toPort)
  if (!entry) throw new Error('the answer above has an entry')
  const { type, body, noneErrno } = deleteConntrack(entry)
  t.is(type, 0x102)
  t.is(noneErrno, 2, 'one that is over is no error')
  const tuple = answer.slice(40, 40 + 2 * 52)
  t.is(Buffer.from(body).toString('hex'), `02000000${tuple}08000c001fbed90e`)
})
