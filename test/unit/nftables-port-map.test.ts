import test from 'ava'
import fc from 'fast-check'
import { addressFromBytes } from '../../ip/address.ts'
import { dataTypeLength } from '../../netlink/nftables/data-type.ts'
import { interfaceIs } from '../../netlink/nftables/match.ts'
import { endpointData, portKey, portMapType, readPortKey } from '../../netlink/nftables/port-map.ts'

const address = fc.oneof(
  fc.record({
    family: fc.constant(4 as const),
    value: fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }),
  }),
  fc.record({
    family: fc.constant(6 as const),
    value: fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }),
  }),
)
const port = fc.integer({ min: 0, max: 65535 })
const hostPort = fc.record(
  { protocol: fc.constantFrom('tcp', 'udp', 'sctp'), port, address },
  { requiredKeys: ['protocol', 'port'] },
)

test('portKey: reads back, and is as long as the map’s keys', (t) => {
  fc.assert(
    fc.property(hostPort, (value) => {
      const key = portKey(value)
      t.deepEqual(readPortKey(key), value)
      const { family = 4 } = value.address ?? {}
      const type = portMapType(family, { byAddress: value.address !== undefined })
      t.is(key.length, dataTypeLength(type.key))
    }),
  )
})

test('endpointData: the address and the port as the map’s values hold them', (t) => {
  fc.assert(
    fc.property(fc.record({ address, port }), (value) => {
      const data = endpointData(value)
      const length = data.length - 4
      t.deepEqual(addressFromBytes(data.subarray(0, length)), value.address)
      t.is(new DataView(data.buffer, data.byteOffset).getUint16(length), value.port)
      t.is(data.length, dataTypeLength(portMapType(value.address.family).data))
    }),
  )
})

test('readPortKey: no bytes but a key’s are a port', (t) => {
  t.is(readPortKey(Uint8Array.of(6, 0, 0, 0)), undefined)
  t.is(readPortKey(Uint8Array.of(1, 0, 0, 0, 0, 80, 0, 0)), undefined, 'ICMP has no ports')
  t.is(readPortKey(new Uint8Array(9)), undefined)
})

test('portKey, interfaceIs: what does not fit in a register is a RangeError', (t) => {
  t.throws(() => portKey({ protocol: 'tcp', port: 65536 }), { instanceOf: RangeError })
  t.throws(() => interfaceIs('input', 'a-name-of-16-byt'), { instanceOf: RangeError })
})
