import { setTimeout as sleep } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import { silent } from '../../log/logger.ts'
import type { Lab } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { etcdctl, type StoreKind } from '../../scripts/lab/store.ts'
import { openSqliteStore } from '../../store/sqlite/sqlite.ts'
import type { StoredLease } from './kernel-check.ts'

const folder = '/coreos.com/network/subnets/'
const ttlSeconds = 86_400

/** Writes leases into a lab's store from outside, as hosts that are not there would. */
export interface LeaseWriter {
  put(lease: StoredLease): Promise<void>
  delete(key: string): Promise<void>
  list(): Promise<StoredLease[]>
}

export function openLeases(t: ExecutionContext, lab: Lab, kind: StoreKind): LeaseWriter {
  if (kind !== 'etcd') return viaFile(t, lab)
  return leasesIn((...args) => runAt(lab.switch, etcdctl(...args)))
}

function viaFile(t: ExecutionContext, lab: Lab): LeaseWriter {
  const store = openSqliteStore(`${lab.directory}/store.db`, silent)
  t.teardown(() => store[Symbol.asyncDispose]())
  return {
    async put({ key, value }) {
      const now = await store.get(folder + key)
      const text = JSON.stringify(value)
      if (now) await store.put(folder + key, text, now.revision, { ttlSeconds })
      else await store.create(folder + key, text, { ttlSeconds })
    },
    async delete(key) {
      const now = await store.get(folder + key)
      if (now) await store.delete(folder + key, now.revision)
    },
    async list() {
      const { entries } = await store.list(folder)
      return entries.map(({ key, value }) => lease(key, value))
    },
  }
}

/** The leases in an etcd, by its own client. */
export function leasesIn(etcd: (...args: string[]) => Promise<string>): LeaseWriter {
  return {
    async put({ key, value }) {
      const granted = await etcd('lease', 'grant', `${ttlSeconds}`)
      const id = /lease (\w+) granted/.exec(granted)?.[1] ?? ''
      await etcd('put', `--lease=${id}`, folder + key, JSON.stringify(value))
    },
    async delete(key) {
      await etcd('del', folder + key)
    },
    async list() {
      const lines = (await etcd('get', '--prefix', folder)).trim().split('\n')
      return lines.flatMap((line, index) =>
        index % 2 === 1 ? [lease(lines[index - 1] ?? '', line)] : [],
      )
    },
  }
}

function lease(key: string, text: string): StoredLease {
  return { key: key.slice(folder.length), value: JSON.parse(text) as StoredLease['value'] }
}

/** Looks every 100 ms until nothing is wrong; what is wrong in the end. */
export async function untilNoneWrong(
  look: () => Promise<readonly string[]>,
  timeoutMs: number,
): Promise<readonly string[]> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const wrong = await look()
    if (wrong.length === 0 || Date.now() > deadline) return wrong
    await sleep(100)
  }
}
