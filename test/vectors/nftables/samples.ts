/** Tables like those heddle makes on a host, for the vectors and the tests that read them. */
import { daemonTable } from '../../../firewall/daemon-table.ts'
import { masqueradeTable } from '../../../firewall/masquerade-table.ts'
import { addressToBytes, parseAddress } from '../../../ip/address.ts'
import { type Prefix, parsePrefix } from '../../../ip/prefix.ts'
import { priorities } from '../../../netlink/nftables/chain.ts'
import type { Expression } from '../../../netlink/nftables/expression.ts'
import {
  addressIs,
  addressVerdict,
  destinationIsLocal,
  familyIs,
  interfaceIs,
  masquerade,
  statusHas,
  verdict,
} from '../../../netlink/nftables/match.ts'
import {
  dnatToMap,
  endpointData,
  portKey,
  portMapType,
} from '../../../netlink/nftables/port-map.ts'
import type { Rule } from '../../../netlink/nftables/rule.ts'
import type { SetSpec, TableSpec } from '../../../netlink/nftables/table-spec.ts'

export function prefixes(...texts: readonly string[]): Prefix[] {
  return texts.flatMap((text) => parsePrefix(text) ?? [])
}

export const addresses = (...texts: readonly string[]) =>
  texts.flatMap((t) => parseAddress(t) ?? [])

/** Two adjacent networks, one of another mask than bytes, and dual stack. */
export const daemonSample: TableSpec = daemonTable({
  instance: 'default',
  networks: prefixes('10.244.0.0/16', '10.0.0.0/9', '10.128.0.0/9', '172.16.0.0/12', 'fc00::/48'),
  subnets: prefixes('10.244.3.1/24', 'fc00:0:0:3::1/64'),
  ipMasq: true,
  fullyRandom: true,
  forward: true,
})

const container = '5e1bdd0ebc1ca41e1be9bb1ae37f8be7ee0b2a9e8e9fca3b5bd0ab9e0e1b4b8a'

export const pluginSample: TableSpec = masqueradeTable([
  {
    network: 'brnet',
    owner: { containerId: container, ifname: 'eth0' },
    addresses: addresses('10.88.0.5', 'fd00:88::5'),
    exempt: prefixes('10.88.0.0/16', 'fd00:88::/64', '10.244.0.0/16'),
  },
  {
    network: 'a "quoted" name',
    owner: { containerId: 'c2', ifname: 'net1' },
    addresses: addresses('10.89.0.5'),
    exempt: prefixes('10.89.0.0/24'),
  },
])

const [container4, container6, host4, host6] = addresses(
  '10.88.0.5',
  'fd00:88::5',
  '192.0.2.1',
  '2001:db8::1',
)

function portMap(family: 4 | 6, byAddress: boolean): SetSpec {
  const [container, host] = family === 4 ? [container4, host4] : [container6, host6]
  if (!container || !host) throw new Error('an address above is none')
  const on = byAddress ? { address: host } : {}
  return {
    name: `${byAddress ? 'at' : 'ports'}${family}`,
    ...portMapType(family, { byAddress }),
    flags: [],
    elements: [
      {
        key: portKey({ protocol: 'tcp', port: 8080, ...on }),
        data: endpointData({ address: container, port: 80 }),
        comment: 'brnet c1 eth0',
      },
      {
        key: portKey({ protocol: 'sctp', port: 65535, ...on }),
        data: endpointData({ address: container, port: 1 }),
      },
    ],
  }
}

const rulesOf = (...rules: readonly (readonly Expression[])[]): Rule[] =>
  rules.map((expressions) => ({ expressions }))

/** Every statement that published ports are made of. */
export const portsSample: TableSpec = {
  family: 'inet',
  name: 'ports',
  sets: [
    ...([4, 6] as const).flatMap((family) => [portMap(family, false), portMap(family, true)]),
    {
      name: 'places',
      key: ['ipv4_addr'],
      data: 'verdict',
      flags: [],
      elements: addresses('127.0.0.1').map((address) => ({
        key: addressToBytes(address),
        data: { code: 'jump', chain: 'ports' },
        comment: 'loopback',
      })),
    },
  ],
  chains: [
    {
      name: 'ports',
      rules: rulesOf(
        [...familyIs(4), ...dnatToMap({ name: 'at4', family: 4 }, { byAddress: true })],
        dnatToMap({ name: 'ports4', family: 4 }),
        [...familyIs(6), ...dnatToMap({ name: 'at6', family: 6 }, { byAddress: true })],
        dnatToMap({ name: 'ports6', family: 6 }),
      ),
    },
    {
      name: 'raw',
      base: { type: 'filter', hook: 'prerouting', priority: priorities.raw - 10, policy: 'accept' },
      rules: rulesOf([
        ...interfaceIs('input', 'lo', { not: true }),
        ...familyIs(4),
        ...prefixes('127.0.0.0/8').flatMap((loopback) => addressIs('destination', loopback)),
        verdict('drop'),
      ]),
    },
    {
      name: 'prerouting',
      base: { type: 'nat', hook: 'prerouting', priority: priorities.dstnat + 5, policy: 'accept' },
      rules: rulesOf(
        [...destinationIsLocal(), verdict('jump', 'ports')],
        [...familyIs(4), ...addressVerdict('destination', { name: 'places', family: 4 })],
        [...familyIs(6), ...destinationIsLocal(), verdict('jump', 'ports')],
      ),
    },
    {
      name: 'output',
      base: { type: 'nat', hook: 'output', priority: priorities.dstnat + 5, policy: 'accept' },
      rules: rulesOf([...interfaceIs('output', 'lo'), verdict('jump', 'ports')]),
    },
    {
      name: 'postrouting',
      base: { type: 'nat', hook: 'postrouting', priority: priorities.srcnat, policy: 'accept' },
      rules: rulesOf(
        ...([4, 6] as const).map((family) => [
          ...statusHas('dnat'),
          ...familyIs(family),
          masquerade(),
        ]),
      ),
    },
  ],
}

/** Objects beyond what heddle writes: vmaps, intervals of two parts, statements of others. */
export const richRules = `table inet rich {
	comment "all kinds"
	set fixed6 {
		type ipv6_addr
		flags constant,interval
		elements = { fc00::/48, ff00::/8 }
	}
	map ports {
		type inet_proto . inet_service : ipv4_addr . inet_service
		elements = { tcp . 8080 comment "ctr1" : 10.1.1.1 . 80, udp . 53 : 10.1.1.2 . 53 }
	}
	map places {
		type ipv4_addr . inet_service : verdict
		flags interval
		elements = { 10.0.0.0/8 . 80-90 : accept, 10.1.0.0-10.1.0.9 . 22 : jump other }
	}
	set strangers {
		type ether_addr
		flags timeout
	}
	chain pre {
		comment "the way in"
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local dnat ip addr . port to meta l4proto . th dport map @ports
		ct status dnat meta mark set meta mark | 0x2000
		tcp dport 80-90 ct state established,related accept comment "known"
		iifname "cni0" jump other
		ip daddr . tcp dport vmap @places
		ip6 daddr fc00::1 tcp dport != 80-90 dnat to [fc00::2]:8080
		ether saddr @strangers limit rate 5/second log prefix "who"
	}
	chain other {
		counter return
	}
}
`
