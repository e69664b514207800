import test from 'ava'
import type { Role } from '../../cni/call.ts'
import { type BridgeConf, readBridgeConf } from '../../cni/mode/bridge-conf.ts'
import type { CniVersion } from '../../cni/protocol/versions.ts'
import { type NetConf, parseNetConf } from '../../conf/net-conf.ts'

interface Extra {
  readonly args?: Record<string, string>
  readonly version?: CniVersion
  readonly role?: Role
}

function read(
  value: object,
  { args = {}, version = '1.0.0', role = 'bridge' }: Extra = {},
): BridgeConf {
  const conf: NetConf = parseNetConf(JSON.stringify({ name: 'n', cniVersion: version, ...value }))
  const target = { type: 'bridge', conf, text: '', clusterNetworks: [] }
  return readBridgeConf(target, new Map(Object.entries(args)), { role, version })
}

const ipam = { type: 'host-local', subnet: '10.0.0.0/24' }

test('readBridgeConf has the defaults of the reference plugin', (t) => {
  t.deepEqual(read({}), {
    bridge: 'cni0',
    isGateway: false,
    isDefaultGateway: false,
    forceAddress: false,
    masquerade: false,
    hairpin: false,
    promiscuous: false,
    isolated: false,
    detectDuplicates: false,
    containerUp: true,
    ipam: { kind: 'none' },
  })
})

test('readBridgeConf reads every option', (t) => {
  const all = read({
    bridge: 'br0',
    isDefaultGateway: true,
    forceAddress: true,
    ipMasq: true,
    ipMasqBackend: 'nftables',
    mtu: 1400,
    promiscMode: true,
    portIsolation: true,
    enabledad: true,
    vlan: 0,
    preserveDefaultVlan: true,
    macspoofchk: false,
    dns: { nameservers: ['10.0.0.1'] },
    ipam: { type: 'static' },
  })
  t.deepEqual(all, {
    bridge: 'br0',
    isGateway: true,
    isDefaultGateway: true,
    forceAddress: true,
    masquerade: true,
    mtu: 1400,
    hairpin: false,
    promiscuous: true,
    isolated: true,
    detectDuplicates: true,
    containerUp: true,
    dns: { nameservers: ['10.0.0.1'] },
    ipam: { kind: 'other', type: 'static' },
  })
})

test('readBridgeConf plans addresses in process for host-local and heddle-ipam', (t) => {
  t.is(read({ ipam }).ipam.kind, 'own')
  t.is(read({ ipam: { ...ipam, type: 'heddle-ipam' } }).ipam.kind, 'own')
  t.is(read({ ipam: {} }).ipam.kind, 'none')
})

test('readBridgeConf does not masquerade a container without addresses', (t) => {
  t.false(read({ ipMasq: true }).masquerade)
})

test('readBridgeConf prefers the MAC address of the runtime, then args, then CNI_ARGS', (t) => {
  const args = { args: { MAC: '02:00:00:00:00:03' } }
  const conf = { args: { cni: { mac: '02-00-00-00-00-02' } } }
  const runtimeConfig = { mac: '02:00:00:00:00:0A' }
  t.is(read({ ...conf, runtimeConfig }, args).mac as string, '02:00:00:00:00:0a')
  t.is(read(conf, args).mac as string, '02:00:00:00:00:02')
  t.is(read({}, args).mac as string, '02:00:00:00:00:03')
})

for (const mac of ['zz', '00:00:00:00:00:00', '01:00:5e:00:00:01']) {
  test(`readBridgeConf refuses MAC address ${mac}`, (t) => {
    t.throws(() => read({}, { args: { MAC: mac } }), {
      name: 'ConfigError',
      message: `failed to make veth pair: address ${mac}: invalid MAC address`,
    })
  })
}

const refused: readonly [value: object, name: string, message: RegExp][] = [
  [
    { hairpinMode: true, promiscMode: true },
    'ConfigError',
    /^cannot set hairpin mode and promiscuous mode at the same time$/,
  ],
  [{ vlan: 5000 }, 'ConfigError', /^invalid VLAN ID 5000 \(must be between 0 and 4094\)$/],
  [{ vlan: -1 }, 'ConfigError', /^invalid VLAN ID -1 /],
  [{ vlan: 100 }, 'UnsupportedFieldError', /"vlan" with value 100/],
  [{ vlanTrunk: [{ id: 1 }] }, 'UnsupportedFieldError', /"vlanTrunk" with value \[\{"id":1\}\]/],
  [{ macspoofchk: true }, 'UnsupportedFieldError', /"macspoofchk" with value true/],
  [{ ipMasqBackend: 'x' }, 'ConfigError', /^unknown ipmasq backend "x"$/],
  [{ ipMasqBackend: 'iptables' }, 'UnsupportedFieldError', /"ipMasqBackend"/],
  [{ mode: 'ptp' }, 'UnsupportedFieldError', /"mode" with value "ptp": modes are for type heddle/],
  [{ mtu: 67 }, 'ConfigError', /^invalid MTU 67/],
  [{ mtu: -1 }, 'ConfigError', /^invalid MTU -1/],
  [{ mtu: 70000 }, 'ConfigError', /^invalid MTU 70000/],
  [{ bridge: '1234567890123456' }, 'ConfigError', /interface name is too long/],
  [{ bridge: '../x' }, 'ConfigError', /interface name contains/],
  [
    { disableContainerInterface: true, ipam },
    'ConfigError',
    /^cannot use IPAM when DisableContainerInterface flag is set$/,
  ],
  [{ ipam: { type: 'host-local' } }, 'ConfigError', /^no IP ranges specified$/],
]
for (const [value, name, message] of refused) {
  test(`readBridgeConf refuses ${JSON.stringify(value)}`, (t) => {
    t.throws(() => read(value), { name, message })
  })
}

test('readBridgeConf refuses a link without addresses to versions that cannot print it', (t) => {
  for (const version of ['0.1.0', '0.2.0'] as const) {
    t.throws(() => read({}, { version }), { message: 'cannot convert: no valid IP addresses' })
  }
})

test('readBridgeConf refuses under heddle what only mode macvlan has', (t) => {
  const role = 'heddle'
  for (const conf of [{ master: 'eth0' }, { macvlanMode: 'vepa' }, { bcqueuelen: 9 }]) {
    t.throws(() => read(conf, { role }), { message: /^unsupported field .* for mode macvlan$/ })
    t.notThrows(() => read(conf), 'the reference bridge plugin does not know the key')
  }
  t.throws(() => read({ mode: 'tap' }, { role }), { message: /the modes are bridge, ptp and/ })
})
