import { parseAddress } from '../../../ip/address.ts'
import { parseMac } from '../../../ip/mac.ts'
import { parsePrefix } from '../../../ip/prefix.ts'
import { addAddress, deleteAddress } from '../../../netlink/address.ts'
import { RTM_NEWADDR } from '../../../netlink/codec/address.ts'
import { RTM_NEWLINK } from '../../../netlink/codec/link.ts'
import { NLMSG_ERROR, type Request } from '../../../netlink/codec/message.ts'
import { RTM_NEWNEIGH } from '../../../netlink/codec/neighbour.ts'
import { RTM_NEWROUTE } from '../../../netlink/codec/route.ts'
import { addLink, deleteLink, setBridgePort, setLink } from '../../../netlink/link.ts'
import {
  appendFdb,
  deleteFdb,
  deleteNeighbour,
  replaceFdb,
  replaceNeighbour,
} from '../../../netlink/neighbour.ts'
import { addRoute, deleteRoute, replaceRoute } from '../../../netlink/route.ts'

/** The namespace that commands mean by PEER, and the descriptor that stands for it in requests. */
export const PEER = 'PEER'
const netnsFd = 7

/** A change that iproute2 is recorded making, and our request for the same. In this order. */
export interface RequestCase {
  readonly name: string
  /** `ip`, `bridge` or `tc` with its arguments, which get `-n NAMESPACE` put before them. */
  readonly command: string
  /** Not every kernel has what it asks for; only the question is recorded. */
  readonly mayFail?: true
  readonly ours: Request
}

/** A question of iproute2: its printed understanding is recorded beside the kernel's bytes. */
export interface ReplyCase {
  readonly name: string
  readonly command: string
  /** nlmsg_type of the answers. */
  readonly type: number
}

function known<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('a case has a mistake in an address')
  return value
}
const address = (text: string) => known(parseAddress(text))
const prefix = (text: string) => known(parsePrefix(text))
const macs = {
  bridge: known(parseMac('0a:00:00:00:00:01')),
  veth: known(parseMac('0a:00:00:00:00:02')),
  peer: known(parseMac('0a:00:00:00:00:03')),
  tunnel: known(parseMac('0a:00:00:00:00:04')),
  remote: known(parseMac('0e:00:00:00:00:07')),
  none: known(parseMac('00:00:00:00:00:00')),
}
/** Numbers in the order of creation, after the loopback's 1. */
const [bridge, veth, vx4, vx6] = [2, 3, 4, 5]
const lease4 = { destination: prefix('10.244.7.0/24'), protocol: 104 }
const lease6 = { destination: prefix('fd00:7::/64'), protocol: 104 }

export const requestCases: readonly RequestCase[] = [
  {
    name: 'bridge',
    command: `ip link add name br0 mtu 1400 address ${macs.bridge} type bridge ageing_time 12000 mcast_snooping 0`,
    ours: addLink({
      kind: 'bridge',
      name: 'br0',
      mtu: 1400,
      mac: macs.bridge,
      ageingTime: 12000,
      multicastSnooping: false,
    }),
  },
  {
    name: 'veth with its peer born in another namespace',
    command: `ip link add name veth0 mtu 1400 address ${macs.veth} type veth peer name eth0 mtu 1400 address ${macs.peer} netns ${PEER}`,
    ours: addLink({
      kind: 'veth',
      name: 'veth0',
      mtu: 1400,
      mac: macs.veth,
      peer: { name: 'eth0', mtu: 1400, mac: macs.peer, netnsFd },
    }),
  },
  {
    name: 'link up',
    command: 'ip link set dev br0 up',
    ours: setLink({ index: bridge, up: true }),
  },
  {
    name: 'link into a bridge, up and promiscuous',
    command: 'ip link set dev veth0 master br0 promisc on up',
    ours: setLink({ index: veth, master: bridge, promiscuous: true, up: true }),
  },
  {
    name: 'bridge port',
    command: 'ip link set dev veth0 type bridge_slave hairpin on isolated on',
    ours: setBridgePort({ index: veth, hairpin: true, isolated: true }),
  },
  {
    name: 'IPv4 address',
    command: 'ip address add 10.1.0.1/24 broadcast + dev br0',
    ours: addAddress({ index: bridge, prefix: prefix('10.1.0.1/24') }),
  },
  {
    name: 'IPv6 address',
    command: 'ip address add fd00:1::1/64 dev br0 nodad',
    ours: addAddress({ index: bridge, prefix: prefix('fd00:1::1/64'), noDad: true }),
  },
  {
    name: 'address without a route',
    command: 'ip address add 10.1.1.1/24 broadcast + dev br0 noprefixroute',
    ours: addAddress({ index: bridge, prefix: prefix('10.1.1.1/24'), noPrefixRoute: true }),
  },
  {
    name: 'address deleted',
    command: 'ip address del 10.1.1.1/24 dev br0',
    ours: deleteAddress({ index: bridge, prefix: prefix('10.1.1.1/24') }),
  },
  {
    name: 'vxlan over IPv4',
    command: `ip link add name vx4 address ${macs.tunnel} type vxlan id 4 dev br0 local 10.1.0.1 dstport 8472 nolearning gbp ttl 64`,
    ours: addLink({
      kind: 'vxlan',
      name: 'vx4',
      mac: macs.tunnel,
      id: 4,
      link: bridge,
      local: address('10.1.0.1'),
      port: 8472,
      learning: false,
      gbp: true,
      ttl: 64,
    }),
  },
  {
    name: 'vxlan over IPv6',
    command: `ip link add name vx6 address ${macs.tunnel} type vxlan id 6 dev br0 local fd00:1::1 dstport 8472 nolearning udpcsum noudp6zerocsumtx`,
    ours: addLink({
      kind: 'vxlan',
      name: 'vx6',
      mac: macs.tunnel,
      id: 6,
      link: bridge,
      local: address('fd00:1::1'),
      port: 8472,
      learning: false,
      udpCsum: true,
      udpZeroCsum6Tx: false,
    }),
  },
  {
    name: 'address generation off',
    command: 'ip link set dev vx4 addrgenmode none',
    ours: setLink({ index: vx4, addrGenMode: 1 }),
  },
  {
    name: 'tunnel up',
    command: 'ip link set dev vx4 up',
    ours: setLink({ index: vx4, up: true }),
  },
  {
    name: 'second tunnel up',
    command: 'ip link set dev vx6 mtu 1300 up',
    ours: setLink({ index: vx6, mtu: 1300, up: true }),
  },
  {
    name: 'IPv4 neighbour',
    command: `ip neighbour replace 10.244.7.0 lladdr ${macs.remote} dev vx4 nud permanent`,
    ours: replaceNeighbour({ index: vx4, address: address('10.244.7.0'), mac: macs.remote }),
  },
  {
    name: 'IPv6 neighbour',
    command: `ip neighbour replace fd00:7:: lladdr ${macs.remote} dev vx6 nud permanent`,
    ours: replaceNeighbour({ index: vx6, address: address('fd00:7::'), mac: macs.remote }),
  },
  {
    name: 'forwarding entry to IPv4',
    command: `bridge fdb replace ${macs.remote} dev vx4 dst 10.1.0.7 self permanent`,
    ours: replaceFdb({ index: vx4, mac: macs.remote, destination: address('10.1.0.7') }),
  },
  {
    name: 'forwarding entry to IPv6',
    command: `bridge fdb replace ${macs.remote} dev vx6 dst fd00:1::7 self permanent`,
    ours: replaceFdb({ index: vx6, mac: macs.remote, destination: address('fd00:1::7') }),
  },
  {
    name: 'forwarding entry for floods',
    command: `bridge fdb append ${macs.none} dev vx4 dst 10.1.0.8 self permanent`,
    ours: appendFdb({ index: vx4, mac: macs.none, destination: address('10.1.0.8') }),
  },
  {
    name: 'IPv4 route of a lease',
    command: 'ip route replace 10.244.7.0/24 via 10.244.7.0 dev vx4 onlink proto 104',
    ours: replaceRoute({ ...lease4, gateway: address('10.244.7.0'), oif: vx4, onlink: true }),
  },
  {
    name: 'IPv6 route of a lease',
    command: 'ip route replace fd00:7::/64 via fd00:7:: dev vx6 onlink proto 104',
    ours: replaceRoute({ ...lease6, gateway: address('fd00:7::'), oif: vx6, onlink: true }),
  },
  {
    name: 'default route with metrics',
    command: 'ip route add default via 10.1.0.254 mtu 1300 advmss 1200 metric 5 src 10.1.0.1',
    ours: addRoute({
      destination: prefix('0.0.0.0/0'),
      gateway: address('10.1.0.254'),
      mtu: 1300,
      advmss: 1200,
      priority: 5,
      source: address('10.1.0.1'),
    }),
  },
  {
    name: 'route to a link',
    command: 'ip route add 10.9.0.0/16 dev br0',
    ours: addRoute({ destination: prefix('10.9.0.0/16'), oif: bridge }),
  },
  {
    name: 'blackhole in another table',
    command: 'ip route add blackhole 10.99.0.0/16 table 1000 proto 104',
    ours: addRoute({
      destination: prefix('10.99.0.0/16'),
      type: 'blackhole',
      table: 1000,
      protocol: 104,
    }),
  },
  {
    name: 'IPv4 route by an IPv6 gateway',
    command: 'ip route add 10.10.0.0/16 via inet6 fd00:1::9 dev br0',
    ours: addRoute({
      destination: prefix('10.10.0.0/16'),
      gateway: address('fd00:1::9'),
      oif: bridge,
    }),
  },
  {
    name: 'route with two ways',
    command:
      'ip route add 10.11.0.0/16 nexthop via 10.1.0.5 dev br0 weight 3 nexthop via 10.1.0.6 dev br0',
    ours: addRoute({
      destination: prefix('10.11.0.0/16'),
      hops: [
        { gateway: address('10.1.0.5'), oif: bridge, weight: 3, flags: 0 },
        { gateway: address('10.1.0.6'), oif: bridge, weight: 1, flags: 0 },
      ],
    }),
  },
]

/** Asked after the changes above are made. */
export const replyCases: readonly ReplyCase[] = [
  { name: 'links', command: 'ip -d link show', type: RTM_NEWLINK },
  { name: 'ports of a bridge', command: 'ip -d link show master br0', type: RTM_NEWLINK },
  { name: 'addresses', command: 'ip address show', type: RTM_NEWADDR },
  { name: 'IPv4 routes', command: 'ip -d route show table all', type: RTM_NEWROUTE },
  { name: 'IPv6 routes', command: 'ip -d -6 route show table all', type: RTM_NEWROUTE },
  { name: 'one route', command: 'ip -d route get 10.244.7.9', type: RTM_NEWROUTE },
  { name: 'IPv4 neighbours', command: 'ip neighbour show dev vx4', type: RTM_NEWNEIGH },
  {
    name: 'IPv6 neighbours',
    command: 'ip -6 neighbour show dev vx6 nud permanent',
    type: RTM_NEWNEIGH,
  },
  { name: 'forwarding entries', command: 'bridge fdb show', type: RTM_NEWNEIGH },
]

/** Changes that undo the first, after the questions. */
export const undoCases: readonly RequestCase[] = [
  {
    name: 'IPv4 neighbour deleted',
    command: 'ip neighbour del 10.244.7.0 dev vx4',
    ours: deleteNeighbour({ index: vx4, address: address('10.244.7.0') }),
  },
  {
    name: 'forwarding entry deleted',
    command: `bridge fdb del ${macs.remote} dev vx4 dst 10.1.0.7 self`,
    ours: deleteFdb({ index: vx4, mac: macs.remote, destination: address('10.1.0.7') }),
  },
  {
    name: 'route deleted',
    command: 'ip route del 10.244.7.0/24 via 10.244.7.0 dev vx4 proto 104',
    ours: deleteRoute({ ...lease4, gateway: address('10.244.7.0'), oif: vx4 }),
  },
  {
    name: 'link deleted',
    command: 'ip link del dev vx4',
    ours: deleteLink({ index: vx4 }),
  },
]

/** Requests that the kernel refuses with words of its own. */
export const refusals: readonly ReplyCase[] = [
  {
    name: 'gateway out of reach',
    command: 'ip route add 10.12.0.0/16 via 192.0.2.1',
    type: NLMSG_ERROR,
  },
  { name: 'address twice', command: 'ip address add 10.1.0.1/24 dev br0', type: NLMSG_ERROR },
]
