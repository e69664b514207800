/** What a hostile writer may put into the store: keys and values of leases, and configurations. */
import fc from 'fast-check'

/** Something right, and now and then something wrong. */
function mostly(
  right: fc.Arbitrary<unknown>,
  ...wrong: fc.Arbitrary<unknown>[]
): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 15 * wrong.length, arbitrary: right }, ...wrong)
}

/** A network's addresses, those around it, and those that are no host's. */
const ipv4 = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fc.nat(255), fc.nat(255)).map(([a, b]) => `10.5.${a}.${b}`) },
  { weight: 2, arbitrary: fc.ipV4() },
  fc.constantFrom(
    '0.0.0.0',
    '0.0.0.1',
    '255.255.255.255',
    '224.0.0.1',
    '239.255.255.250',
    '127.0.0.1',
    '127.8.8.8',
    '192.168.0.1',
    '192.168.0.9',
    '192.168.0.255',
    '169.254.1.1',
    '240.0.0.1',
    '10.5.0.0',
    '10.6.0.0',
    '01.2.3.4',
    '1.2.3',
  ),
)

const ipv6 = fc.oneof(
  { weight: 4, arbitrary: fc.nat(0xffff).map((n) => `fc00:0:0:${n.toString(16)}::`) },
  { weight: 2, arbitrary: fc.ipV6() },
  fc.constantFrom(
    '::',
    '::1',
    'ff02::1',
    'fe80::1',
    '::ffff:10.0.0.1',
    'fd00::1',
    'fd00::2',
    'fc00::1',
    'fe80::1%eth0',
  ),
)

const odd = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.constantFrom(
    '',
    '../..',
    '10.5.1.0-24/../config',
    '\u001b[2J',
    '\n',
    '__proto__',
    '\0',
    '&',
    '-',
  ),
  fc.nat(3_000).map((length) => 'x'.repeat(length)),
)

const length = fc.oneof(
  fc.integer({ min: -1, max: 130 }).map(String),
  fc.constantFrom('24', '024', ''),
)
const word = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(ipv4, fc.constantFrom('24', '25', '23', '16', '32', '31')) },
  { weight: 2, arbitrary: fc.tuple(ipv6, fc.constantFrom('64', '65', '48', '128')) },
  fc.tuple(fc.oneof(ipv4, ipv6, odd), length),
)

const goodKey = fc.oneof(
  fc.nat(255).map((n) => `10.5.${n}.0-24`),
  fc.nat(0xffff).map((n) => `fc00:0:0:${n.toString(16)}::-64`),
  fc
    .tuple(fc.nat(255), fc.nat(0xffff))
    .map(([a, b]) => `10.5.${a}.0-24&fc00:0:0:${b.toString(16)}::-64`),
)

/** The last part of a lease's key. */
export const leaseKey = fc.oneof(
  { weight: 10, arbitrary: goodKey },
  {
    weight: 8,
    arbitrary: fc
      .array(word, { minLength: 1, maxLength: 3 })
      .map((words) => words.map((pair) => pair.join('-')).join('&')),
  },
  odd,
)

const goodMac = fc.uint8Array({ minLength: 6, maxLength: 6 }).map((octets) => {
  const [first = 0, ...rest] = octets
  return [first & 0xfe, ...rest].map((n) => n.toString(16).padStart(2, '0')).join(':')
})

const mac = fc.oneof(
  fc.constantFrom(
    'ff:ff:ff:ff:ff:ff',
    '00:00:00:00:00:00',
    '01:00:5e:00:00:01',
    '33:33:00:00:00:01',
    '02:00:00:00:00:01',
    '02-00-00-00-00-01',
    '02:00:00:00:00',
    'c6:d2:32:6f:8f:44',
  ),
  odd,
)

const json = fc.jsonValue({ maxDepth: 3 })
const number = fc.oneof(
  fc.integer(),
  fc.double(),
  fc.constantFrom(0, 1, -1, 2 ** 24, 2 ** 32, 1e308),
)

const backendData = mostly(
  fc.record({ VNI: mostly(fc.constant(1), number, json), VtepMAC: mostly(goodMac, mac) }),
  json,
)

/** A lease's value: mostly of the right shape, and then with a wrong thing somewhere. */
export const leaseValue = fc.oneof(
  {
    weight: 15,
    arbitrary: fc
      .record(
        {
          PublicIP: mostly(fc.ipV4(), ipv4, ipv6, odd, json),
          PublicIPv6: mostly(fc.oneof(fc.ipV6(), fc.constant(null)), ipv6, ipv4, json),
          BackendType: mostly(fc.constant('vxlan'), odd, json),
          BackendData: backendData,
          BackendV6Data: backendData,
          Challenge: mostly(fc.uuid(), odd, json),
          NodeID: mostly(fc.uuid(), odd, json),
        },
        { requiredKeys: ['PublicIP', 'BackendType', 'BackendData'] },
      )
      .map((value) => JSON.stringify(value)),
  },
  json.map((value) => JSON.stringify(value)),
  odd,
  fc.constantFrom('{"__proto__":{"PublicIP":"1.2.3.4"}}', '[]', 'null', '['.repeat(5_000)),
)

const cidr = fc.oneof(
  fc.tuple(fc.oneof(ipv4, ipv6), length).map((pair) => pair.join('/')),
  fc.constantFrom('0.0.0.0/0', '::/0', '10.5.0.0/29', 'fc00::/127'),
  odd,
)
const setting = fc.oneof(fc.integer({ min: 0, max: 128 }), number, json)
const flag = mostly(fc.boolean(), json)

/** The text of a network configuration. */
export const networkConfigText = fc.oneof(
  {
    weight: 15,
    arbitrary: fc
      .record(
        {
          EnableIPv4: flag,
          EnableIPv6: flag,
          Network: mostly(fc.constantFrom('10.5.0.0/16', '10.5.0.0/20'), cidr),
          IPv6Network: mostly(fc.constantFrom('fc00::/48', 'fc00::/56'), cidr),
          SubnetLen: mostly(fc.integer({ min: 22, max: 30 }), setting),
          SubnetMin: mostly(fc.constantFrom('10.5.1.0', '10.5.2.0'), ipv4, json),
          SubnetMax: mostly(fc.constantFrom('10.5.9.0', '10.5.4.0'), ipv4, json),
          IPv6SubnetLen: mostly(fc.constant(64), setting),
          IPv6SubnetMin: mostly(fc.constant('fc00:0:0:4::'), ipv6, json),
          IPv6SubnetMax: mostly(fc.constant('fc00:0:0:5::'), ipv6, json),
          Backend: mostly(
            fc.record(
              {
                Type: mostly(fc.constantFrom('vxlan', 'VXLAN', 'host-gw', 'alloc'), json),
                VNI: mostly(fc.integer({ min: 0, max: 2 ** 24 }), setting),
                Port: mostly(fc.nat(65_536), setting),
                MTU: mostly(fc.nat(9_000), setting),
                GBP: flag,
                Learning: flag,
                DirectRouting: flag,
              },
              { requiredKeys: ['Type'] },
            ),
            json,
          ),
        },
        { requiredKeys: ['Network', 'IPv6Network'] },
      )
      .map((value) => JSON.stringify(value)),
  },
  json.map((value) => JSON.stringify(value)),
  odd,
)
