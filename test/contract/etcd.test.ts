import test from 'ava'
import { type EtcdServer, startEtcd } from './etcd-server.ts'
import { testFlannelLeases } from './flannel-leases.ts'
import { openChoice, type StoreChoice } from './store-choice.ts'
import { type StoreLab, testStore } from './store-contract.ts'

let server: EtcdServer
test.before(async () => {
  server = await startEtcd()
})
test.after.always(() => server?.[Symbol.asyncDispose]())

const choice = (): StoreChoice => ({ etcd: { endpoints: [server.url] } })

const lab: StoreLab = {
  choice,
  open: () => openChoice(choice()),
  async compact(store) {
    const { revision } = await store.list('')
    await server.etcdctl('compaction', String(revision))
  },
}
testStore('etcd', lab)
testFlannelLeases('etcd', lab)
