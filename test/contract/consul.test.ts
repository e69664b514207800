import test from 'ava'
import { testUnless } from '../e2e/installed.ts'
import { type ConsulServer, consulMissing, startConsul } from './consul-server.ts'
import { testFlannelLeases } from './flannel-leases.ts'
import { openChoice, type StoreChoice } from './store-choice.ts'
import { type StoreLab, testStore } from './store-contract.ts'

const define = testUnless(consulMissing)
let server: ConsulServer | undefined
test.before(async () => {
  if (define === test) server = await startConsul()
})
test.after.always(() => server?.[Symbol.asyncDispose]())

const choice = (): StoreChoice => ({ consul: { endpoints: [server?.url ?? ''] } })

const lab: StoreLab = { define, choice, open: () => openChoice(choice()) }
testStore('consul', lab)
testFlannelLeases('consul', lab)
