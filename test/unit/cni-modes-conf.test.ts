import test from 'ava'
import { type MacvlanConf, readMacvlanConf } from '../../cni/mode/macvlan-conf.ts'
import { readPtpConf } from '../../cni/mode/ptp-conf.ts'
import { macvlanMac } from '../../cni/stable-names.ts'
import { ownTarget, type Target } from '../../cni/target/target.ts'
import { parseNetConf } from '../../conf/net-conf.ts'

const ipam = { type: 'host-local', subnet: '10.88.0.0/24' }

function target(value: object): Target {
  const text = JSON.stringify({ name: 'n', cniVersion: '1.0.0', ipam, ...value })
  return ownTarget('heddle', parseNetConf(text), text)
}

function macvlan(value: object = {}): MacvlanConf {
  return readMacvlanConf(target({ mode: 'macvlan', ...value }), new Map(), {
    role: 'heddle',
    version: '1.0.0',
  })
}

function ptp(value: object = {}): ReturnType<typeof readPtpConf> {
  return readPtpConf(target({ mode: 'ptp', ...value }), new Map(), {
    role: 'heddle',
    version: '1.0.0',
  })
}

test('readPtpConf makes the host the gateway, and the default one unless told otherwise', (t) => {
  const plain = { isGateway: true, masquerade: false, detectDuplicates: false, containerUp: true }
  t.like(ptp(), { ...plain, isDefaultGateway: true })
  t.like(ptp({ isDefaultGateway: false, ipMasq: true, mtu: 1400, enabledad: true }), {
    isDefaultGateway: false,
    masquerade: true,
    mtu: 1400,
    detectDuplicates: true,
  })
  t.is(ptp().ipam.kind, 'own')
  t.deepEqual(ptp({ ipam: { type: 'static' } }).ipam, { kind: 'other', type: 'static' })
})

test('readMacvlanConf takes the parent of the default route and its MTU, in mode bridge', (t) => {
  t.like(macvlan(), {
    master: undefined,
    macvlanMode: 'bridge',
    wantedMtu: 0,
    isGateway: false,
    isDefaultGateway: false,
    masquerade: false,
  })
  t.is(macvlan().bcQueueLength, undefined)
  const told = { master: 'eth1', macvlanMode: 'private', mtu: 1400, bcqueuelen: 2000 }
  t.like(macvlan({ ...told, isDefaultGateway: true }), {
    master: 'eth1',
    macvlanMode: 'private',
    wantedMtu: 1400,
    bcQueueLength: 2000,
    isDefaultGateway: true,
  })
  t.is(macvlan({ ipam: { type: '' } }).ipam.kind, 'none')
})

const refusals: readonly [read: (value: object) => object, value: object, message: RegExp][] = [
  [ptp, { bridge: 'b' }, /^unsupported field "bridge" with value "b": .* mode ptp$/],
  [ptp, { isGateway: false }, /^unsupported field "isGateway" with value false/],
  [ptp, { promiscMode: true }, /^unsupported field "promiscMode"/],
  [ptp, { portIsolation: true }, /^unsupported field "portIsolation"/],
  [ptp, { master: 'eth0' }, /^unsupported field "master"/],
  [ptp, { vlan: 7 }, /^unsupported field "vlan" with value 7/],
  [ptp, { ipMasqBackend: 'iptables' }, /^unsupported field "ipMasqBackend"/],
  [ptp, { ipam: { type: '' } }, /^mode ptp needs addresses: set "ipam"$/],
  [ptp, { mtu: 67 }, /^invalid MTU 67, must be between 68 and 65535$/],
  [ptp, { args: { cni: { mac: 'zz' } } }, /^failed to make veth pair: address zz: invalid MAC/],
  [ptp, { bcqueuelen: 5 }, /^unsupported field "bcqueuelen" with value 5: .* mode ptp$/],
  [macvlan, { bridge: 'b' }, /^unsupported field "bridge" with value "b": .* mode macvlan$/],
  [macvlan, { isGateway: true }, /^unsupported field "isGateway"/],
  [macvlan, { ipMasq: true }, /^unsupported field "ipMasq"/],
  [macvlan, { linkInContainer: true }, /^unsupported field "linkInContainer"/],
  [macvlan, { master: 'a/b' }, /^master "a\/b": interface name contains/],
  [macvlan, { macvlanMode: 'source' }, /^unknown macvlan mode: "source"$/],
]
for (const [read, value, message] of refusals) {
  test(`${read.name} refuses ${JSON.stringify(value)}`, (t) => {
    t.throws(() => read(value), { message })
  })
}

test('every mode refuses the vlan trunk it does not have', (t) => {
  const vlanTrunk = [{ id: 7 }]
  t.throws(() => ptp({ vlanTrunk }), { message: /^unsupported field "vlanTrunk"/ })
  t.throws(() => macvlan({ vlanTrunk }), { message: /^unsupported field "vlanTrunk"/ })
  t.notThrows(() => ptp({ vlanTrunk: [] }))
})

test('macvlanMac is the same in every release, and of one host', (t) => {
  const key = { network: 'net', containerId: 'c1', ifname: 'eth0' }
  t.is<string, string>(macvlanMac(key, 'a 02:00:00:00:00:01'), '96:ba:32:b4:ef:92')
  t.not(macvlanMac(key, 'a 02:00:00:00:00:02'), macvlanMac(key, 'a 02:00:00:00:00:01'))
  t.not(macvlanMac(key, 'b 02:00:00:00:00:01'), macvlanMac(key, 'a 02:00:00:00:00:01'))
})
