import test from 'ava'
import { testUnless } from '../e2e/installed.ts'
import { type ConsulServer, consulMissing, startConsul } from './consul-server.ts'
import { testCuts } from './store-cuts.ts'

const define = testUnless(consulMissing)
let server: ConsulServer | undefined
test.before(async () => {
  if (define === test) server = await startConsul()
})
test.after.always(() => server?.[Symbol.asyncDispose]())

testCuts('consul', {
  define,
  port: () => Number(new URL(server?.url ?? '').port),
  choice: (port) => ({ consul: { endpoints: [`http://127.0.0.1:${port}`] } }),
  keepsHistory: false,
})
