import test from 'ava'
import { testWith } from '../e2e/installed.ts'
import { testFlannelLeases } from './flannel-leases.ts'
import { openChoice, type StoreChoice } from './store-choice.ts'
import { type StoreLab, testStore } from './store-contract.ts'
import { startZookeeper, ZOOKEEPER, type ZookeeperServer } from './zookeeper-server.ts'

const define = testWith(ZOOKEEPER, 'java')
let server: ZookeeperServer | undefined
test.before(async () => {
  if (define === test) server = await startZookeeper()
})
test.after.always(() => server?.[Symbol.asyncDispose]())

const choice = (): StoreChoice => ({ zookeeper: { endpoints: [server?.endpoint ?? ''] } })

const lab: StoreLab = { define, choice, open: () => openChoice(choice()) }
testStore('zookeeper', lab)
testFlannelLeases('zookeeper', lab)
