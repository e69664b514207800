import { createHash } from 'node:crypto'
import test from 'ava'
import { missingForwardAccept } from '../../firewall/forward-accept.ts'
import { removeReferenceRules } from '../../firewall/reference-rules.ts'
import { Connection } from '../../netlink/connection.ts'
import { counter, verdict } from '../../netlink/nftables/match.ts'
import type { Rule } from '../../netlink/nftables/rule.ts'
import type { TableSpec } from '../../netlink/nftables/table-spec.ts'
import { FakeNftables } from './fake-nftables.ts'

const deps = {
  sha512Hex: (text: string) => createHash('sha512').update(text).digest('hex'),
}
const attachment = { network: 'brnet', containerId: 'ctr1', ifname: 'eth0' }
const all = { ...attachment, masquerade: true, ports: true }
const jump = (chain: string): Rule => ({ expressions: [counter(), verdict('jump', chain)] })

/** Chains as the plugins name them for this attachment. */
const masqueradeChain = 'CNI-2fbf118d4cafd020f013271b'
const portsChain = 'CNI-DN-2fbf118d4cafd020f0132'

const nat: TableSpec = {
  family: 'ip',
  name: 'nat',
  sets: [],
  chains: [
    { name: 'POSTROUTING', rules: [jump('DOCKER'), jump(masqueradeChain), jump(masqueradeChain)] },
    { name: masqueradeChain, rules: [jump('MASQUERADE')] },
    { name: 'CNI-HOSTPORT-DNAT', rules: [jump(portsChain), jump('CNI-DN-another')] },
    { name: portsChain, rules: [] },
  ],
}

test('removeReferenceRules: takes the attachment’s chains and what leads to them', (t) => {
  const kernel = new FakeNftables(nat)
  t.true(removeReferenceRules(new Connection(kernel), all, deps))
  const chain = ['deleteRule', 'deleteChain'] as const
  t.deepEqual(kernel.transactions, [['deleteRule', 'deleteRule', ...chain, 'deleteRule', ...chain]])
})

test('removeReferenceRules: looks only for what the attachment may have', (t) => {
  const kernel = new FakeNftables(nat)
  const connection = new Connection(kernel)
  t.true(removeReferenceRules(connection, { ...all, masquerade: false }, deps))
  t.deepEqual(kernel.transactions.pop(), ['deleteRule', 'deleteRule', 'deleteChain'])
  t.false(removeReferenceRules(connection, { ...all, masquerade: false, ports: false }, deps))
  t.false(removeReferenceRules(connection, { ...all, network: 'another' }, deps))
  t.deepEqual(kernel.transactions, [])
})

test('removeReferenceRules: asks once where there is nothing', (t) => {
  const kernel = new FakeNftables(nat)
  let datagrams = 0
  const send = kernel.send.bind(kernel)
  kernel.send = (datagram) => {
    datagrams++
    send(datagram)
  }
  t.false(removeReferenceRules(new Connection(kernel), { ...all, containerId: 'other' }, deps))
  t.is(datagrams, 1)
})

test('missingForwardAccept: nothing is missing unless FORWARD drops what it has no rule for', (t) => {
  const filter = (policy: 'accept' | 'drop'): TableSpec => ({
    family: 'ip6',
    name: 'filter',
    sets: [],
    chains: [
      {
        name: 'FORWARD',
        base: { type: 'filter', hook: 'forward', priority: 0, policy },
        rules: [],
      },
    ],
  })
  const missing = (table: TableSpec) =>
    missingForwardAccept(new Connection(new FakeNftables(table)), 'cni0')
  t.is(missing(nat), undefined)
  t.is(missing(filter('accept')), undefined)
  t.is(
    missing(filter('drop')),
    'nftables chain ip6 filter FORWARD has no rule: iifname "cni0" counter accept',
  )
})
