/** Configurations that work, of every role and mode: what mutations begin with. */

/** The names that the executable goes by as a plugin. */
export type FuzzRole =
  | 'heddle'
  | 'bridge'
  | 'flannel'
  | 'loopback'
  | 'portmap'
  | 'bandwidth'
  | 'heddle-ipam'

export interface Base {
  readonly title: string
  readonly role: FuzzRole
  readonly conf: Readonly<Record<string, unknown>>
  readonly args?: string
  /** The container has its interface already, from an earlier plugin of the chain. */
  readonly chained?: true
}

/** Where a subnet file is. */
export const subnetFile = '/run/flannel/subnet.env'

export const subnetText = `FLANNEL_NETWORK=10.88.0.0/16
FLANNEL_SUBNET=10.88.7.1/24
FLANNEL_IPV6_NETWORK=fd00:88::/48
FLANNEL_IPV6_SUBNET=fd00:88:0:7::1/64
FLANNEL_MTU=1450
FLANNEL_IPMASQ=false
`

const named = { cniVersion: '1.0.0', name: 'fuzz' }
const v4 = { subnet: '10.88.0.0/24' }
const both = [[v4], [{ subnet: 'fd00:88::/64' }]]
const ipam = { type: 'host-local', ranges: both }

/** A result as an earlier plugin of a chain leaves it; the names are those of a host under test. */
const prevResult = {
  cniVersion: '1.0.0',
  interfaces: [
    { name: 'br9', mac: '02:00:00:00:00:09' },
    { name: 'veth9', mac: '02:00:00:00:00:0a' },
    { name: 'eth0', mac: '02:00:00:00:00:0b', sandbox: '/run/netns/c1' },
  ],
  ips: [{ address: '10.88.0.9/24', gateway: '10.88.0.1', interface: 2 }],
  routes: [{ dst: '0.0.0.0/0', gw: '10.88.0.1' }],
  dns: { nameservers: ['10.88.0.1'] },
  unknown: { kept: true },
}

const portMappings = [
  { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
  { hostPort: 8053, containerPort: 53, protocol: 'udp', hostIP: '127.0.0.1' },
]
const bandwidth = {
  ingressRate: 8_000_000,
  ingressBurst: 800_000,
  egressRate: 8_000_000,
  egressBurst: 800_000,
}

const ofHeddle: readonly Base[] = [
  { title: 'a bridge', role: 'heddle', conf: { ...named, type: 'heddle', ipam: { ...v4 } } },
  {
    title: 'a bridge with masquerading',
    role: 'heddle',
    conf: { ...named, type: 'heddle', ipMasq: true, ipam: { ranges: both } },
  },
  {
    title: 'capabilities',
    role: 'heddle',
    conf: {
      ...named,
      type: 'heddle',
      bridge: 'br1',
      capabilities: { portMappings: true, bandwidth: true, ips: true, mac: true, dns: true },
      runtimeConfig: {
        portMappings,
        bandwidth,
        ips: ['10.88.0.44'],
        mac: '02:11:22:33:44:55',
        dns: { servers: ['10.88.0.1'], searches: ['example.org'], options: ['ndots:2'] },
        aliases: { fuzz: ['web'] },
        ipRanges: [[{ subnet: '10.88.0.0/24', rangeStart: '10.88.0.40' }]],
      },
      ipam: {},
      ipMasq: true,
    },
  },
  {
    title: 'published ports',
    role: 'heddle',
    conf: {
      ...named,
      type: 'heddle',
      capabilities: { portMappings: true },
      runtimeConfig: { portMappings },
      ipam: { ranges: both },
    },
  },
  {
    title: 'ptp',
    role: 'heddle',
    conf: { ...named, type: 'heddle', mode: 'ptp', ipMasq: true, ipam: { ranges: both } },
  },
  {
    title: 'macvlan',
    role: 'heddle',
    conf: { ...named, type: 'heddle', mode: 'macvlan', master: 'eth0', ipam: { ...v4 } },
  },
  {
    title: 'heddle with the subnet file',
    role: 'heddle',
    conf: { ...named, type: 'heddle', bridge: 'br5', subnetFile, ipMasq: true },
  },
  {
    title: 'heddle in a chain',
    role: 'heddle',
    conf: { ...named, type: 'heddle', runtimeConfig: { portMappings, bandwidth }, prevResult },
    chained: true,
  },
]

const ofOthers: readonly Base[] = [
  {
    title: 'the bridge plugin',
    role: 'bridge',
    conf: {
      ...named,
      type: 'bridge',
      bridge: 'br2',
      isDefaultGateway: true,
      ipMasq: true,
      hairpinMode: true,
      mtu: 1400,
      ipam: { ...ipam, routes: [{ dst: '10.0.0.0/8' }, { dst: 'fd00::/8' }] },
      dns: { nameservers: ['10.88.0.1'], search: ['example.org'] },
    },
    args: 'IgnoreUnknown=1;K8S_POD_NAME=web',
  },
  {
    title: 'the bridge plugin without addresses',
    role: 'bridge',
    conf: { ...named, cniVersion: '0.4.0', type: 'bridge', bridge: 'br3', ipam: {} },
  },
  {
    title: 'an old version',
    role: 'bridge',
    conf: { ...named, cniVersion: '0.2.0', type: 'bridge', ipam: { type: 'host-local', ...v4 } },
  },
  {
    title: 'an IPAM plugin of others',
    role: 'bridge',
    conf: { ...named, type: 'bridge', ipam: { type: 'fake-ipam' } },
  },
  {
    title: 'the newest version, with all that routes can have',
    role: 'bridge',
    conf: {
      ...named,
      cniVersion: '1.1.0',
      type: 'bridge',
      isGateway: true,
      enabledad: false,
      ipam: {
        ...ipam,
        routes: [{ dst: '192.0.2.0/24', gw: '10.88.0.1', mtu: 1400, advmss: 1300, priority: 50 }],
      },
    },
    args: 'IP=10.88.0.30;MAC=02:11:22:33:44:77',
  },
  {
    title: 'flannel',
    role: 'flannel',
    conf: {
      ...named,
      type: 'flannel',
      subnetFile,
      delegate: { bridge: 'br4', isDefaultGateway: true, hairpinMode: true },
    },
  },
  { title: 'loopback', role: 'loopback', conf: { ...named, type: 'loopback' } },
  {
    title: 'loopback in a chain',
    role: 'loopback',
    conf: { ...named, type: 'loopback', prevResult },
    chained: true,
  },
  {
    title: 'portmap',
    role: 'portmap',
    conf: { ...named, type: 'portmap', snat: true, runtimeConfig: { portMappings }, prevResult },
    chained: true,
  },
  {
    title: 'bandwidth',
    role: 'bandwidth',
    conf: { ...named, type: 'bandwidth', ...bandwidth, prevResult },
    chained: true,
  },
  { title: 'IPAM alone', role: 'heddle-ipam', conf: { ...named, type: 'heddle', ipam } },
]

/** Another container, of another network, that nothing may happen to. */
export const neighbour: Base = {
  title: 'a neighbour',
  role: 'heddle',
  conf: {
    cniVersion: '1.0.0',
    name: 'other',
    type: 'heddle',
    bridge: 'other0',
    ipMasq: true,
    runtimeConfig: { portMappings: [{ hostPort: 9000, containerPort: 80, protocol: 'tcp' }] },
    ipam: { subnet: '10.77.0.0/24' },
  },
}

export const bases: readonly Base[] = [...ofHeddle, ...ofOthers]
