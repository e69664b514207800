import type { ExecutionContext } from 'ava'
import { silent } from '../../log/logger.ts'
import type { Lab } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { etcdctl, type StoreKind } from '../../scripts/lab/store.ts'
import { openSqliteStore } from '../../store/sqlite/sqlite.ts'

const key = '/coreos.com/network/config'

/** Writes the network configuration into a lab's store, as an operator would; undefined deletes it. */
export type WriteConfig = (text: string | undefined) => Promise<void>

export function configWriter(t: ExecutionContext, lab: Lab, kind: StoreKind): WriteConfig {
  if (kind === 'etcd') {
    return async (text) => {
      const words = text === undefined ? ['del', key] : ['put', key, text]
      await runAt(lab.switch, etcdctl(...words))
    }
  }
  const store = openSqliteStore(`${lab.directory}/store.db`, silent)
  t.teardown(() => store[Symbol.asyncDispose]())
  return async (text) => {
    const now = await store.get(key)
    if (text === undefined) await store.delete(key, now?.revision ?? 0)
    else if (now) await store.put(key, text, now.revision)
    else await store.create(key, text)
  }
}
