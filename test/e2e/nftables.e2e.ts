import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { renderTable } from '../../netlink/nftables/render.ts'
import { run } from '../../scripts/lab/run.ts'
import { daemonSample } from '../vectors/nftables/samples.ts'

const root = join(import.meta.dirname, '../..')
/** By its path: a development dependency brings another program of this name. */
const nft = '/usr/sbin/nft'
const probeFile = join(import.meta.dirname, 'nftables-probe.ts')

interface Host {
  /** Runs a command in the namespace. */
  run(...command: [string, ...string[]]): Promise<string>
  /** Runs the probe there: heddle's own code. */
  probe(verb: string, number?: number): Promise<unknown>
}

/** A namespace of the test's own, gone after it. */
async function hostFor(t: ExecutionContext, name: string): Promise<Host> {
  const netns = `heddle-nft-${name}-${process.pid}`
  await run(['ip', 'netns', 'add', netns])
  t.teardown(() => run(['ip', 'netns', 'delete', netns]))
  const inside = (...command: [string, ...string[]]) =>
    run(['ip', 'netns', 'exec', netns, ...command])
  return {
    run: inside,
    async probe(verb, number = 0) {
      const bun = join(root, 'node_modules/.bin/bun')
      return JSON.parse(await inside(bun, 'run', probeFile, verb, `${number}`)) as unknown
    },
  }
}

/** A listing with one space for any space, and without what counts packets. */
const plain = (text: string) =>
  text
    .replaceAll(/ packets \d+ bytes \d+/g, '')
    .replaceAll(/\s+/g, ' ')
    .trim()

test('syncTable: nft lists our table as we render it, and a second time nothing is written', async (t) => {
  const host = await hostFor(t, 'daemon')
  t.is(await host.probe('daemon'), 'written')
  t.is(plain(await host.run(nft, 'list', 'ruleset')), plain(renderTable(daemonSample)))
  t.is(await host.probe('read'), renderTable(daemonSample))
  const before = await host.run(nft, '-a', 'list', 'ruleset')
  t.is(await host.probe('daemon'), 'unchanged')
  t.is(await host.run(nft, '-a', 'list', 'ruleset'), before, 'the handles too')

  // What nft wrote itself from the same text is taken for the same.
  await host.run(nft, 'flush', 'ruleset')
  await host.run(nft, '-f', join(root, 'test/vectors/nftables/daemon.nft'))
  t.is(await host.probe('daemon'), 'unchanged')

  for (const tampering of [
    ['flush', 'chain', 'inet', 'heddle-net-default', 'postrouting'],
    ['add', 'rule', 'inet', 'heddle-net-default', 'forward', 'drop'],
    ['add', 'element', 'inet', 'heddle-net-default', 'subnets4', '{ 192.168.0.0/16 }'],
    ['delete', 'table', 'inet', 'heddle-net-default'],
  ]) {
    await host.run(nft, ...tampering)
    t.is(await host.probe('daemon'), 'written', tampering.join(' '))
    t.is(plain(await host.run(nft, 'list', 'ruleset')), plain(renderTable(daemonSample)))
  }
  t.is(await host.probe('remove'), true)
  t.is(await host.probe('remove'), false)
  t.is(await host.run(nft, 'list', 'ruleset'), '')
})

test('applyTransaction: an operation that fails leaves nothing of the others', async (t) => {
  const host = await hostFor(t, 'atomic')
  await host.probe('daemon')
  const before = await host.run(nft, '-a', 'list', 'ruleset')
  t.deepEqual(await host.probe('failing'), {
    op: 'delete set inet heddle-net-default none such',
    code: 'ENOENT',
  })
  t.is(await host.run(nft, '-a', 'list', 'ruleset'), before)
})

test('syncTable: takes flannel’s tables and chains away when it writes ours', async (t) => {
  const host = await hostFor(t, 'flannel')
  await host.run(
    'sh',
    '-ec',
    `${nft} add table ip flannel-ipv4; ${nft} add table ip6 flannel-ipv6
     iptables -t nat -N FLANNEL-POSTRTG
     iptables -t nat -A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
     iptables -t nat -A FLANNEL-POSTRTG -s 10.244.0.0/16 -j MASQUERADE --random-fully
     iptables -t nat -A POSTROUTING -s 10.9.0.0/16 -j MASQUERADE
     ip6tables -N FLANNEL-FWD
     ip6tables -A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
     ip6tables -A FLANNEL-FWD -s fc00::/48 -j ACCEPT`,
  )
  t.is(await host.probe('daemon'), 'written')
  const left = await host.run('sh', '-c', `iptables-save; ip6tables-save; ${nft} list tables`)
  t.notRegex(left, /flannel/i)
  t.regex(left, /-A POSTROUTING -s 10\.9\.0\.0\/16 -j MASQUERADE/)
  t.is(await host.probe('daemon'), 'unchanged')
})

test('syncIptablesForward: iptables shows our rules as its own, once, and can save and restore them', async (t) => {
  const host = await hostFor(t, 'iptables')
  t.is(await host.probe('forward'), 'absent')
  await host.run('iptables', '-P', 'FORWARD', 'DROP')
  await host.run('ip6tables', '-A', 'FORWARD', '-s', 'fc00::/48', '-j', 'ACCEPT')
  t.is(await host.probe('forward'), 'written')
  t.is(await host.probe('forward'), 'unchanged')
  const rules = async (tool: string) =>
    (await host.run(tool, '-S', 'FORWARD')).split('\n').filter((line) => line.startsWith('-A'))
  const v4 = [
    '-A FORWARD -s 10.244.0.0/16 -j ACCEPT',
    '-A FORWARD -d 10.244.0.0/16 -j ACCEPT',
    '-A FORWARD -s 10.96.0.0/12 -j ACCEPT',
    '-A FORWARD -d 10.96.0.0/12 -j ACCEPT',
  ]
  const v6 = ['-A FORWARD -s fc00::/48 -j ACCEPT', '-A FORWARD -d fc00::/48 -j ACCEPT']
  t.deepEqual(await rules('iptables'), v4)
  t.deepEqual(await rules('ip6tables'), v6)
  await host.run('sh', '-ec', 'iptables-save > /dev/null; iptables-save | iptables-restore')
  t.deepEqual(await rules('iptables'), v4)
  t.is(await host.probe('forward'), 'unchanged')
  t.is(await host.probe('unforward'), 'written')
  t.deepEqual([...(await rules('iptables')), ...(await rules('ip6tables'))], [])
})

const count = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].length

test('attachMasquerade: twenty first ones at once leave one rule a family and every element', async (t) => {
  const host = await hostFor(t, 'parallel')
  const numbers = Array.from({ length: 20 }, (_, index) => index + 2)
  await Promise.all(numbers.map((number) => host.probe('attach', number)))
  const rules = await host.run(nft, 'list', 'chain', 'inet', 'heddle-cni', 'postrouting')
  t.is(count(rules, /masquerade/g), 2)
  t.is(count(rules, /meta mark/g), 1)
  const listing = await host.run(nft, 'list', 'ruleset')
  for (const number of numbers) {
    t.is(count(listing, new RegExp(`"brnet c${number} eth0"`, 'g')), 2, `container ${number}`)
  }
  t.is(await host.probe('sync', 20), 'unchanged', 'and it is what the records ask for')
  await Promise.all(numbers.map((number) => host.probe('detach', number)))
  t.notRegex(await host.run(nft, 'list', 'ruleset'), /brnet c\d/)
})

test('attachMasquerade: an address changes hands, and a late DEL of its former owner leaves it', async (t) => {
  const host = await hostFor(t, 'owner')
  await host.probe('attach', 5)
  await host.probe('attach', 5)
  t.is(await host.probe('missing', 5), 'nothing')
  await host.probe('usurp', 6)
  t.regex(String(await host.probe('missing', 5)), /does not hold 10\.88\.0\.5 of brnet c5 eth0/)
  await host.probe('detach', 5)
  await host.probe('detachByOwner', 5)
  t.is(count(await host.run(nft, 'list', 'ruleset'), /brnet c6 eth0/g), 2)
  await host.probe('detachByOwner', 6)
  t.is(count(await host.run(nft, 'list', 'ruleset'), /brnet c/g), 0)
  await host.probe('detach', 6)
})

test('pruneMasquerade, syncMasquerade: keep what is wanted, and rebuild what was flushed', async (t) => {
  const host = await hostFor(t, 'prune')
  t.is(await host.probe('prune', 2), 0, 'nothing there')
  for (const number of [2, 3, 4]) await host.probe('attach', number)
  t.is(await host.probe('prune', 3), 4)
  t.is(await host.probe('missing', 3), 'nothing')
  await host.run(nft, 'flush', 'ruleset')
  t.is(await host.probe('sync', 3), 'written')
  t.is(await host.probe('sync', 3), 'unchanged')
  for (const number of [2, 3, 4]) t.is(await host.probe('missing', number), 'nothing')
  await host.run(nft, 'flush', 'chain', 'inet', 'heddle-cni', 'postrouting')
  t.regex(String(await host.probe('missing', 3)), /has no rule: ip saddr @hosts4/)
  t.is(await host.probe('sync', 3), 'written')
  t.is(await host.probe('missing', 3), 'nothing')
})

test('attachMasquerade: leaves the table of a newer heddle as it is', async (t) => {
  const host = await hostFor(t, 'newer')
  await host.run(nft, 'add', 'table', 'inet', 'heddle-cni', '{ comment "heddle v=2"; }')
  const error = await t.throwsAsync(host.probe('attach', 2))
  t.regex(error?.message ?? '', /inet heddle-cni has version 2, this heddle knows up to 1/)
  t.is(
    plain(await host.run(nft, 'list', 'ruleset')),
    'table inet heddle-cni { comment "heddle v=2" }',
  )
})
