import test from 'ava'
import type { Host } from '../../daemon/host/host.ts'
import { type StartHost, tryConfig } from '../../daemon/start.ts'
import { NotYet } from '../../daemon/wait.ts'
import { silent } from '../../log/logger.ts'
import { MemoryStore } from './memory-store.ts'

const KEY = '/net/config'
const GOOD = '{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}'
const OTHER = '{"Network":"10.6.0.0/16","Backend":{"Type":"vxlan"}}'

/** As much of a host as a configuration needs. */
function hostWith(
  store: MemoryStore,
  { config, clusterId = 'one' }: { config?: string; clusterId?: string } = {},
): StartHost {
  const memory = { clusterId, revision: 1, own: undefined, peers: [] }
  const settings = { storePrefix: '/net', netConfigPath: undefined }
  const remembered = config === undefined ? undefined : { config, memory }
  return { settings, store, isLocal: false, remembered, log: silent } as unknown as Host
}

/** The text of what was found, or the reason why nothing was. */
async function find(host: StartHost): Promise<string> {
  const found = await tryConfig(host)
  if (found instanceof NotYet) return `waits: ${found.reason}`
  return `${found.isRemembered ? 'remembered' : 'store'}: ${found.text}`
}

test('tryConfig() takes the store’s configuration before the one of the run before', async (t) => {
  const store = new MemoryStore()
  await store.create(KEY, GOOD)
  t.is(await find(hostWith(store)), `store: ${GOOD}`)
  t.is(await find(hostWith(store, { config: OTHER })), `store: ${GOOD}`)
})

const bad: [what: string, text: string, reason: RegExp][] = [
  ['is no JSON', 'rubbish', /^waits: the network configuration is not JSON/],
  ['breaks a rule', '{"Network":"10.5.0.0/29","Backend":{"Type":"vxlan"}}', /too small/],
  ['has no backend', '{"Network":"10.5.0.0/16"}', /^waits: \/net\/config has no Backend/],
]

for (const [what, text, reason] of bad) {
  test(`tryConfig() waits where the store’s configuration ${what}, or goes on with the former one`, async (t) => {
    const store = new MemoryStore()
    await store.create(KEY, text)
    t.regex(await find(hostWith(store)), reason)
    t.is(await find(hostWith(store, { config: OTHER })), `remembered: ${OTHER}`)
    t.regex(await find(hostWith(store, { config: 'cut of' })), reason)
  })
}

test('tryConfig() goes on without a configuration in the store only where it is the same store', async (t) => {
  const store = new MemoryStore()
  t.regex(await find(hostWith(store)), /^waits: flannel config not found in etcd store/)
  t.is(await find(hostWith(store, { config: OTHER })), `remembered: ${OTHER}`)
  const elsewhere = hostWith(store, { config: OTHER, clusterId: 'two' })
  t.regex(await find(elsewhere), /^waits: flannel config not found .*no \/net\/config in memory/)
})

test('tryConfig() goes on with the former configuration while the store is away', async (t) => {
  const store = new MemoryStore()
  store.isAway = true
  t.is(await find(hostWith(store)), 'waits: memory is away')
  t.is(await find(hostWith(store, { config: OTHER })), `remembered: ${OTHER}`)
})
