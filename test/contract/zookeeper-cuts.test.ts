import test from 'ava'
import { testWith } from '../e2e/installed.ts'
import { testCuts } from './store-cuts.ts'
import { startZookeeper, ZOOKEEPER, type ZookeeperServer } from './zookeeper-server.ts'

const define = testWith(ZOOKEEPER, 'java')
let server: ZookeeperServer | undefined
test.before(async () => {
  if (define === test) server = await startZookeeper()
})
test.after.always(() => server?.[Symbol.asyncDispose]())

testCuts('zookeeper', {
  define,
  port: () => Number(server?.endpoint.split(':')[1]),
  choice: (port) => ({ zookeeper: { endpoints: [`127.0.0.1:${port}`] } }),
  keepsHistory: false,
})
