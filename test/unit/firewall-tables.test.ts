import test from 'ava'
import { type DaemonTableInput, daemonTable } from '../../firewall/daemon-table.ts'
import { masqueradeTable } from '../../firewall/masquerade-table.ts'
import { commentText } from '../../firewall/names.ts'
import { renderTable } from '../../netlink/nftables/render.ts'
import { sameTable } from '../../netlink/nftables/table-spec.ts'
import { addresses, prefixes } from '../vectors/nftables/samples.ts'

const input: DaemonTableInput = {
  instance: 'blue',
  networks: prefixes('10.5.0.0/16'),
  subnets: prefixes('10.5.34.1/24'),
  ipMasq: true,
  fullyRandom: false,
  forward: true,
}

test('daemonTable: masquerades as flannel’s six rules do, and accepts what is forwarded', (t) => {
  t.is(
    renderTable(daemonTable(input)),
    `table inet heddle-net-blue {
	comment "heddle v=1"
	set networks4 {
		type ipv4_addr
		flags interval
		elements = { 10.5.0.0/16 }
	}
	set subnets4 {
		type ipv4_addr
		flags interval
		elements = { 10.5.34.0/24 }
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		meta mark & 0x00004000 == 0x00004000 return
		ip saddr @subnets4 ip daddr @networks4 return
		ip saddr @networks4 ip daddr @subnets4 return
		ip saddr != @networks4 ip daddr @subnets4 return
		ip saddr @networks4 ip daddr != 224.0.0.0/4 masquerade
		ip saddr != @networks4 ip daddr @networks4 masquerade
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		ip saddr @networks4 accept
		ip daddr @networks4 accept
	}
}`,
  )
})

test('daemonTable: has only the chains that are asked for', (t) => {
  const names = (change: Partial<DaemonTableInput>) =>
    daemonTable({ ...input, ...change }).chains.map(({ name }) => name)
  t.deepEqual(names({}), ['postrouting', 'forward'])
  t.deepEqual(names({ ipMasq: false }), ['forward'])
  t.deepEqual(names({ forward: false }), ['postrouting'])
  t.deepEqual(names({ ipMasq: false, forward: false }), [])
})

test('daemonTable: picks ports at random only if asked, in both families', (t) => {
  const dual = { ...input, networks: prefixes('10.5.0.0/16', 'fc00::/48') }
  const count = (fullyRandom: boolean) =>
    renderTable(daemonTable({ ...dual, fullyRandom })).split('masquerade fully-random').length - 1
  t.is(count(false), 0)
  t.is(count(true), 4)
})

test('daemonTable: a family without networks has no part in it', (t) => {
  const table = renderTable(daemonTable({ ...input, networks: prefixes('fc00::/48'), subnets: [] }))
  t.regex(table, /set networks6/)
  t.regex(table, /ip6 daddr != ff00::\/8 masquerade/)
  t.notRegex(table, /ip saddr|networks4/)
})

test('daemonTable: refuses an instance name that cannot be part of a table’s name', (t) => {
  for (const instance of ['', 'a b', 'a"b', '../x', 'x'.repeat(65)]) {
    t.throws(() => daemonTable({ ...input, instance }), { instanceOf: RangeError })
  }
})

const owner = { containerId: 'c1', ifname: 'eth0' }
const attachment = {
  network: 'brnet',
  owner,
  addresses: addresses('10.88.0.5', 'fd00::5'),
  exempt: prefixes('10.88.0.1/16', '10.244.0.0/16', 'fd00::/64'),
}

test('masqueradeTable: a network has one rule a family, whatever the number of containers', (t) => {
  const many = Array.from({ length: 50 }, (_, index) => ({
    ...attachment,
    owner: { ...owner, containerId: `c${index}` },
    addresses: addresses(`10.88.0.${index + 2}`, `fd00::${index + 2}`),
  }))
  const { chains, sets } = masqueradeTable(many)
  t.is(chains[0]?.rules.length, 3, 'and the one for packets that others masquerade')
  t.deepEqual(
    sets.map(({ elements, flags }) => (flags.length > 0 ? 'exempt' : elements.length)),
    [50, 'exempt', 50, 'exempt'],
  )
})

test('masqueradeTable: order, host bits and doubles of what is exempt mean nothing', (t) => {
  const exempt = prefixes('fd00::7/64', '10.244.3.0/16', '10.88.0.0/16')
  t.true(sameTable(masqueradeTable([attachment]), masqueradeTable([{ ...attachment, exempt }])))
})

test('masqueradeTable: attachments with different exemptions each keep their own', (t) => {
  const other = {
    ...attachment,
    owner: { ...owner, containerId: 'c2' },
    addresses: addresses('10.88.0.6'),
    exempt: prefixes('10.88.0.0/16'),
  }
  const text = renderTable(masqueradeTable([attachment, other]))
  t.regex(text, /elements = \{ 10\.88\.0\.0\/16, 10\.244\.0\.0\/16, 224\.0\.0\.0\/4 \}/)
  t.regex(text, /elements = \{ 10\.88\.0\.0\/16, 224\.0\.0\.0\/4 \}/)
})

test('masqueradeTable: of two records of one address the later one has it', (t) => {
  const later = { ...attachment, owner: { ...owner, containerId: 'c2' } }
  const hosts = masqueradeTable([attachment, later]).sets.filter(({ flags }) => flags.length === 0)
  t.deepEqual(
    hosts.flatMap(({ elements }) => elements.map(({ comment }) => comment)),
    ['brnet c2 eth0', 'brnet c2 eth0'],
  )
})

test('masqueradeTable: names of networks never reach nft as they are', (t) => {
  const network = 'x" } ; flush ruleset #\n'
  const table = masqueradeTable([{ ...attachment, network }])
  for (const { name } of table.sets) t.regex(name, /^(hosts|exempt)[46]-[\da-f]{16}-[\da-f]{16}$/)
  t.notRegex(renderTable(table), /flush ruleset #/)
})

test('commentText: keeps what is plain and short, and tells cut texts apart', (t) => {
  t.is(commentText('brnet 5e1bdd0ebc1c eth0'), 'brnet 5e1bdd0ebc1c eth0')
  const [one, other] = ['a', 'b'].map((end) => commentText(`${'x'.repeat(200)}${end}`))
  t.not(one, other)
  t.true((one ?? '').length <= 127)
  t.not(commentText('a"b'), commentText('a_b'))
})
