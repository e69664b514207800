import type { Logger } from '../../log/logger.ts'
import type { ConsulOptions } from '../../store/consul/consul-http.ts'
import type { EtcdOptions } from '../../store/etcd/etcd.ts'
import type { Store } from '../../store/store.ts'
import type { TlsFiles } from '../../store/tls-files.ts'
import type { ZookeeperOptions } from '../../store/zookeeper/zookeeper-channel.ts'
import { type FlagValues, UsageError } from '../settings/flags.ts'

/** Which store, and how to reach it. `root`: a key under which the store's own are. */
export type StoreChoice =
  | { readonly kind: 'sqlite'; readonly path: string }
  | { readonly kind: 'etcd'; readonly options: EtcdOptions }
  | { readonly kind: 'consul'; readonly options: ConsulOptions; readonly root: string }
  | { readonly kind: 'zookeeper'; readonly options: ZookeeperOptions; readonly root: string }

const SQLITE_PATH = '/var/lib/heddle/store.db'

/** Each store's client is loaded only where it is used. Throws StoreError. */
export async function openStore(choice: StoreChoice, log: Logger): Promise<Store> {
  switch (choice.kind) {
    case 'sqlite': {
      const { openSqliteStore } = await import('../../store/sqlite/sqlite.ts')
      return openSqliteStore(choice.path, log)
    }
    case 'etcd': {
      const { openEtcdStore } = await import('../../store/etcd/etcd.ts')
      return openEtcdStore(choice.options, log)
    }
    case 'consul': {
      const { openConsulStore } = await import('../../store/consul/consul.ts')
      return openConsulStore(choice.options, choice.root, log)
    }
    case 'zookeeper': {
      const { openZookeeperStore } = await import('../../store/zookeeper/zookeeper.ts')
      return openZookeeperStore(choice.options, choice.root, log)
    }
  }
}

/**
 * `--store` decides; else any etcd flag or variable means etcd; else whoever calls the program
 * `flanneld` expects etcd where flannel looks for it; else the file of this machine. `prefix` is the
 * network's place in the store. Throws UsageError.
 */
export function chooseStore(
  values: FlagValues,
  given: ReadonlySet<string>,
  { program, prefix }: { readonly program: string; readonly prefix: string },
): StoreChoice {
  const isEtcd = [...given].some((name) => name.startsWith('etcd-'))
  const kind = values.store ?? (isEtcd || program === 'flanneld' ? 'etcd' : 'sqlite')
  for (const other of ['consul', 'zookeeper']) {
    const flag = [...given].find((name) => name.startsWith(`${other}-`))
    if (flag !== undefined && kind !== other) {
      throw new UsageError(`--${flag} is for --store ${other}, and the store is ${kind}`)
    }
  }
  if (kind === 'etcd') return { kind, options: etcdOptions(values) }
  if (kind === 'consul' || kind === 'zookeeper') {
    if (!prefix.startsWith('/')) {
      throw new UsageError(`--etcd-prefix "${prefix}" starts with no slash, as ${kind} needs it`)
    }
    return kind === 'consul'
      ? { kind, options: consulOptions(values), root: prefix }
      : { kind, options: zookeeperOptions(values), root: prefix }
  }
  const match = /^sqlite(?::(.+))?$/.exec(kind)
  if (match) return { kind: 'sqlite', path: match[1] ?? SQLITE_PATH }
  throw new UsageError(
    `--store is sqlite, sqlite:FILE, etcd, consul or zookeeper: "${kind}" is none`,
  )
}

function etcdOptions(values: FlagValues): EtcdOptions {
  const tls = tlsFiles(values, 'etcd')
  return {
    endpoints: endpoints(values, 'etcd'),
    ...(tls && { tls }),
    ...login(values, 'etcd'),
  }
}

function consulOptions(values: FlagValues): ConsulOptions {
  const tls = tlsFiles(values, 'consul')
  const token = values['consul-token']
  return {
    endpoints: endpoints(values, 'consul'),
    ...(tls && { tls }),
    ...(token !== undefined && { token }),
  }
}

function zookeeperOptions(values: FlagValues): ZookeeperOptions {
  const tls = tlsFiles(values, 'zookeeper')
  const { username, password } = login(values, 'zookeeper')
  if ((username === undefined) !== (password === undefined)) {
    throw new UsageError('--zookeeper-username and --zookeeper-password go together')
  }
  return {
    endpoints: endpoints(values, 'zookeeper'),
    ...(tls && { tls }),
    ...(username !== undefined && password !== undefined && { login: { username, password } }),
  }
}

type Kind = 'etcd' | 'consul' | 'zookeeper'

const URL_FORM = /^https?:\/\/[^/\s]+\/?$/
const endpointForms: Readonly<Record<Kind, { form: RegExp; example: string }>> = {
  etcd: { form: URL_FORM, example: 'http://10.0.0.1:2379' },
  consul: { form: URL_FORM, example: 'http://10.0.0.1:8500' },
  zookeeper: { form: /^(\[[\da-f:.]+\]|[^\s/:]+)(:\d{1,5})?$/i, example: '10.0.0.1:2181' },
}

function endpoints(values: FlagValues, kind: Kind): string[] {
  const { form, example } = endpointForms[kind]
  const texts = values[`${kind}-endpoints`].split(',').map((text) => text.trim())
  const wrong = texts.find((text) => !form.test(text))
  if (wrong === undefined) return texts
  throw new UsageError(`--${kind}-endpoints: "${wrong}" is not like ${example}`)
}

/** Undefined without any of the files. */
function tlsFiles(values: FlagValues, kind: Kind): TlsFiles | undefined {
  const caFile = values[`${kind}-cafile`]
  const certFile = values[`${kind}-certfile`]
  const keyFile = values[`${kind}-keyfile`]
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new UsageError(`--${kind}-certfile and --${kind}-keyfile go together`)
  }
  if (caFile === undefined && certFile === undefined) return undefined
  return {
    ...(caFile !== undefined && { caFile }),
    ...(certFile !== undefined && { certFile }),
    ...(keyFile !== undefined && { keyFile }),
  }
}

function login(
  values: FlagValues,
  kind: 'etcd' | 'zookeeper',
): { readonly username?: string; readonly password?: string } {
  const username = values[`${kind}-username`]
  const password = values[`${kind}-password`]
  return {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
  }
}
