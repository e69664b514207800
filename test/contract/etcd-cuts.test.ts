import test from 'ava'
import { type EtcdServer, startEtcd } from './etcd-server.ts'
import { testCuts } from './store-cuts.ts'

let server: EtcdServer
test.before(async () => {
  server = await startEtcd()
})
test.after.always(() => server?.[Symbol.asyncDispose]())

testCuts('etcd', {
  port: () => Number(new URL(server.url).port),
  choice: (port) => ({ etcd: { endpoints: [`http://127.0.0.1:${port}`] } }),
  keepsHistory: true,
})
