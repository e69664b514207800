import test from 'ava'
import { parseNetConf } from '../../conf/net-conf.ts'

test('parseNetConf matches known keys without regard to case, at every depth', (t) => {
  const conf = parseNetConf(
    '{"CNIVERSION":"1.0.0","Ipam":{"SubNet":"10.0.0.0/24","RANGES":[[{"Subnet":"10.1.0.0/24"}]]},"runtimeconfig":{"IPs":["10.0.0.5"]}}',
  )
  t.is(conf.cniVersion, '1.0.0')
  t.is(conf.ipam?.subnet, '10.0.0.0/24')
  t.is(conf.ipam?.ranges?.[0]?.[0]?.subnet, '10.1.0.0/24')
  t.deepEqual(conf.runtimeConfig?.ips, ['10.0.0.5'])
})

test('parseNetConf prefers the exact spelling, then the last one', (t) => {
  t.is(parseNetConf('{"mtu":1,"MTU":2}').mtu, 1)
  t.is(parseNetConf('{"Mtu":1,"MTU":2}').mtu, 2)
})

test('parseNetConf keeps unknown keys and takes null for absent', (t) => {
  const conf = parseNetConf('{"cni.dev/x":[1],"mtu":null,"dns":{"nameservers":null}}') as Record<
    string,
    unknown
  >
  t.deepEqual(conf['cni.dev/x'], [1])
  t.false('mtu' in conf)
  t.deepEqual({ ...(conf['dns'] as object) }, {})
})

test('parseNetConf is not changed by keys that are special to JavaScript', (t) => {
  const conf = parseNetConf(
    '{"__proto__":{"mtu":9},"constructor":1,"ipam":{"__proto__":{"subnet":"x"}}}',
  )
  t.is(conf.mtu, undefined)
  t.is(conf.ipam?.subnet, undefined)
})

for (const [text, message] of [
  ['', /^error unmarshall network config: /],
  ['{', /^error unmarshall network config: /],
  ['[]', /^error unmarshall network config: a JSON object is needed$/],
  ['null', /^error unmarshall network config: a JSON object is needed$/],
  ['{"cniVersion":1}', /^decoding version from network config: cniVersion must be string$/],
  ['{"ipam":{"ranges":[{"subnet":"a"}]}}', /key "ipam.ranges.0" must be array/],
  ['{"mtu":1.5}', /key "mtu" must be integer/],
  ['{"ipam":{"routes":[{"gw":"10.0.0.1"}]}}', /must have required property 'dst'/],
] as const) {
  test(`parseNetConf refuses ${text === '' ? 'nothing' : text}`, (t) => {
    t.throws(() => parseNetConf(text), { name: 'DecodeError', message })
  })
}

test('parseNetConf refuses what is too deep to walk through, and counts no bracket within a text', (t) => {
  const nested = (depth: number) => `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`
  t.notThrows(() => parseNetConf(nested(999)))
  const message = 'error unmarshall network config: exceeded max depth'
  for (const depth of [1000, 5000, 100_000]) {
    t.throws(() => parseNetConf(nested(depth)), { name: 'DecodeError', message })
  }
  t.notThrows(() => parseNetConf(`{"a":"\\"${'['.repeat(5000)}"}`))
})
