import { writeSync } from 'node:fs'
import { distinctPrefixes } from '../../ip/prefix.ts'
import type { Logger } from '../../log/logger.ts'
import { stderrLogger } from '../../log/stderr.ts'
import { Connection } from '../../netlink/connection.ts'
import type { DaemonDeps } from '../host/host.ts'
import {
  AlreadyRunningError,
  type Claimable,
  claim,
  instanceLock,
  stateDirLock,
  subnetFileLock,
} from '../host/locks.ts'
import { type Environment, parseFlags } from '../settings/flags.ts'
import { readFlags } from '../settings/flags-file.ts'
import { type Settings, settingsOf } from '../settings/settings.ts'
import { findAttachments, ownersOf, removeAttachments } from './attachments.ts'
import { removeFile } from './files.ts'
import { removeDevices, removeRoutes, removeRules } from './kernel.ts'
import { type Known, readKnown } from './known.ts'
import { giveBackLeases } from './lease.ts'
import { findFlanneld, wasHere } from './presence.ts'
import { attempt, type Report, reporter } from './report.ts'
import { removeReservations } from './reservations.ts'
import { removeFolders, removeRunFiles, removeState } from './state.ts'
import { usedBeside } from './used.ts'

const usage = `usage: heddled cleanup [--instance NAME] [other flags of the daemon]

Removes from this host everything that heddled and the network plugin made for an instance: its lease, nftables rules,
routes, devices, bridges without containers, addresses without containers, files and state. Stop the daemon first. The
flags it had are remembered, but for passwords and --state-dir. It may be run again at any time.

Exit code 0 when nothing is left, 1 when something is, 2 for a wrong command line.
`

/**
 * `heddled cleanup`. Returns its exit code.
 * @throws UsageError, StateError, NetlinkError
 */
export async function runCleanup(
  argv: readonly string[],
  env: Environment,
  deps: DaemonDeps,
): Promise<number> {
  const asked = parseFlags(argv, env)
  if (asked.values.help) {
    writeSync(1, usage)
    return 0
  }
  const { stateDir } = settingsOf(asked, deps.program)
  const remembered = { ...readFlags(stateDir), ...env }
  const settings = settingsOf(parseFlags(argv, remembered), deps.program)
  const log = stderrLogger({ level: 'warn', format: settings.logFormat })
  const report = reporter((line) => void writeSync(1, `${line}\n`))
  const locks = locksOf(settings)
  using held = new DisposableStack()
  try {
    for (const lock of locks) held.use(claim(lock, deps.lockFile, settings.instance))
  } catch (error) {
    if (!(error instanceof AlreadyRunningError)) throw error
    log.error(`${error.what} belongs to a running daemon (${error.holder}): stop it first`)
    return 1
  }
  const flanneld = findFlanneld()
  if (flanneld !== undefined) {
    log.error(`flanneld has taken this host over (process ${flanneld}): stop it first`)
    return 1
  }
  await cleanUp(settings, { deps, log, report })
  if (report.isComplete) for (const { path } of locks) removeFile(path)
  removeFolders(settings)
  if (report.isComplete && !report.hasRemoved) {
    writeSync(1, `nothing of instance ${settings.instance} is on this host\n`)
  }
  return report.isComplete ? 0 : 1
}

/** What the daemon holds as long as it runs. */
function locksOf({ instance, stateDir, subnetFile }: Settings): Claimable[] {
  return [instanceLock(instance), stateDirLock(stateDir), subnetFileLock(subnetFile)]
}

interface Tools {
  readonly deps: DaemonDeps
  readonly log: Logger
  readonly report: Report
}

/**
 * In an order in which it can be killed anywhere and done again: what something is known by goes
 * after it, and the state folder only when nothing else is left.
 */
async function cleanUp(settings: Settings, tools: Tools): Promise<void> {
  const { deps, log, report } = tools
  using netfilter = new Connection(deps.openNetlink('netfilter'))
  if (!wasHere(settings, netfilter)) return
  const found = readKnown(settings, log)
  const news = await giveBackLeases(settings, found.nodeId, { log, report })
  const known = { ...found, networks: distinctPrefixes([...found.networks, ...news.networks]) }
  // Before anything a container needs, so that none comes any more.
  attempt(report, 'files in /run', () => removeRunFiles(settings, report))
  using route = new Connection(deps.openNetlink('route'))
  removeKernelState(settings, known, { deps, report, route, netfilter })
  if (report.isComplete)
    removeState(settings, known, { isStoreIdle: news.isIdle, lockFile: deps.lockFile, report })
}

function removeKernelState(
  settings: Settings,
  known: Known,
  {
    deps,
    report,
    route,
    netfilter,
  }: Omit<Tools, 'log'> & { readonly route: Connection; readonly netfilter: Connection },
): void {
  const { lockFile } = deps
  const { instance } = settings
  const { networks, gateways } = known
  attempt(report, 'firewall rules', () => removeRules(netfilter, settings, known, report))
  attempt(report, 'routes', () => removeRoutes(route, networks, report))
  attempt(report, 'devices', () => removeDevices(route, known, { lockFile, instance, report }))
  attempt(report, 'what containers had', () => {
    // By the records the addresses are known, so these go first.
    const { running, gone } = findAttachments(route, networks)
    const isUsed = usedBeside(route, running)
    const owners = { running: ownersOf(running), gone: ownersOf(gone), isUsed }
    removeReservations({ networks, ...owners, lockFile, report })
    removeAttachments({ route, netfilter, networks, gateways, report, running, gone })
  })
}
