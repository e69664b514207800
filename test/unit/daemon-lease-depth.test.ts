import test from 'ava'
import { parseLeaseValue } from '../../conf/lease.ts'
import { parseNetworkConfig } from '../../conf/network-config.ts'
import { LeaseStore } from '../../daemon/lease/lease-store.ts'
import { silent } from '../../log/logger.ts'
import { MemoryStore } from './memory-store.ts'

function nested(depth: number, [open, close]: readonly [string, string]): string {
  return open.repeat(depth) + close.repeat(depth)
}

const lists = ['[', ']'] as const
const objects = ['{"a":', '}'] as const

function lease(data: string): string {
  return `{"PublicIP":"192.168.0.1","BackendType":"vxlan","BackendData":${data}}`
}

function config(option: string): string {
  return `{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan","Foo":${option}}}`
}

for (const depth of [64, 5_000, 20_000, 100_000]) {
  test(`what is nested ${depth} deep in a lease or a configuration is refused, not followed`, (t) => {
    const wanted = { name: 'DecodeError', message: /nested deeper than 64 levels/ }
    const deep = [nested(depth, lists), nested(depth, ['{"a":[', ']}']), '['.repeat(depth)]
    for (const text of deep) {
      t.throws(() => parseLeaseValue(lease(text)), wanted)
      t.throws(() => parseNetworkConfig(config(text)), wanted)
    }
  })
}

test('what only looks deep, or is as deep as may be, is read', (t) => {
  const data = JSON.stringify({
    text: `${'['.repeat(500)}\\"{`,
    list: Array.from({ length: 500 }, () => [{}]),
  })
  t.truthy(parseLeaseValue(lease(data)).backendData[4])
  t.truthy(parseNetworkConfig(config(data)).backend?.options['foo'])
  t.truthy(parseLeaseValue(lease(nested(63, lists))).backendData[4])
  t.throws(() => parseLeaseValue(lease(nested(64, lists))), { name: 'DecodeError' })
  t.truthy(parseLeaseValue(lease(`${objects[0].repeat(63)}1${objects[1].repeat(63)}`)))
})

test('a lease that is nested too deep is skipped, and its subnet stays taken', async (t) => {
  const store = new MemoryStore()
  await store.create('/net/subnets/10.5.1.0-24', lease(nested(20_000, lists)))
  await store.create('/net/subnets/10.5.2.0-24', lease('{}'))
  const leases = new LeaseStore(store, { prefix: '/net', ttlSeconds: 60, log: silent })
  const list = await leases.list()
  t.deepEqual(
    list.leases.map(({ key }) => key),
    ['10.5.2.0-24'],
  )
  t.deepEqual(
    list.unreadable.map(({ key }) => key),
    ['10.5.1.0-24'],
  )
})
