import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { otherFirewalls } from '../../daemon/firewall/other-firewalls.ts'
import { Connection } from '../../netlink/connection.ts'
import { FakeNftables } from './fake-nftables.ts'

const nowhere = { 'iptables-legacy': '/nowhere/ip_tables_names' }

test('otherFirewalls() has nothing to say of a host with nftables alone', (t) => {
  const kernel = new FakeNftables({ family: 'ip', name: 'filter', sets: [], chains: [] })
  t.deepEqual(otherFirewalls(new Connection(kernel), nowhere), [])
})

test('otherFirewalls() names firewalld', (t) => {
  const kernel = new FakeNftables({ family: 'inet', name: 'firewalld', sets: [], chains: [] })
  const [warning = '', ...others] = otherFirewalls(new Connection(kernel), nowhere)
  t.regex(warning, /^firewalld .*--zone=trusted --add-source=/)
  t.deepEqual(others, [])
})

test('otherFirewalls() names the tables of iptables-legacy', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-legacy-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const [used, empty] = [join(folder, 'used'), join(folder, 'empty')]
  writeFileSync(used, 'nat\nfilter\n')
  writeFileSync(empty, '')
  const lists = { 'iptables-legacy': used, 'ip6tables-legacy': empty }
  const [warning = '', ...others] = otherFirewalls(new Connection(new FakeNftables()), lists)
  t.regex(warning, /^iptables-legacy has tables here \(filter, nat\)/)
  t.deepEqual(others, [])
})
