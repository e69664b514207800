import { createHash } from 'node:crypto'
import test from 'ava'
import { addPod, type Host } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { nft, probe, shell } from './firewall-support.ts'
import { hostsFor, nth } from './support.ts'

const folder = '/usr/lib/cni'
const conf = {
  cniVersion: '1.0.0',
  name: 'refnet',
  bridge: 'ref0',
  isGateway: true,
  ipMasq: true,
  ipam: {
    type: 'host-local',
    dataDir: '/run/lab/ref',
    ranges: [[{ subnet: '10.77.0.0/24' }], [{ subnet: 'fd00:77::/64' }]],
  },
}

/** One run of a reference plugin for the container of this name; what it printed. */
async function reference(
  host: Host,
  call: { plugin: string; command: string; id: string; conf: object },
): Promise<object> {
  const { plugin, command, id } = call
  const env = [
    `CNI_COMMAND=${command}`,
    `CNI_CONTAINERID=${id}`,
    `CNI_NETNS=/run/netns/${id}`,
    'CNI_IFNAME=eth0',
    `CNI_PATH=${folder}`,
  ] as const
  const out = await runAt(host, ['env', ...env, `${folder}/${plugin}`], {
    input: JSON.stringify({ ...call.conf, type: plugin }),
  })
  return out === '' ? {} : (JSON.parse(out) as object)
}

/** bridge, host-local and portmap for containers c1 and c2, two ports each. */
async function addBoth(host: Host): Promise<Map<string, object>> {
  const results = new Map<string, object>()
  for (const [index, id] of ['c1', 'c2'].entries()) {
    await addPod(host, id)
    const prevResult = await reference(host, { plugin: 'bridge', command: 'ADD', id, conf })
    const ports = portsConf(index, prevResult)
    await reference(host, { plugin: 'portmap', command: 'ADD', id, conf: ports })
    results.set(id, prevResult)
  }
  return results
}

function portsConf(index: number, prevResult?: object): object {
  const portMappings = [
    { hostPort: 8080 + index, containerPort: 80, protocol: 'tcp' },
    { hostPort: 5300 + index, containerPort: 53, protocol: 'udp', hostIP: '10.100.0.1' },
  ]
  return {
    ...conf,
    prevResult,
    capabilities: { portMappings: true },
    runtimeConfig: { portMappings },
  }
}

/** Every rule of the host, without what counts packets or says when. */
async function rules(host: Host): Promise<string> {
  const text = await shell(host, 'iptables-save; ip6tables-save; /usr/sbin/nft list ruleset')
  return text.replaceAll(/^#.*\n/gm, '').replaceAll(/ packets \d+ bytes \d+| ?\[\d+:\d+\]/g, '')
}

const attachment = { network: conf.name, containerId: 'c1', ifname: 'eth0' }
const all = { ...attachment, masquerade: true, ports: true }

test('removeReferenceRules: leaves what the plugins themselves leave when they delete', async (t) => {
  const hosts = await hostsFor(t, { name: 'reference', count: 2 })
  const [theirs, ours] = [nth(hosts, 0), nth(hosts, 1)]
  const results = await addBoth(theirs)
  const ports = portsConf(0, results.get('c1'))
  await reference(theirs, { plugin: 'portmap', command: 'DEL', id: 'c1', conf: ports })
  await reference(theirs, { plugin: 'bridge', command: 'DEL', id: 'c1', conf })

  t.is(await probe(ours, 'removeReference', all), false, 'nothing there')
  await addBoth(ours)
  const before = await rules(ours)
  t.is(await probe(ours, 'removeReference', { ...all, network: 'other' }), false)
  t.is(await probe(ours, 'removeReference', { ...all, containerId: 'c3' }), false)
  t.is(await rules(ours), before)

  t.is(await probe(ours, 'removeReference', { ...all, ports: false }), true)
  const half = await rules(ours)
  t.regex(half, /-A CNI-DN-\w+ .*10\.77\.0\.2:80/)
  t.notRegex(half, /-s 10\.77\.0\.2\/32/)
  t.is(await probe(ours, 'removeReference', all), true)
  t.is(await rules(ours), await rules(theirs))
  t.regex(await rules(ours), /10\.77\.0\.3:80/, 'the other container keeps its ports')
  t.is(await probe(ours, 'removeReference', all), false)
})

/** The tables as the nftables backends of the plugins' later releases write them, for c1 and c2. */
function laterTables(ids: readonly string[]): string {
  const hash = (text: string) => createHash('sha512').update(text).digest('hex').slice(0, 16)
  const tag = (id: string) =>
    `${hash('refnet')}-${hash(`eth0:${id}`)}, net: refnet, if: eth0, id: ${id}`
  const host = (id: string) => `10.77.0.${id.slice(1)}`
  return `table inet cni_plugins_masquerade {
  chain masq_checks {
    ${ids.map((id) => `ip saddr ${host(id)} ip daddr != 10.77.0.0/24 masquerade comment "${tag(id)}"`).join('\n')}
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip daddr 224.0.0.0/4 return
    goto masq_checks
  }
}
table ip cni_hostport {
  chain hostports {
    ${ids.map((id) => `tcp dport 808${id.slice(1)} dnat to ${host(id)}:80 comment "${id}"`).join('\n')}
  }
  chain hostip_hostports {
    ${ids.map((id) => `ip daddr 10.100.0.1 tcp dport 80 dnat to ${host(id)}:80 comment "${id}"`).join('\n')}
  }
  chain masquerading {
    type nat hook postrouting priority srcnat; policy accept;
    ${ids.map((id) => `ip saddr ${host(id)} ip daddr ${host(id)} masquerade comment "${id}"`).join('\n')}
  }
}
`
}

test('removeReferenceRules: finds the rules of the nftables backends by their comments', async (t) => {
  const host = nth(await hostsFor(t, { name: 'reference-nft', count: 1 }), 0)
  const load = (ids: readonly string[]) =>
    shell(host, `/usr/sbin/nft -f - <<'END'\n${laterTables(ids)}END`)
  await load(['c2'])
  const wanted = await nft(host, 'list', 'ruleset')
  await nft(host, 'flush', 'ruleset')
  await load(['c1', 'c2'])
  t.is(await probe(host, 'removeReference', all), true)
  t.is(await nft(host, 'list', 'ruleset'), wanted)
  t.is(await probe(host, 'removeReference', all), false)
})
