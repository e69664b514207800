import { readFileSync, writeFileSync } from 'node:fs'
import { readLease, subnetFile } from '../lab/heddle.ts'
import { type Host, hostFile } from '../lab/lab.ts'
import { runAt } from '../lab/place.ts'

/** What a host of a vxlan network is to its peers. */
interface Member {
  readonly publicIP: string
  /** `10.244.5.0/24` */
  readonly subnet: string
  readonly mac: string
}

const device = 'flannel.1'

/**
 * Makes on the hosts of a second lab, with the commands an administrator has, what the daemons have
 * made on those of the first: same addresses, same MACs. The plugin's subnet file is copied.
 */
export async function remakeByHand(
  originals: readonly Host[],
  hosts: readonly Host[],
): Promise<void> {
  const members = await Promise.all(originals.map(memberOf))
  for (const [at, host] of hosts.entries()) {
    const [original, own] = [originals[at], members[at]]
    if (!original || !own) throw new RangeError('The two labs have as many hosts')
    const peers = members.filter((member) => member !== own)
    await make(host, own, peers, readLease(original).mtu)
    await runAt(host, ['mkdir', '-p', '/run/flannel'])
    const text = readFileSync(hostFile(original, subnetFile), 'utf8')
    writeFileSync(hostFile(host, subnetFile), text)
  }
}

async function memberOf(host: Host): Promise<Member> {
  const json = await runAt(host, ['ip', '-j', 'link', 'show', device])
  const [{ address: mac }] = JSON.parse(json) as [{ address: string }]
  return { publicIP: host.publicIP, subnet: readLease(host).subnet, mac }
}

async function make(host: Host, own: Member, peers: readonly Member[], mtu: number): Promise<void> {
  const at = (subnet: string): string => subnet.replace(/\/\d+$/, '')
  const type = `vxlan id 1 dev eth0 local ${own.publicIP} dstport 8472 nolearning`
  const links = [
    `link add ${device} address ${own.mac} mtu ${mtu} up type ${type}`,
    `addr add ${at(own.subnet)}/32 dev ${device}`,
  ]
  const neighbours = peers.map(
    ({ subnet, mac }) => `neigh add ${at(subnet)} lladdr ${mac} dev ${device} nud permanent`,
  )
  const routes = peers.map(
    ({ subnet }) => `route add ${subnet} via ${at(subnet)} dev ${device} onlink proto 104`,
  )
  await ip(host, links)
  await ip(host, neighbours)
  for (const { mac, publicIP } of peers) {
    await runAt(host, [
      'bridge',
      'fdb',
      'add',
      mac,
      'dev',
      device,
      'dst',
      publicIP,
      'self',
      'permanent',
    ])
  }
  await ip(host, routes)
  await runAt(host, ['/usr/sbin/nft', '-f', '-'], { input: table(own.subnet) })
  const settings = [
    'echo 1 >/proc/sys/net/ipv4/ip_forward',
    `echo 0 >/proc/sys/net/ipv6/conf/${device}/accept_ra`,
  ]
  await runAt(host, ['sh', '-c', settings.join(' && ')])
}

async function ip(host: Host, lines: readonly string[]): Promise<void> {
  await runAt(host, ['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` })
}

/** The rules of a network that does not masquerade. */
function table(subnet: string): string {
  return `table inet heddle-net-default {
	comment "heddle v=1"
	set networks4 {
		type ipv4_addr
		flags interval
		elements = { 10.244.0.0/16 }
	}
	set subnets4 {
		type ipv4_addr
		flags interval
		elements = { ${subnet} }
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		ip saddr @networks4 accept
		ip daddr @networks4 accept
	}
}
`
}

/** What must not differ between a host of the daemon's and one made by hand. */
export async function dump(host: Host): Promise<string[]> {
  const commands = [
    ['ip', '-d', '-j', 'link', 'show', device],
    ['ip', '-d', '-j', '-4', 'addr', 'show', device],
    ['ip', '-d', '-j', 'route', 'show', 'table', 'all', 'dev', device],
    ['ip', '-d', '-j', 'neigh', 'show', 'dev', device],
    ['bridge', '-d', '-j', 'fdb', 'show', 'dev', device],
    ['/usr/sbin/nft', 'list', 'ruleset'],
  ] as const
  const dumps: string[] = []
  for (const command of commands) {
    const text = await runAt(host, command)
    // The number of a device tells only what else was made before it.
    dumps.push(`${command.join(' ')}\n${text.replaceAll(/"(ifindex|link_index)":\d+,/g, '')}`)
  }
  return dumps
}
