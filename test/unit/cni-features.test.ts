import test from 'ava'
import fc from 'fast-check'
import { readBandwidth } from '../../cni/features/bandwidth.ts'
import { planPorts, readPortMappings } from '../../cni/features/port-mappings.ts'
import { bucketOf } from '../../cni/features/rate-limit.ts'
import { listedAttachments } from '../../conf/attachment-list.ts'
import { type NetConf, parseNetConf } from '../../conf/net-conf.ts'
import { parsePrefix } from '../../ip/prefix.ts'

const confOf = (more: object): NetConf => parseNetConf(JSON.stringify(more))
const mapped = (...portMappings: object[]) => confOf({ runtimeConfig: { portMappings } })
const web = { hostPort: 8080, containerPort: 80, protocol: 'tcp' }

test("readPortMappings reads them as containerd's library sends them", (t) => {
  const conf = confOf({
    RUNTIMECONFIG: {
      PortMappings: [
        { HostPort: 8080, ContainerPort: 80, Protocol: 'tcp', HostIP: '' },
        { HostPort: 53, ContainerPort: 5353, Protocol: 'UDP', HostIP: '0.0.0.0' },
        { HostPort: 9000, ContainerPort: 9, Protocol: 'sctp', HostIP: 'FD00::0001' },
      ],
    },
  })
  t.deepEqual(readPortMappings(conf), [
    web,
    { hostPort: 53, containerPort: 5353, protocol: 'udp', hostIp: '0.0.0.0' },
    { hostPort: 9000, containerPort: 9, protocol: 'sctp', hostIp: 'fd00::1' },
  ] as never)
})

test('readPortMappings finds none where none are asked for', (t) => {
  t.deepEqual(readPortMappings(confOf({})), [])
  t.deepEqual(readPortMappings(confOf({ runtimeConfig: { portMappings: null } })), [])
})

test('readPortMappings takes a mapping that is there twice once', (t) => {
  t.is(readPortMappings(mapped(web, web, { ...web, protocol: 'udp' })).length, 2)
})

const refused: readonly [conf: NetConf, message: string][] = [
  [mapped({ ...web, hostPort: 0 }), 'Invalid host port number: 0'],
  [mapped({ ...web, hostPort: 65_536 }), 'Invalid host port number: 65536'],
  [mapped({ containerPort: 80, protocol: 'tcp' }), 'Invalid host port number: 0'],
  [mapped({ ...web, containerPort: -1 }), 'Invalid container port number: -1'],
  [mapped({ ...web, protocol: 'icmp' }), 'Invalid protocol: "icmp"'],
  [mapped({ ...web, protocol: '' }), 'Invalid protocol: ""'],
  [mapped({ ...web, hostIP: 'eth0' }), 'Invalid host IP: "eth0"'],
  [
    mapped(web, { ...web, containerPort: 81 }),
    'host port 8080/tcp is mapped to two ports of the container',
  ],
  [confOf({ markMasqBit: 32 }), 'MasqMarkBit must be between 0 and 31'],
  [
    confOf({ markMasqBit: 13, externalSetMarkChain: 'X' }),
    'Cannot specify externalSetMarkChain and markMasqBit',
  ],
]
for (const [conf, message] of refused) {
  test(`readPortMappings says "${message}" of ${JSON.stringify(conf)}`, (t) => {
    t.throws(() => readPortMappings(conf), { name: 'ConfigError', message })
  })
}

test('readPortMappings refuses by name what nftables maps cannot do, unless it is empty', (t) => {
  for (const conf of [
    { backend: 'iptables' },
    { externalSetMarkChain: 'KUBE-MARK-MASQ' },
    { conditionsV4: ['-i', 'eth0'] },
    { conditionsV6: ['iifname', 'eth0'] },
  ]) {
    const error = t.throws(() => readPortMappings(confOf(conf)), { name: 'UnsupportedFieldError' })
    t.true(error.message.includes(`"${Object.keys(conf)[0]}"`), error.message)
  }
  const harmless = { backend: 'nftables', markMasqBit: 14, conditionsV4: [], conditionsV6: null }
  t.deepEqual(readPortMappings(confOf(harmless)), [])
})

test('readPortMappings refuses a value of a wrong type as the decoder does', (t) => {
  const conf = mapped({ ...web, hostPort: '8080' })
  t.throws(() => readPortMappings(conf), {
    name: 'DecodeError',
    message: /^error unmarshall network config: key "runtimeConfig.portMappings.0.hostPort"/,
  })
})

const prefixes = (...texts: string[]) => texts.flatMap((text) => parsePrefix(text) ?? [])
const dual = prefixes('10.9.0.2/24', '10.8.0.2/24', 'fd00:9::2/64')

test('planPorts takes the first address of each family and masquerades what is near', (t) => {
  t.deepEqual(planPorts({}, dual, []), {
    mappings: [],
    addresses: ['10.9.0.2', 'fd00:9::2'],
    near: ['10.9.0.0/24', 'fd00:9::/64', '127.0.0.0/8'],
  })
})

test('planPorts masquerades nothing without snat, and everything with masqAll', (t) => {
  t.deepEqual(planPorts({ snat: false }, dual, []).near, [])
  t.deepEqual(planPorts({ snat: false, masqAll: true }, dual, []).near, [])
  t.deepEqual(planPorts({ masqAll: true }, dual, []).near, ['0.0.0.0/0', '::/0'])
  t.deepEqual(planPorts({ masqAll: true }, prefixes('fd00::2/64'), []).near, ['::/0'])
})

test('planPorts leaves out mappings of a family that the container has no address of', (t) => {
  const mapping = { protocol: 'tcp', hostPort: 80, containerPort: 80 } as const
  const mappings = ['192.0.2.1', 'fd00::1', '::', undefined].map((hostIp) =>
    hostIp === undefined ? mapping : { ...mapping, hostIp },
  )
  const { mappings: served } = planPorts({}, prefixes('10.9.0.2/24'), mappings)
  t.deepEqual(
    served.map(({ hostIp }) => hostIp),
    ['192.0.2.1', undefined],
  )
})

const limited = (bandwidth: object) => confOf({ runtimeConfig: { bandwidth } })

test('readBandwidth reads bits and gives bytes', (t) => {
  const conf = limited({ IngressRate: 8000, IngressBurst: 16_000 })
  t.deepEqual(readBandwidth(conf), { ingress: { rate: 1000, burst: 2000 } })
})

test('readBandwidth reads the burst that containerd sends', (t) => {
  const conf = limited({ egressRate: 1_000_000, egressBurst: 4_294_967_295 })
  t.deepEqual(readBandwidth(conf), { egress: { rate: 125_000, burst: 536_870_911 } })
})

test('readBandwidth lets the configuration win over the runtime', (t) => {
  const conf = confOf({
    egressRate: 80,
    egressBurst: 800,
    runtimeConfig: { bandwidth: { ingressRate: 8, ingressBurst: 8 } },
  })
  t.deepEqual(readBandwidth(conf), { egress: { rate: 10, burst: 100 } })
})

test('readBandwidth finds no limit in zeros', (t) => {
  t.is(readBandwidth(confOf({})), undefined)
  t.is(readBandwidth(limited({ ingressRate: 0, ingressBurst: 0, egressRate: 0 })), undefined)
})

const badLimits: readonly [bandwidth: object, message: string][] = [
  [{ ingressRate: 1 }, 'if rate is set, burst must also be set'],
  [{ egressBurst: 1 }, 'if burst is set, rate must also be set'],
  [{ egressRate: 1, egressBurst: 34_359_738_360 }, 'burst cannot be more than 4GB'],
]
for (const [bandwidth, message] of badLimits) {
  test(`readBandwidth says "${message}" of ${JSON.stringify(bandwidth)}`, (t) => {
    t.throws(() => readBandwidth(limited(bandwidth)), { name: 'ConfigError', message })
  })
}

test('readBandwidth refuses what is no amount', (t) => {
  for (const amount of ['1e999', '1e20', '-1', '0.5', '"8"']) {
    const conf = parseNetConf(`{"runtimeConfig":{"bandwidth":{"ingressRate":${amount}}}}`)
    t.throws(() => readBandwidth(conf), { name: 'DecodeError', message: /bandwidth.ingressRate/ })
  }
  const most = limited({ egressRate: 2 ** 64, egressBurst: 8 })
  t.deepEqual(readBandwidth(most), { egress: { rate: 2 ** 61, burst: 1 } })
})

test('readBandwidth refuses subnets to be left alone', (t) => {
  const conf = limited({ ingressRate: 8, ingressBurst: 8, unshapedSubnets: ['10.0.0.0/8'] })
  t.throws(() => readBandwidth(conf), { name: 'UnsupportedFieldError', message: /unshapedSubnets/ })
})

test('bucketOf lets every packet pass and keeps bursts to a tenth of a second', (t) => {
  const amount = fc.integer({ min: 1, max: 2 ** 32 })
  const mtu = fc.integer({ min: 68, max: 65_535 })
  fc.assert(
    fc.property(amount, amount, mtu, (rate, burst, mtu) => {
      const bucket = bucketOf({ rate, burst }, mtu)
      t.true(bucket.burst >= mtu + 14)
      t.true(bucket.burst <= Math.max(rate / 10 + 1, 65_536, mtu + 22))
      t.true(bucket.limit >= bucket.burst)
      if (burst >= mtu + 22 && burst <= 65_536) t.is(bucket.burst, burst)
    }),
  )
})

test('listedAttachments tells an empty list from none', (t) => {
  t.is(listedAttachments(confOf({})), undefined)
  t.deepEqual(listedAttachments(confOf({ 'cni.dev/valid-attachments': null })), [])
  t.deepEqual(listedAttachments(confOf({ 'cni.dev/valid-attachments': [] })), [])
})

test('listedAttachments reads either name of the list, the newer one first', (t) => {
  const one = { containerID: 'c1', ifname: 'eth0' }
  const two = { containerID: 'c2', ifname: 'eth0' }
  const read = (conf: object) => listedAttachments(confOf(conf))
  t.deepEqual(read({ 'cni.dev/attachments': [one] }), [{ containerId: 'c1', ifname: 'eth0' }])
  const both = { 'cni.dev/attachments': [one], 'cni.dev/valid-attachments': [two] }
  t.deepEqual(read(both), [{ containerId: 'c2', ifname: 'eth0' }])
})

test('listedAttachments refuses what it cannot read, rather than take it for nothing', (t) => {
  for (const list of [{}, 'all', [1], [{ containerID: 'c1' }], [{ ifname: 'eth0' }]]) {
    const conf = confOf({ 'cni.dev/valid-attachments': list })
    t.throws(() => listedAttachments(conf), { name: 'DecodeError' })
  }
})
