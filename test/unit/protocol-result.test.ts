import test from 'ava'
import { parseResult } from '../../cni/protocol/parse-result.ts'
import {
  type CniResult,
  convertResult,
  renderResult,
  requirePrintable,
} from '../../cni/protocol/result.ts'
import type { CniVersion } from '../../cni/protocol/versions.ts'

const full: CniResult = {
  interfaces: [
    { name: 'cni0', mac: '02:00:00:00:00:01' },
    { name: 'veth1', mac: '02:00:00:00:00:02', mtu: 1450 },
    { name: 'eth0', mac: '02:00:00:00:00:03', mtu: 1450, sandbox: '/run/netns/c', pciID: 'x' },
  ],
  ips: [
    { address: '10.1.2.3/24', gateway: '10.1.2.1', interface: 2 },
    { address: 'fd00::3/64', interface: 0 },
    { address: '10.9.9.9/24', interface: 2 },
  ],
  routes: [
    { dst: '0.0.0.0/0', gw: '10.1.2.1', mtu: 1400, table: 0 },
    { dst: 'fd00:1::/64', priority: 7 },
  ],
  dns: { nameservers: ['10.1.2.1'] },
}

test('convertResult keeps everything in 1.1.0', (t) => {
  t.deepEqual(convertResult(full, '1.1.0'), { cniVersion: '1.1.0', ...full })
})

const plainInterfaces = [
  { name: 'cni0', mac: '02:00:00:00:00:01' },
  { name: 'veth1', mac: '02:00:00:00:00:02' },
  { name: 'eth0', mac: '02:00:00:00:00:03', sandbox: '/run/netns/c' },
]
const plainRoutes = [{ dst: '0.0.0.0/0', gw: '10.1.2.1' }, { dst: 'fd00:1::/64' }]

test('convertResult drops in 1.0.0 what came with 1.1.0', (t) => {
  t.deepEqual(convertResult(full, '1.0.0'), {
    cniVersion: '1.0.0',
    interfaces: plainInterfaces,
    ips: full.ips,
    routes: plainRoutes,
    dns: full.dns,
  })
})

for (const version of ['0.3.0', '0.3.1', '0.4.0'] as const) {
  test(`convertResult adds the family of each address in ${version}`, (t) => {
    t.deepEqual(convertResult(full, version), {
      cniVersion: version,
      interfaces: plainInterfaces,
      ips: [
        { version: '4', address: '10.1.2.3/24', gateway: '10.1.2.1', interface: 2 },
        { version: '6', address: 'fd00::3/64', interface: 0 },
        { version: '4', address: '10.9.9.9/24', interface: 2 },
      ],
      routes: plainRoutes,
      dns: full.dns,
    })
  })
}

for (const version of ['0.1.0', '0.2.0'] as const) {
  test(`convertResult keeps the first address of each family in ${version}`, (t) => {
    t.deepEqual(convertResult(full, version), {
      cniVersion: version,
      ip4: { ip: '10.1.2.3/24', gateway: '10.1.2.1', routes: [plainRoutes[0]] },
      ip6: { ip: 'fd00::3/64', routes: [plainRoutes[1]] },
      dns: full.dns,
    })
  })

  test(`convertResult cannot print a link without addresses in ${version}`, (t) => {
    const expected = { name: 'CniError', message: 'cannot convert: no valid IP addresses' }
    t.throws(() => convertResult({ interfaces: [{ name: 'eth0' }] }, version), expected)
    t.throws(() => requirePrintable(version, false), expected)
    t.notThrows(() => requirePrintable(version, true))
  })
}

test('convertResult leaves empty lists out, and dns too from 1.0.0 on', (t) => {
  const empty: CniResult = { interfaces: [], ips: [], routes: [], dns: {} }
  t.deepEqual(convertResult(empty, '1.0.0'), { cniVersion: '1.0.0' })
  t.deepEqual(convertResult(empty, '0.4.0'), { cniVersion: '0.4.0', dns: {} })
})

test('renderResult ends with a line break and begins with the version', (t) => {
  t.regex(renderResult(full, '0.4.0'), /^\{\n {4}"cniVersion": "0\.4\.0",\n[\s\S]*\}\n$/)
})

for (const version of ['0.3.0', '0.3.1', '0.4.0', '1.0.0'] as const) {
  test(`parseResult reads what convertResult printed in ${version}`, (t) => {
    const printed = JSON.parse(renderResult(full, version))
    t.deepEqual(parseResult(printed, version, 'x'), {
      interfaces: plainInterfaces,
      ips: full.ips ?? [],
      routes: plainRoutes,
      dns: full.dns ?? {},
    })
  })
}

test('parseResult reads 1.1.0 without loss', (t) => {
  t.deepEqual(parseResult(JSON.parse(renderResult(full, '1.1.0')), '1.1.0', 'x'), full)
})

test('parseResult reads 0.2.0: ip4, ip6, then their routes', (t) => {
  t.deepEqual(parseResult(JSON.parse(renderResult(full, '0.2.0')), '0.1.0', 'x'), {
    ips: [{ address: '10.1.2.3/24', gateway: '10.1.2.1' }, { address: 'fd00::3/64' }],
    routes: plainRoutes,
    dns: full.dns ?? {},
  })
})

test("parseResult takes a result without a version for the configuration's", (t) => {
  const { ips } = parseResult({ ip4: { ip: '10.0.0.2/24' } }, '0.2.0', 'x')
  t.deepEqual(ips, [{ address: '10.0.0.2/24' }])
})

test('parseResult takes empty texts and null for absent', (t) => {
  const value = {
    interfaces: [{ name: 'eth0', mac: '', sandbox: '' }],
    ips: [{ address: '10.0.0.2/24', gateway: '', interface: 0 }],
    routes: null,
    dns: { nameservers: null, domain: '' },
  }
  t.deepEqual(parseResult(value, '1.0.0', 'x'), {
    interfaces: [{ name: 'eth0' }],
    ips: [{ address: '10.0.0.2/24', interface: 0 }],
    routes: [],
    dns: {},
  })
})

const bad: readonly [value: unknown, version: CniVersion, reason: string][] = [
  [
    { cniVersion: '1.0.0' },
    '0.4.0',
    'result type supports [0.3.0 0.3.1 0.4.0] but unmarshalled CNIVersion is "1.0.0"',
  ],
  [
    { cniVersion: '0.4.0' },
    '1.0.0',
    'result type supports [1.0.0 1.1.0] but unmarshalled CNIVersion is "0.4.0"',
  ],
  [[], '1.0.0', 'not a JSON object'],
  [null, '1.0.0', 'not a JSON object'],
  [{ ips: {} }, '1.0.0', 'ips is not a list of objects'],
  [
    { ips: [{ address: '10.0.0.2' }] },
    '1.0.0',
    '"10.0.0.2" is not an address with a prefix length',
  ],
  [
    { interfaces: [{ name: 'a' }], ips: [{ address: '10.0.0.2/24', interface: 1 }] },
    '1.0.0',
    'interface 1 of 10.0.0.2/24 is not one of the 1 interfaces',
  ],
  [{ routes: [{ dst: 'default' }] }, '1.0.0', 'route destination "default" is not a prefix'],
  [{ routes: [{ dst: '::/0', gw: 'x' }] }, '1.0.0', 'gw "x" is not an address'],
  [{ interfaces: [{}] }, '1.0.0', 'an interface has no name'],
  [{ interfaces: [{ name: 'a', mtu: -1 }] }, '1.0.0', 'mtu is not a whole number'],
  [{ dns: { search: 'a' } }, '1.0.0', 'search is not a list of texts'],
  [{ ip4: '10.0.0.2/24' }, '0.2.0', 'ip4 is not an object'],
]
for (const [value, version, reason] of bad) {
  test(`parseResult refuses ${JSON.stringify(value)} under ${version}`, (t) => {
    t.throws(() => parseResult(value, version, 'prevResult'), {
      name: 'CniError',
      code: 6,
      message: `could not parse prevResult: ${reason}`,
    })
  })
}
