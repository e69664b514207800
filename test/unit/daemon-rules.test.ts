import test from 'ava'
import { Rules } from '../../daemon/firewall/rules.ts'
import { silent } from '../../log/logger.ts'
import { Connection } from '../../netlink/connection.ts'
import { addressIs, counter, verdict } from '../../netlink/nftables/match.ts'
import type { Rule } from '../../netlink/nftables/rule.ts'
import { prefixes } from '../vectors/nftables/samples.ts'
import { FakeNftables } from './fake-nftables.ts'

const accepts = (text: string, mark?: string): Rule[] =>
  prefixes(text).flatMap((prefix) =>
    (['source', 'destination'] as const).map((side) => ({
      expressions: [...addressIs(side, prefix), counter(), verdict('accept')],
      ...(mark !== undefined && { mark }),
    })),
  )

/** What one look does to the chain FORWARD; the daemon was on two networks before, and is on the first. */
function changes(rules: readonly Rule[], { forward }: { forward: boolean }): string[] {
  const chains = [{ name: 'FORWARD', rules }]
  const kernel = new FakeNftables({ family: 'ip', name: 'filter', sets: [], chains })
  const input = {
    instance: 'blue',
    networks: prefixes('10.5.0.0/16'),
    subnets: [],
    ipMasq: false,
    fullyRandom: false,
    forward,
    formerNetworks: prefixes('10.5.0.0/16', '10.4.0.0/16'),
  }
  const it = new Rules(new Connection(kernel), input, silent)
  it.sync()
  // The first transaction is our own table's.
  return kernel.transactions.slice(1).flat()
}

const two = ['deleteRule', 'deleteRule']

test('Rules that write no accepts leave an administrator’s alone, and take what is marked as theirs', (t) => {
  t.deepEqual(changes(accepts('10.5.0.0/16'), { forward: false }), [])
  t.deepEqual(changes(accepts('10.4.0.0/16'), { forward: false }), [])
  const marked = accepts('10.5.0.0/16', 'heddle-net-blue')
  t.deepEqual(changes([...marked, ...accepts('10.5.0.0/16')], { forward: false }), two)
})

test('Rules that write accepts leave an equal pair alone, and take those of the network before', (t) => {
  t.deepEqual(changes(accepts('10.5.0.0/16'), { forward: true }), [])
  const marked = accepts('10.5.0.0/16', 'heddle-net-blue')
  t.deepEqual(changes([...marked, ...accepts('10.5.0.0/16')], { forward: true }), [])
  t.deepEqual(changes([...marked, ...accepts('10.4.0.0/16')], { forward: true }), two)
})
