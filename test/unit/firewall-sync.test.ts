import test from 'ava'
import { flannelLeftovers } from '../../firewall/flannel-leftovers.ts'
import { syncIptablesForward } from '../../firewall/iptables-forward.ts'
import { attachMasquerade } from '../../firewall/masquerade.ts'
import { masqueradeTable } from '../../firewall/masquerade-table.ts'
import { syncPluginTable } from '../../firewall/plugin-table.ts'
import { removeTable, syncTable } from '../../firewall/sync.ts'
import { FirewallVersionError } from '../../firewall/version.ts'
import { Connection } from '../../netlink/connection.ts'
import { NetlinkError } from '../../netlink/errors.ts'
import { addressIs, counter, verdict } from '../../netlink/nftables/match.ts'
import type { Rule } from '../../netlink/nftables/rule.ts'
import type { ChainSpec, TableSpec } from '../../netlink/nftables/table-spec.ts'
import { addresses, daemonSample, pluginSample, prefixes } from '../vectors/nftables/samples.ts'
import { FakeNftables } from './fake-nftables.ts'

const newer = (table: TableSpec): TableSpec => ({ ...table, comment: 'heddle v=2' })

test('syncTable: writes nothing when the table is as wanted', (t) => {
  const kernel = new FakeNftables(pluginSample, daemonSample)
  t.is(syncTable(new Connection(kernel), daemonSample), 'unchanged')
  t.deepEqual(kernel.transactions, [])
})

test('syncTable: makes a missing table, and replaces another one, each in one transaction', (t) => {
  const kernel = new FakeNftables()
  const connection = new Connection(kernel)
  t.is(syncTable(connection, daemonSample), 'written')
  kernel.tables = [{ ...daemonSample, chains: daemonSample.chains.slice(1) }]
  t.is(syncTable(connection, daemonSample), 'written')
  t.is(kernel.transactions.length, 2)
  t.is(kernel.transactions[0]?.[0], 'newTable')
  t.deepEqual(kernel.transactions[1]?.slice(0, 2), ['deleteTable', 'newTable'])
})

test('syncTable: replaces a table without a version, and refuses one of a newer heddle', (t) => {
  const { comment: _, ...unmarked } = daemonSample
  const kernel = new FakeNftables(unmarked)
  const connection = new Connection(kernel)
  t.is(syncTable(connection, daemonSample), 'written')
  kernel.tables = [newer(daemonSample)]
  const error = t.throws(() => syncTable(connection, daemonSample), {
    instanceOf: FirewallVersionError,
  })
  t.like(error, { table: 'inet heddle-net-default', found: 2, known: 1 })
  t.is(kernel.transactions.length, 1)
})

test('syncTable: reads again when another transaction came between', (t) => {
  const kernel = new FakeNftables()
  let others = 3
  kernel.interfere = () => {
    if (others-- > 0) kernel.generation++
  }
  t.is(syncTable(new Connection(kernel), daemonSample), 'written')
  t.is(kernel.transactions.length, 1)
})

test('syncTable: gives up when others never leave it the time', (t) => {
  const kernel = new FakeNftables()
  kernel.interfere = () => {
    kernel.generation++
  }
  t.throws(() => syncTable(new Connection(kernel), daemonSample), { message: /ERESTART/ })
  t.deepEqual(kernel.transactions, [])
})

test('syncTable: an operation that the kernel refuses is named', (t) => {
  const kernel = new FakeNftables()
  kernel.judge = (operations) => operations.map((_, index) => (index === 1 ? 95 : 0))
  t.throws(() => syncTable(new Connection(kernel), daemonSample), {
    instanceOf: NetlinkError,
    message: /^Cannot add set inet heddle-net-default networks4: .*EOPNOTSUPP/,
  })
})

test('removeTable: tells whether there was one', (t) => {
  const kernel = new FakeNftables()
  const connection = new Connection(kernel)
  t.true(removeTable(connection, daemonSample))
  kernel.judge = () => [2]
  t.false(removeTable(connection, daemonSample))
})

const nat = (family: 'ip' | 'ip6', chains: readonly ChainSpec[]): TableSpec => ({
  family,
  name: 'nat',
  sets: [],
  chains,
})
const jump = (chain: string): Rule => ({ expressions: [counter(), verdict('jump', chain)] })

test('flannelLeftovers: go in the transaction that writes our table', (t) => {
  const kernel = new FakeNftables(
    { family: 'ip', name: 'flannel-ipv4', sets: [], chains: [] },
    nat('ip', [
      { name: 'POSTROUTING', rules: [jump('DOCKER'), jump('FLANNEL-POSTRTG')] },
      { name: 'FLANNEL-POSTRTG', rules: [{ expressions: [verdict('return')] }] },
      { name: 'DOCKER', rules: [] },
    ]),
  )
  const connection = new Connection(kernel)
  t.is(syncTable(connection, daemonSample, { alongside: flannelLeftovers }), 'written')
  t.deepEqual(kernel.transactions[0]?.slice(-4), [
    'deleteTable',
    'deleteRule',
    'deleteRule',
    'deleteChain',
  ])
  kernel.tables = [daemonSample]
  t.is(syncTable(connection, daemonSample, { alongside: flannelLeftovers }), 'unchanged')
})

function filter(rules: readonly Rule[]): TableSpec {
  return { family: 'ip', name: 'filter', sets: [], chains: [{ name: 'FORWARD', rules }] }
}
const accept = (side: 'source' | 'destination', text: string): Rule => ({
  expressions: [
    ...prefixes(text).flatMap((prefix) => addressIs(side, prefix)),
    counter(),
    verdict('accept'),
  ],
})
const both = (text: string): Rule[] => [accept('source', text), accept('destination', text)]
const marked = (rule: Rule, mark = 'heddle-net-blue'): Rule => ({ ...rule, mark })
const wanted = { instance: 'blue', networks: prefixes('10.5.0.0/16') }

test('syncIptablesForward: is absent where iptables-nft is not in use', (t) => {
  const kernel = new FakeNftables(daemonSample)
  t.is(syncIptablesForward(new Connection(kernel), wanted), 'absent')
  t.deepEqual(kernel.transactions, [])
})

test('syncIptablesForward: adds what is missing, once', (t) => {
  const kernel = new FakeNftables(filter([accept('source', '10.5.0.0/16')]))
  const connection = new Connection(kernel)
  t.is(syncIptablesForward(connection, wanted), 'written')
  t.deepEqual(kernel.transactions, [['newRule']])
  kernel.tables = [filter(both('10.5.0.0/16'))]
  t.is(syncIptablesForward(connection, wanted), 'unchanged')
})

test('syncIptablesForward: removes doubles and other networks of ours, and nobody else’s rules', (t) => {
  const ours = both('10.5.0.0/16').map((rule) => marked(rule))
  const strangers = [
    accept('source', '10.7.0.0/16'),
    marked(accept('source', '10.7.0.0/16'), 'heddle-net-red'),
    { ...accept('source', '10.8.0.0/16'), comment: 'kept' },
    jump('DOCKER'),
  ]
  const kernel = new FakeNftables(filter([...ours, ...strangers]))
  const connection = new Connection(kernel)
  t.is(syncIptablesForward(connection, wanted), 'unchanged')

  kernel.tables = [
    filter([...ours, ...ours, ...strangers, marked(accept('source', '10.6.0.0/16'))]),
  ]
  t.is(syncIptablesForward(connection, wanted), 'written')
  t.deepEqual(kernel.transactions.pop(), ['deleteRule', 'deleteRule', 'deleteRule'])

  const previous = prefixes('10.7.0.0/16', '10.8.0.0/16')
  kernel.tables = [filter([...ours, ...strangers])]
  t.is(syncIptablesForward(connection, { ...wanted, previous }), 'written')
  t.deepEqual(kernel.transactions.pop(), ['deleteRule'], 'the one without mark and comment')

  t.is(syncIptablesForward(connection, { instance: 'blue', networks: [] }), 'written')
  t.deepEqual(kernel.transactions.pop(), ['deleteRule', 'deleteRule'])
})

const attachment = {
  network: 'brnet',
  owner: { containerId: 'c1', ifname: 'eth0' },
  addresses: addresses('10.88.0.5', 'fd00::5'),
  exempt: prefixes('10.88.0.0/16'),
}

test('attachMasquerade: is one transaction of one element an address when the sets are there', (t) => {
  const kernel = new FakeNftables()
  attachMasquerade(new Connection(kernel), attachment)
  t.deepEqual(kernel.transactions, [['newElement', 'newElement']])
})

test('attachMasquerade: makes table, chain and sets when they are missing, then attaches', (t) => {
  const kernel = new FakeNftables()
  kernel.judge = (operations) => operations.map(() => (kernel.transactions.length === 1 ? 2 : 0))
  attachMasquerade(new Connection(kernel), attachment)
  t.is(kernel.transactions.length, 3)
  const made = kernel.transactions[1] ?? []
  t.deepEqual(made.slice(0, 3), ['newTable', 'newChain', 'newRule'])
  t.is(made.filter((name) => name === 'newSet').length, 4)
  t.is(made.filter((name) => name === 'newRule').length, 3)
})

test('attachMasquerade: adds only its own sets and rules to a table with other networks', (t) => {
  const kernel = new FakeNftables(pluginSample)
  kernel.judge = (operations) => operations.map(() => (kernel.transactions.length === 1 ? 2 : 0))
  attachMasquerade(new Connection(kernel), { ...attachment, network: 'another' })
  const made = kernel.transactions[1] ?? []
  t.false(made.includes('newTable') || made.includes('newChain'))
  t.is(made.filter((name) => name === 'newRule').length, 2)
})

test('attachMasquerade: takes over the one address that a dead owner left', (t) => {
  const kernel = new FakeNftables()
  kernel.judge = () => (kernel.transactions.length === 1 ? [0, 17] : [0, 0, 0])
  attachMasquerade(new Connection(kernel), attachment)
  t.deepEqual(kernel.transactions[1], ['newElement', 'deleteElement', 'newElement'])
})

test('attachMasquerade: does not try for ever, and not at all what cannot help', (t) => {
  const kernel = new FakeNftables()
  kernel.judge = () => [17, 0]
  t.throws(() => attachMasquerade(new Connection(kernel), attachment), { message: /EEXIST/ })
  t.true(kernel.transactions.length <= 10)
  const denying = new FakeNftables()
  denying.judge = () => [1, 1]
  t.throws(() => attachMasquerade(new Connection(denying), attachment), { message: /EPERM/ })
  t.is(denying.transactions.length, 1)
})

test('attachMasquerade: refuses a table of a newer heddle by name', (t) => {
  const kernel = new FakeNftables(newer(pluginSample))
  kernel.judge = () => [2, 2]
  t.throws(() => attachMasquerade(new Connection(kernel), attachment), {
    instanceOf: FirewallVersionError,
    message: /inet heddle-cni has version 2/,
  })
})

test('syncPluginTable: leaves idle networks, rebuilds what is missing, and lists anew when overtaken', (t) => {
  const nobody = { masqueraded: [], published: [] }
  const somebody = { masqueraded: [attachment], published: [] }
  const one = masqueradeTable([attachment])
  const kernel = new FakeNftables()
  const connection = new Connection(kernel)
  t.is(
    syncPluginTable(connection, () => nobody),
    'unchanged',
    'no table and nothing to put there',
  )
  t.is(
    syncPluginTable(connection, () => somebody),
    'written',
  )
  kernel.tables = [one]
  t.is(
    syncPluginTable(connection, () => somebody),
    'unchanged',
  )
  const idle = {
    ...one,
    sets: one.sets.map((set) => (set.flags.length > 0 ? set : { ...set, elements: [] })),
  }
  kernel.tables = [idle]
  t.is(
    syncPluginTable(connection, () => nobody),
    'unchanged',
  )
  let reads = 0
  kernel.interfere = () => {
    if (reads === 1) kernel.generation++
  }
  syncPluginTable(connection, () => {
    reads++
    return somebody
  })
  t.is(reads, 2)
})
