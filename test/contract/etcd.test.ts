import test from 'ava'
import { silent } from '../../log/logger.ts'
import { openEtcdStore } from '../../store/etcd.ts'
import { type EtcdServer, startEtcd } from './etcd-server.ts'
import { testStore } from './store-contract.ts'

let server: EtcdServer
test.before(async () => {
  server = await startEtcd()
})
test.after.always(() => server?.[Symbol.asyncDispose]())

testStore('etcd', {
  open: () => openEtcdStore({ endpoints: [server.url] }, silent),
  async compact(store) {
    const { revision } = await store.list('')
    await server.etcdctl('compaction', String(revision))
  },
})
