import test from 'ava'
import { silent } from '../../log/logger.ts'
import { openEtcdStore } from '../../store/etcd/etcd.ts'
import { type Store, StoreError } from '../../store/store.ts'
import { type EtcdServer, startEtcd } from './etcd-server.ts'
import { some } from './store-recording.ts'

let etcd: EtcdServer
let store: Store
test.before(async () => {
  etcd = await startEtcd()
  store = openEtcdStore({ endpoints: [etcd.url] }, silent)
})
test.after.always(async () => {
  await store?.[Symbol.asyncDispose]()
  await etcd?.[Symbol.asyncDispose]()
})

/** The ids of all leases the server knows. */
async function leases(): Promise<string[]> {
  const lines = (await etcd.etcdctl('lease', 'list')).trim().split('\n')
  return lines.filter((line) => /^[\da-f]{16}$/.test(line))
}

test.serial('keys and values are the plain text that other programs read', async (t) => {
  const key = '/coreos.com/network/subnets/10.5.34.0-24&fc00:0:0:5::-64'
  const value = '{"PublicIP":"1.2.3.4","PublicIPv6":null}'
  await store.create(key, value)
  const printed = await etcd.etcdctl('get', '--prefix', '/coreos.com/network')
  t.is(printed, `${key}\n${value}\n`)
})

test.serial('a key that another program wrote has a lease or none', async (t) => {
  const granted = await etcd.etcdctl('lease', 'grant', '60')
  const lease = /lease ([\da-f]+) granted/.exec(granted)?.[1] ?? ''
  await etcd.etcdctl('put', '/other/leased', 'one', `--lease=${lease}`)
  await etcd.etcdctl('put', '/other/reserved', 'two')
  const { entries } = await store.list('/other/')
  t.deepEqual(
    entries.map(({ leased }) => leased),
    [true, false],
  )
  await etcd.etcdctl('lease', 'revoke', lease)
})

test.serial('a time to live is one lease, and none is left behind', async (t) => {
  let entry = some(await store.create('/a', '0', { ttlSeconds: 60 }))
  const [first] = await leases()
  t.regex(
    await etcd.etcdctl('lease', 'timetolive', some(first), '--keys'),
    /attached keys\(\[\/a\]\)/,
  )

  entry = some(await store.put('/a', '1', entry.revision, { ttlSeconds: 60 }))
  const [second, ...others] = await leases()
  t.not(second, first)
  t.is(others.length, 0)
  t.is((await store.get('/a'))?.value, '1')

  t.is(await store.create('/a', '2', { ttlSeconds: 60 }), undefined)
  t.is(await store.put('/a', '2', entry.revision - 1, { ttlSeconds: 60 }), undefined)
  t.deepEqual(await leases(), [second])

  entry = some(await store.put('/a', '3', entry.revision))
  t.deepEqual(await leases(), [])
  entry = some(await store.put('/a', '4', entry.revision, { ttlSeconds: 60 }))
  t.true(await store.delete('/a', entry.revision))
  t.deepEqual(await leases(), [])
})

test.serial('a write that is refused leaves no lease behind', async (t) => {
  await using locked = await startEtcd()
  const asRoot = ['--user=root:secret']
  await locked.etcdctl('user', 'add', 'root:secret')
  await locked.etcdctl('user', 'grant-role', 'root', 'root')
  await locked.etcdctl('user', 'add', 'guest:guest')
  await locked.etcdctl('role', 'add', 'reader')
  await locked.etcdctl('role', 'grant-permission', 'reader', 'read', '/open/', '/open0')
  await locked.etcdctl('user', 'grant-role', 'guest', 'reader')
  await locked.etcdctl('put', '/open/a', 'one')
  await locked.etcdctl('auth', 'enable')
  const options = { endpoints: [locked.url], username: 'guest', password: 'guest' }
  await using guest = openEtcdStore(options, silent)
  const entry = some(await guest.get('/open/a'))
  for (const call of [
    () => guest.put('/open/a', 'two', entry.revision, { ttlSeconds: 60 }),
    () => guest.create('/open/b', 'two', { ttlSeconds: 60 }),
  ]) {
    await t.throwsAsync(call(), { instanceOf: StoreError, message: /permission denied/ })
    const deadline = Date.now() + 20_000
    // It is revoked while nobody waits for that.
    while (!/found 0 leases/.test(await locked.etcdctl('lease', 'list', ...asRoot))) {
      if (Date.now() > deadline) throw new Error('the lease is still there')
    }
  }
})

test.serial('a lease that has other keys is left to them', async (t) => {
  const granted = await etcd.etcdctl('lease', 'grant', '60')
  const lease = /lease ([\da-f]+) granted/.exec(granted)?.[1] ?? ''
  for (const key of ['/shared/a', '/shared/b']) {
    await etcd.etcdctl('put', key, 'one', `--lease=${lease}`)
  }
  const entry = some(await store.get('/shared/a'))
  await store.put('/shared/a', 'two', entry.revision, { ttlSeconds: 60 })
  t.is((await store.get('/shared/b'))?.value, 'one')
  t.is((await leases()).length, 2)
})
