import { statusSocketPath } from '../../conf/daemon-status.ts'
import type { SubnetEnv } from '../../conf/subnet-env.ts'
import type { Logger } from '../../log/logger.ts'
import type { RecentLog } from '../../log/recent.ts'
import { Connection } from '../../netlink/connection.ts'
import type { Socket } from '../../netlink/socket.ts'
import type { Store } from '../../store/store.ts'
import { type AdminTools, adminRoutes } from '../admin/admin.ts'
import { Commands } from '../backend/commands.ts'
import { countedSocket } from '../kernel/counted-socket.ts'
import { type KernelMemory, newKernelMemory } from '../kernel/kernel-memory.ts'
import type { FollowNetlink } from '../kernel/kernel-watch.ts'
import { LeaseStore } from '../lease/lease-store.ts'
import { memoryPath, type Remembered, readMemory } from '../lease/memory-file.ts'
import { SubnetManager } from '../lease/subnet-manager.ts'
import { writeFlags } from '../settings/flags-file.ts'
import type { Settings } from '../settings/settings.ts'
import { measuredStore } from '../status/measured-store.ts'
import { type BoardOptions, StatusBoard } from '../status/status-board.ts'
import { serveHealth, serveStatus } from '../status/status-server.ts'
import { type StatusTools, statusSource } from '../status/status-source.ts'
import { type NetlinkProtocol, newTelemetry, type Telemetry } from '../status/telemetry.ts'
import { type Clock, hostClock, readBootId } from './clock.ts'
import { HostFiles } from './host-files.ts'
import { Macs, nodeId } from './identity.ts'
import { claim, instanceLock, type LockFile, stateDirLock, subnetFileLock } from './locks.ts'
import { openStore } from './store-choice.ts'
import { readFormerSubnet, StatusFile } from './subnet-file.ts'

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
  /** To be called for each of many things that are made and let go; see sys/heap.ts. */
  readonly relieve: () => void
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
  readonly lockFile: LockFile
  readonly remembered: Remembered | undefined
  /** What an earlier run, flannel's or ours, left in the subnet file. */
  readonly former: SubnetEnv | undefined
  /** The subnet file, and docker's options made of it. */
  readonly files: HostFiles
  /** What of the kernel's part outlives a change of the configuration. */
  readonly memory: KernelMemory
  /** What a backend has run. */
  readonly commands: Commands
  readonly board: StatusBoard
  /** What is counted; metrics are made of it. */
  readonly telemetry: Telemetry
  readonly route: Connection
  readonly netfilter: Connection
  /** To be called for each of many things that are made and let go; see sys/heap.ts. */
  readonly relieve: () => void
}

/**
 * Takes what only one daemon may have, and opens what it works with; `stack` gives it all back.
 * @throws AlreadyRunningError, StateError, StoreError, NetlinkError
 */
export async function openHost(
  settings: Settings,
  deps: DaemonDeps,
  log: RecentLog,
  stack: AsyncDisposableStack,
): Promise<Host> {
  const { instance, stateDir, subnetFile, storePrefix: prefix, ttlSeconds } = settings
  claimPlaces(settings, deps, stack)
  const id = nodeId(stateDir)
  writeFlags(stateDir, settings.kept)
  const telemetry = newTelemetry()
  const store = stack.use(measuredStore(await openStore(settings.store, log), telemetry))
  const isLocal = settings.store.kind === 'sqlite'
  const scope = isLocal ? ' (this machine only)' : ''
  log.info('heddled starts', { version: deps.version, instance, store: store.name + scope })
  const clock = hostClock
  const leases = new LeaseStore(store, { prefix, ttlSeconds, log, relieve: deps.relieve })
  const board = boardOf(settings, {
    version: deps.version,
    nodeId: id,
    store: { name: store.name, local: isLocal },
    clock,
    telemetry,
    log,
  })
  const manager = new SubnetManager({ ...settings, leases, clock, log, telemetry })
  const tools = { store, isLocal, leases, manager, board, telemetry, log, version: deps.version }
  await openServers(settings, tools, stack)
  const former = readFormerSubnet(subnetFile, log)
  const moment = { now: clock(), bootId: readBootId(), ttlMs: ttlSeconds * 1000 }
  return {
    settings,
    log,
    clock,
    store,
    isLocal,
    nodeId: id,
    board,
    telemetry,
    manager,
    remembered: readMemory(memoryPath(stateDir), moment, log),
    former,
    memory: newKernelMemory(former),
    commands: new Commands(log),
    files: new HostFiles({ subnetFile, log }),
    ...openKernel(stateDir, deps, telemetry, stack),
    lockFile: deps.lockFile,
    relieve: deps.relieve,
  }
}

function openKernel(
  stateDir: string,
  { openNetlink }: DaemonDeps,
  telemetry: Telemetry,
  stack: AsyncDisposableStack,
): Pick<Host, 'macs' | 'route' | 'netfilter'> {
  const connect = (protocol: NetlinkProtocol): Connection =>
    stack.use(new Connection(countedSocket(openNetlink(protocol), protocol, telemetry)))
  return { macs: new Macs(stateDir), route: connect('route'), netfilter: connect('netfilter') }
}

function claimPlaces(
  { instance, stateDir, subnetFile }: Settings,
  { lockFile }: DaemonDeps,
  stack: AsyncDisposableStack,
): void {
  for (const one of [instanceLock(instance), stateDirLock(stateDir), subnetFileLock(subnetFile)]) {
    stack.use(claim(one, lockFile, instance))
  }
}

function boardOf(
  { instance, subnetFile }: Settings,
  rest: Omit<BoardOptions, 'instance' | 'subnetFile'>,
): StatusBoard {
  const file = new StatusFile(subnetFile, rest.log)
  return new StatusBoard({ ...rest, instance, subnetFile }, file)
}

/** What changes something is on the socket only. */
async function openServers(
  { instance, storePrefix, healthz }: Settings,
  tools: StatusTools & Omit<AdminTools, 'storePrefix'>,
  stack: AsyncDisposableStack,
): Promise<void> {
  const source = statusSource(tools)
  const admin = adminRoutes({ ...tools, storePrefix })
  stack.use(await serveStatus(statusSocketPath(instance), source, admin))
  if (healthz) stack.use(await serveHealth(healthz, source))
}
