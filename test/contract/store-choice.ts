import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { silent } from '../../log/logger.ts'
import { openConsulStore } from '../../store/consul/consul.ts'
import type { ConsulOptions } from '../../store/consul/consul-http.ts'
import { type EtcdOptions, openEtcdStore } from '../../store/etcd/etcd.ts'
import { openSqliteStore } from '../../store/sqlite/sqlite.ts'
import type { Store } from '../../store/store.ts'
import { openZookeeperStore } from '../../store/zookeeper/zookeeper.ts'
import type { ZookeeperOptions } from '../../store/zookeeper/zookeeper-channel.ts'

/** Which store, as text that another process can be given. */
export type StoreChoice =
  | { readonly sqlite: string }
  | { readonly etcd: EtcdOptions }
  | { readonly consul: ConsulOptions }
  | { readonly zookeeper: ZookeeperOptions }

/** Where the stores without an id of their own keep one. */
const ROOT = '/contract'

export function openChoice(choice: StoreChoice): Store {
  if ('sqlite' in choice) return openSqliteStore(choice.sqlite, silent)
  if ('etcd' in choice) return openEtcdStore(choice.etcd, silent)
  if ('consul' in choice) return openConsulStore(choice.consul, ROOT, silent)
  return openZookeeperStore(choice.zookeeper, ROOT, silent)
}

export const WORKER = join(import.meta.dirname, 'store-worker.ts')

/** What another process, which uses the same store, prints. */
export async function runWorker(
  choice: StoreChoice,
  action: string,
  prefix: string,
): Promise<string> {
  const words = [WORKER, JSON.stringify(choice), action, prefix]
  return (await promisify(execFile)(process.execPath, words, { timeout: 30_000 })).stdout
}
