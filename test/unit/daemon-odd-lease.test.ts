import test from 'ava'
import { parseLeaseKey } from '../../conf/lease.ts'
import { rankOf, subnetsAround } from '../../daemon/backend/odd-lease.ts'
import type { Lease } from '../../daemon/lease/lease.ts'
import { formatPrefix, parsePrefix } from '../../ip/prefix.ts'

function subnets(key: string): NonNullable<ReturnType<typeof parseLeaseKey>> {
  const parsed = parseLeaseKey(key)
  if (!parsed) throw new Error(key)
  return parsed
}

function lease(key: string, revision = 1): Lease {
  const attrs = { publicIP: {}, backendType: 'vxlan', backendData: {} }
  return { key, subnets: subnets(key), attrs, revision, reserved: false }
}

const own = subnets('10.5.1.0-24')
const dual = subnets('10.5.1.0-24&fc00:0:0:1::-64')

test('rankOf puts a lease of another form behind every usual one', (t) => {
  t.true(rankOf(lease('10.5.2.0-24', 9), own) > rankOf(lease('10.5.2.0-24', 8), own))
  const odd = ['10.5.2.0-25', '10.5.2.0-23', '10.5.2.0-24&fc00:0:0:2::-64', 'fc00:0:0:2::-64']
  for (const key of odd) {
    t.true(rankOf(lease(key, 2 ** 50), own) < rankOf(lease('10.5.2.0-24', 1), own), key)
    t.true(rankOf(lease(key, 9), own) > rankOf(lease(key, 8), own), key)
  }
  t.true(rankOf(lease('10.5.2.0-24&fc00:0:0:2::-64', 1), dual) > 0)
})

test('subnetsAround finds the usual subnet that a smaller one is inside of', (t) => {
  const [around] = subnetsAround(lease('10.5.2.128-25'), own)
  t.deepEqual(around?.outer, parsePrefix('10.5.2.0/24'))
  t.is(around?.routeId, 'route 10.5.2.0/24 0')
  const outer = subnetsAround(lease('10.5.2.0-24&fc00:0:0:2:8000::-65'), dual)
  t.deepEqual(
    outer.map((one) => formatPrefix(one.outer)),
    ['fc00:0:0:2::/64'],
  )
  for (const key of ['10.5.2.0-24', '10.5.2.0-23', 'fc00:0:0:2:8000::-65']) {
    t.deepEqual(subnetsAround(lease(key), own), [], key)
  }
})
