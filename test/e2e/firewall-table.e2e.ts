import test, { type ExecutionContext } from 'ava'
import { type Place, runAt } from '../../scripts/lab/place.ts'
import { mapLimit, run } from '../../scripts/lab/run.ts'
import type { PublishedText } from './firewall-probe.ts'
import { nft, probe, shell } from './firewall-support.ts'

/** A namespace of the test's own, gone after it. */
async function placeFor(t: ExecutionContext, name: string): Promise<Place> {
  const netns = `heddle-fw-${name}-${process.pid}`
  await run(['ip', 'netns', 'add', netns])
  t.teardown(() => run(['ip', 'netns', 'delete', netns]))
  return { name, enter: ['ip', 'netns', 'exec', netns] }
}

function attachment(number: number, ports: readonly string[], network = 'brnet'): PublishedText {
  const near = ['10.88.0.0/16', '127.0.0.0/8', 'fd00:88::/64']
  const addresses = [`10.88.0.${number}`, `fd00:88::${number}`]
  return { network, id: `c${number}`, ports, addresses, near }
}

/** A listing that can be compared: one space for any space, and elements in one order. */
function plain(listing: string): string {
  return listing
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/elements = \{ ([^}]*) \}/g, (_, list: string) => {
      return `elements = { ${list.split(', ').sort().join(', ')} }`
    })
    .trim()
}

const many = attachment(2, [
  'tcp:8080:80',
  'udp:53:53',
  'sctp:3868:3868',
  'sctp:3869:1:192.0.2.1',
  'tcp:8081:81:2001:db8::1',
])

test('publishPorts: nft lists what we render, and loads its own listing again', async (t) => {
  const place = await placeFor(t, 'listing')
  t.is(await probe(place, 'publish', many), 'published')
  const listing = await nft(place, 'list', 'ruleset')
  t.is(plain(listing), plain(String(await probe(place, 'render'))))
  t.regex(listing, /192\.0\.2\.1 \. sctp \. 3869 comment "brnet c2 eth0" : 10\.88\.0\.2 \. 1\b/)
  await shell(
    place,
    '/usr/sbin/nft list ruleset >/tmp/$$; /usr/sbin/nft flush ruleset; /usr/sbin/nft -f /tmp/$$; rm /tmp/$$',
  )
  t.is(plain(await nft(place, 'list', 'ruleset')), plain(listing))
  t.is(await probe(place, 'missing', many), null)
  t.is(await probe(place, 'sync', [many]), 'unchanged')
  t.is(await probe(place, 'publish', many), 'published', 'again')
  await probe(place, 'unpublish', many)
  t.notRegex(await nft(place, 'list', 'ruleset'), /brnet/)
  t.is(await probe(place, 'sync', []), 'unchanged', 'idle maps may stay')
})

test('syncPluginTable: repairs whatever was changed, and only then writes', async (t) => {
  const place = await placeFor(t, 'sync')
  const both = [attachment(2, ['tcp:8080:80']), attachment(3, ['udp:53:53:192.0.2.1'])]
  await probe(place, 'publish', both[0])
  for (const one of both) await probe(place, 'attach', one)
  await probe(place, 'publish', both[1])
  t.is(await probe(place, 'syncBoth', both), 'unchanged', 'as attached, in any order')
  const wanted = await nft(place, 'list', 'ruleset')
  for (const tampering of [
    'flush ruleset',
    'flush chain inet heddle-cni published',
    'flush chain inet heddle-cni loopback',
    'add rule inet heddle-cni prerouting drop',
    'delete element inet heddle-cni ports4 { tcp . 8080 }',
    'delete element inet heddle-cni near6 { fd00:88::2 }',
    'add element inet heddle-cni ports4 { tcp . 81 : 10.88.0.9 . 80 }',
  ]) {
    await nft(place, ...tampering.split(' '))
    t.is(await probe(place, 'syncBoth', both), 'written', tampering)
    t.is(await probe(place, 'syncBoth', both), 'unchanged', tampering)
    t.is(sorted(await nft(place, 'list', 'ruleset')), sorted(wanted), tampering)
  }
  await probe(place, 'detach', both[0])
  t.is(await probe(place, 'syncBoth', []), 'written')
  t.notRegex(await nft(place, 'list', 'ruleset'), /brnet c/)
})

/** The blocks of a listing in one order, for tables that were made in different steps. */
function sorted(listing: string): string {
  return plain(listing.replaceAll(/}\n|v=1"\n/g, '$&#'))
    .split('#')
    .sort()
    .join('\n')
}

test('missingPublished: names the port or the rule that is gone', async (t) => {
  const place = await placeFor(t, 'missing')
  t.regex(
    String(await probe(place, 'missing', many)),
    /map ports4 .* has no 8080\/tcp of brnet c2 eth0/,
  )
  await probe(place, 'publish', many)
  await nft(
    place,
    'delete',
    'element',
    'inet',
    'heddle-cni',
    'ports4-at',
    '{ 192.0.2.1 . sctp . 3869 }',
  )
  t.regex(String(await probe(place, 'missing', many)), /has no 192\.0\.2\.1 3869\/sctp of brnet c2/)
  await probe(place, 'publish', many)
  t.is(await probe(place, 'missing', many), null)
  await nft(place, 'flush', 'chain', 'inet', 'heddle-cni', 'output')
  t.regex(String(await probe(place, 'missing', many)), /chain output .* fib daddr type local/)
})

test('publishPorts: of many who want one port at once exactly one gets it', async (t) => {
  const place = await placeFor(t, 'race')
  const numbers = Array.from({ length: 12 }, (_, index) => index + 2)
  const answers = await mapLimit(numbers, 12, (number) =>
    probe(place, 'publish', attachment(number, ['tcp:8080:80'])),
  )
  t.is(answers.filter((answer) => answer === 'published').length, 1)
  const [winner = ''] =
    /c\d+ eth0/.exec(await nft(place, 'list', 'map', 'inet', 'heddle-cni', 'ports4')) ?? []
  const refusal = `host port 8080/tcp is taken by container ${winner.split(' ')[0]} (interface eth0 of network brnet)`
  for (const answer of answers) t.true(answer === 'published' || answer === refusal, String(answer))
})

test('publishPorts: every address and a single one never both get a port', async (t) => {
  const place = await placeFor(t, 'wide')
  const numbers = Array.from({ length: 12 }, (_, index) => index + 2)
  for (const port of [7000, 7001, 7002]) {
    const answers = await mapLimit(numbers, 12, async (number) => {
      const isWide = number % 2 === 0
      const mapping = isWide ? `udp:${port}:80` : `udp:${port}:80:192.0.2.${number}`
      const answer = await probe(place, 'publish', attachment(number, [mapping]))
      return { isWide, won: answer === 'published' }
    })
    const won = answers.filter((answer) => answer.won)
    const wide = won.filter(({ isWide }) => isWide).length
    // One has them all, or the six single addresses are everybody's own.
    t.true(wide === 1 ? won.length === 1 : wide === 0 && won.length === 6, JSON.stringify(answers))
  }
})

test('publishPorts: takes over what the dead left, on every address or one', async (t) => {
  const place = await placeFor(t, 'dead')
  await probe(place, 'publish', attachment(2, ['tcp:1:80', 'tcp:2:80:192.0.2.1', 'tcp:3:80']))
  const wanted = attachment(3, ['tcp:1:80', 'tcp:2:80', 'tcp:3:80:192.0.2.1'])
  const before = await nft(place, 'list', 'ruleset')
  t.regex(
    String(await probe(place, 'publish', { ...wanted, dead: 'c4' })),
    /is taken by container c2/,
  )
  t.is(await nft(place, 'list', 'ruleset'), before)
  t.is(await probe(place, 'publish', { ...wanted, dead: 'c2' }), 'published')
  t.is(await probe(place, 'missing', wanted), null)
  t.notRegex(await nft(place, 'list', 'map', 'inet', 'heddle-cni', 'ports4'), /c2/)
  await probe(place, 'unpublish', attachment(2, ['tcp:1:80', 'tcp:2:80:192.0.2.1', 'tcp:3:80']))
  t.is(await probe(place, 'missing', wanted), null, 'the late DEL of the former owner')
})

test('prunePublished: removes a network’s ports that nobody keeps, and no other network’s', async (t) => {
  const place = await placeFor(t, 'prune')
  t.is(await probe(place, 'prune', { network: 'brnet', keep: [] }), 0)
  await probe(place, 'publish', attachment(2, ['tcp:1:80', 'tcp:2:80:192.0.2.1']))
  await probe(place, 'publish', attachment(3, ['tcp:3:80']))
  await probe(place, 'publish', attachment(4, ['tcp:4:80'], 'brnet2'))
  t.is(await probe(place, 'prune', { network: 'brnet', keep: ['c3'] }), 3)
  t.is(await probe(place, 'missing', attachment(3, ['tcp:3:80'])), null)
  t.is(await probe(place, 'missing', attachment(4, ['tcp:4:80'], 'brnet2')), null)
  t.notRegex(await nft(place, 'list', 'ruleset'), /c2 eth0/)
})

test('attachMasquerade: goes on beside published ports, whichever comes first', async (t) => {
  const place = await placeFor(t, 'beside')
  const [one, other] = [attachment(2, ['tcp:1:80']), attachment(3, ['tcp:2:80'])]
  await probe(place, 'publish', one)
  await probe(place, 'attach', one)
  await probe(place, 'attach', other)
  await probe(place, 'publish', other)
  t.is(await probe(place, 'syncBoth', [one, other]), 'unchanged')
  for (const each of [one, other]) {
    await probe(place, 'detach', each)
    t.is(await probe(place, 'missing', each), null)
    await probe(place, 'unpublish', each)
  }
  t.is(await probe(place, 'syncBoth', []), 'unchanged')
})

test('publishPorts: leaves the table of a newer heddle as it is', async (t) => {
  const place = await placeFor(t, 'newer')
  await probe(place, 'publish', many)
  const listing = await nft(place, 'list', 'ruleset')
  await shell(
    place,
    `/usr/sbin/nft -f - <<'END'\nflush ruleset\n${listing.replace('heddle v=1', 'heddle v=2')}\nEND`,
  )
  const before = await nft(place, 'list', 'ruleset')
  const error = await t.throwsAsync(probe(place, 'publish', attachment(9, ['tcp:9:80'])))
  t.regex(error?.message ?? '', /inet heddle-cni has version 2, this heddle knows up to 1/)
  t.is(await nft(place, 'list', 'ruleset'), before)
})

test('ensureForwardAccept: iptables shows the rules as its own, and can remove them', async (t) => {
  const place = await placeFor(t, 'accept')
  t.is(await probe(place, 'accept', 'cni0'), 'absent')
  t.is(await probe(place, 'missingAccept', 'cni0'), null)
  await runAt(place, ['iptables', '-P', 'FORWARD', 'DROP'])
  await runAt(place, ['iptables', '-A', 'FORWARD', '-i', 'other0', '-j', 'ACCEPT'])
  await runAt(place, ['ip6tables', '-P', 'FORWARD', 'DROP'])
  t.is(
    await probe(place, 'missingAccept', 'cni0'),
    'nftables chain ip filter FORWARD has no rule: iifname "cni0" counter accept',
  )
  await Promise.all([1, 2, 3, 4].map(() => probe(place, 'accept', 'cni0')))
  t.is(await probe(place, 'accept', 'cni0'), 'unchanged')
  t.is(await probe(place, 'accept', 'cni1'), 'written', 'another bridge has its own')
  const ours = (bridge: string) => [
    `-A FORWARD -i ${bridge} -j ACCEPT`,
    `-A FORWARD -o ${bridge} -j ACCEPT`,
  ]
  const shown = async (tool: string) =>
    (await runAt(place, [tool, '-S', 'FORWARD']))
      .split('\n')
      .filter((line) => line.startsWith('-A'))
  const [first, ...others] = await shown('iptables')
  t.is(first, '-A FORWARD -i other0 -j ACCEPT', 'appended, not put first')
  t.deepEqual(others, [...ours('cni0'), ...ours('cni1')])
  t.deepEqual(await shown('ip6tables'), others)
  t.is(await probe(place, 'missingAccept', 'cni0'), null)
  await runAt(place, ['iptables', '-D', 'FORWARD', '-o', 'cni0', '-j', 'ACCEPT'])
  t.regex(
    String(await probe(place, 'missingAccept', 'cni0')),
    /ip filter FORWARD has no rule: oifname "cni0"/,
  )
  t.is(await probe(place, 'accept', 'cni0'), 'written')
  await shell(place, 'iptables-save | iptables-restore')
  t.is(await probe(place, 'accept', 'cni0'), 'unchanged', 'restored without our mark')
  t.is(await probe(place, 'unaccept', 'cni0'), true)
  t.is(await probe(place, 'unaccept', 'cni0'), false)
  t.deepEqual(await shown('iptables'), ['-A FORWARD -i other0 -j ACCEPT', ...ours('cni1')])
})
