import type { NetConf } from '../conf/net-conf.ts'
import type { Logger } from '../log/logger.ts'
import type { Socket } from '../netlink/socket.ts'
import type { Netns } from '../sys/netns.ts'
import type { Invocation } from './protocol/env.ts'
import type { CniVersion } from './protocol/versions.ts'
import type { AttachmentKey } from './stable-names.ts'
import type { Sysctl } from './sysctl.ts'

/** The name the executable was started by, which decides whose configuration it takes. */
export type Role = 'heddle' | 'flannel' | 'bridge' | 'loopback' | 'portmap' | 'bandwidth'

/** The process's edges. `readStdin` throws what the read throws. */
export interface CniIo {
  readonly env: Readonly<Record<string, string | undefined>>
  readStdin(): string
  writeStdout(text: string): void
  writeStderr(text: string): void
}

/** What the executable hands in, so that this folder runs without the C library. */
export interface CniDeps {
  openNetlink(protocol: 'route' | 'netfilter'): Socket
  openNetns(path: string): Netns
  currentNetns(): Netns
  inNetns<T>(netns: Netns, body: () => T extends PromiseLike<unknown> ? never : T): T
  /** flock(2) LOCK_EX on a file, for at most 20 s; throws `LockTimeout`. */
  lock(path: string): Disposable
  sleep(milliseconds: number): void
  /** For the names that the reference plugins derive; node:crypto would cost every start 2 ms. */
  sha512Hex(text: string): string
  readonly sysctl: Sysctl
  readonly load: Loaders
  readonly log: Logger
  /** This heddle's own version, `1.2.3`. */
  readonly version: string
}

/**
 * Code that not every run needs. One that is not there throws `NotLoaded`: the executable then loads
 * it and runs the verb again, so a verb asks for its code before it changes anything.
 */
export interface Loaders {
  add(): typeof import('./add.ts')
  del(): typeof import('./del.ts')
  check(): typeof import('./check.ts')
  status(): typeof import('./status.ts')
  gc(): typeof import('./gc.ts')
  loopback(): typeof import('./loopback.ts')
  chained(): typeof import('./chain/chained.ts')
  features(): typeof import('./parts/featuring.ts').features
  otherwise(): typeof import('./mode/ptp.ts') & typeof import('./mode/macvlan.ts')
  preparing(): typeof import('./mode/prepare-bridge.ts')
  cleaning(): typeof import('./clean-up/clean-up.ts')
  firewall(): Omit<typeof import('../firewall/masquerade.ts'), 'pruneMasquerade'>
}

/** Code that every run has from the start. */
export type Attaching = Pick<Loaders, 'add' | 'del' | 'firewall'>

export type LoaderName = Exclude<keyof Loaders, keyof Attaching>

/** Code was asked for that this run has not loaded. */
export class NotLoaded extends Error {
  override readonly name = 'NotLoaded'
  readonly loader: LoaderName

  constructor(loader: LoaderName) {
    super(`the code of ${loader} was not loaded`)
    this.loader = loader
  }
}

function missing(loader: LoaderName): () => never {
  return () => {
    throw new NotLoaded(loader)
  }
}

/** Nothing loaded yet: to be spread under what is. */
export const unloaded: Omit<Loaders, keyof Attaching> = {
  check: missing('check'),
  status: missing('status'),
  gc: missing('gc'),
  loopback: missing('loopback'),
  chained: missing('chained'),
  features: missing('features'),
  otherwise: missing('otherwise'),
  preparing: missing('preparing'),
  cleaning: missing('cleaning'),
}

/** One run of the plugin on a configuration. */
export interface Call {
  readonly invocation: Invocation
  readonly conf: NetConf
  readonly version: CniVersion
  /** The configuration as it came, byte for byte as far as UTF-8 goes; delegates get it so. */
  readonly stdin: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly role: Role
  readonly deps: CniDeps
  /** Writes the result to standard output. ADD does so while it can still take everything back. */
  print(text: string): void
}

/** Which attachment it is about. */
export function keyOf({ conf, invocation }: Call): AttachmentKey {
  const { containerId, ifname } = invocation
  return { network: conf.name ?? '', containerId, ifname }
}
