import { statusSocketPath } from '../conf/daemon-status.ts'
import type { SubnetEnv } from '../conf/subnet-env.ts'
import type { Logger } from '../log/logger.ts'
import { Connection } from '../netlink/connection.ts'
import type { Socket } from '../netlink/socket.ts'
import type { Store } from '../store/store.ts'
import { type Clock, hostClock } from './clock.ts'
import { Macs, nodeId } from './identity.ts'
import type { FollowNetlink } from './kernel-watch.ts'
import { LeaseStore } from './lease-store.ts'
import { claim, instanceLock, type LockFile, stateDirLock, subnetFileLock } from './locks.ts'
import { memoryPath, type Remembered, readMemory } from './memory-file.ts'
import type { Settings, StoreChoice } from './settings.ts'
import { StatusBoard } from './status-board.ts'
import { serveHealth, serveStatus } from './status-server.ts'
import { readFormerSubnet, StatusFile } from './subnet-file.ts'
import { SubnetManager } from './subnet-manager.ts'

/** What heddled needs of the system, handed in by the executable. */
export interface DaemonDeps {
  readonly version: string
  /** The name the program was started by: `flanneld` has flannel’s default store. */
  readonly program: string
  readonly openNetlink: (protocol: 'route' | 'netfilter') => Socket
  readonly followNetlink: FollowNetlink
  readonly lockFile: LockFile
  /** Tells systemd; the first argument is `$NOTIFY_SOCKET`. */
  readonly sdNotify: (socketPath: string | undefined, state: string) => boolean
}

/** What a running daemon holds of its host. */
export interface Host {
  readonly settings: Settings
  readonly log: Logger
  readonly clock: Clock
  readonly store: Store
  /** Whether only this machine can see the store. */
  readonly isLocal: boolean
  readonly manager: SubnetManager
  readonly nodeId: string
  readonly macs: Macs
  readonly remembered: Remembered | undefined
  /** What an earlier run, flannel's or ours, left in the subnet file. */
  readonly former: SubnetEnv | undefined
  readonly board: StatusBoard
  readonly route: Connection
  readonly netfilter: Connection
}

/** How long `heddlectl status` waits for the store. */
const PROBE_MS = 1_000

/**
 * Takes what only one daemon may have, and opens what it works with; `stack` gives it all back.
 * @throws AlreadyRunningError, StateError, StoreError, NetlinkError
 */
export async function openHost(
  settings: Settings,
  deps: DaemonDeps,
  log: Logger,
  stack: AsyncDisposableStack,
): Promise<Host> {
  const { instance, stateDir, subnetFile, ttlSeconds, renewMarginSeconds } = settings
  const store = stack.use(await openStore(settings.store, log))
  const isLocal = settings.store.kind === 'sqlite'
  const scope = isLocal ? ' (this machine only)' : ''
  log.info('heddled starts', { version: deps.version, instance, store: store.name + scope })
  for (const one of [instanceLock(instance), stateDirLock(stateDir), subnetFileLock(subnetFile)]) {
    stack.use(claim(one, deps.lockFile, instance))
  }
  const clock = hostClock
  const id = nodeId(stateDir)
  const leases = new LeaseStore(store, { prefix: settings.storePrefix, ttlSeconds, log })
  const told = { name: store.name, local: isLocal }
  const board = new StatusBoard(
    { version: deps.version, instance, nodeId: id, subnetFile, store: told, clock },
    new StatusFile(subnetFile, log),
  )
  await openServers(settings, board, leases, stack)
  return {
    settings,
    log,
    clock,
    store,
    isLocal,
    nodeId: id,
    board,
    manager: new SubnetManager({ leases, ttlSeconds, renewMarginSeconds, clock, log }),
    macs: new Macs(stateDir),
    remembered: readMemory(memoryPath(stateDir), clock()),
    former: readFormerSubnet(subnetFile, log),
    route: stack.use(new Connection(deps.openNetlink('route'))),
    netfilter: stack.use(new Connection(deps.openNetlink('netfilter'))),
  }
}

async function openServers(
  { instance, healthz }: Settings,
  board: StatusBoard,
  leases: LeaseStore,
  stack: AsyncDisposableStack,
): Promise<void> {
  const source = {
    status: async () => board.status({ reachable: await leases.answers(PROBE_MS) }),
    isReady: () => board.isReady,
  }
  stack.use(await serveStatus(statusSocketPath(instance), source))
  if (healthz) stack.use(await serveHealth(healthz, source))
}

/** Each store's client is loaded only where it is used. */
async function openStore(choice: StoreChoice, log: Logger): Promise<Store> {
  if (choice.kind === 'sqlite') {
    const { openSqliteStore } = await import('../store/sqlite.ts')
    return openSqliteStore(choice.path, log)
  }
  const { openEtcdStore } = await import('../store/etcd.ts')
  return openEtcdStore(choice.options, log)
}
