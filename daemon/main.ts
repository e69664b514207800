import { writeSync } from 'node:fs'
import type { Logger } from '../log/logger.ts'
import { remembering } from '../log/recent.ts'
import { stderrLogger } from '../log/stderr.ts'
import type { DaemonDeps } from './host/host.ts'
import { type Notifier, openNotifier } from './host/notify.ts'
import { serve } from './serve.ts'
import { type Environment, parseFlags, UsageError } from './settings/flags.ts'
import { helpText } from './settings/help.ts'
import { type Settings, settingsOf } from './settings/settings.ts'

/** What an operator can mend; the message says it all. Anything else is a bug, and shows its stack. */
const expected = new Set([
  'AlreadyRunningError',
  'ConfigError',
  'DecodeError',
  'DeviceConflictError',
  'ListenError',
  'NetlinkError',
  'NodeIdInUseError',
  'StateError',
  'StoreError',
])

/**
 * `heddled`, the lease daemon. Returns its exit code: 0 after SIGTERM or SIGINT, 1 when it could not
 * go on, 2 for a wrong command line. A second signal ends the process at once.
 */
export async function runDaemon(
  argv: readonly string[],
  env: Environment,
  deps: DaemonDeps,
): Promise<number> {
  const [verb, ...rest] = argv
  if (verb === 'cleanup') return cleanUp(rest, env, deps)
  let settings: Settings
  try {
    const flags = parseFlags(argv, env)
    if (flags.values.help) return say(1, helpText())
    // flanneld prints its version to standard error, and scripts know it.
    const out = deps.program === 'flanneld' ? 2 : 1
    if (flags.values.version) return say(out, `${deps.program} ${deps.version}\n`)
    settings = settingsOf(flags, deps.program)
  } catch (error) {
    return misused(error, deps)
  }
  const log = remembering(stderrLogger({ level: settings.logLevel, format: settings.logFormat }))
  const notifier = openNotifier(env, deps.sdNotify)
  try {
    await serve({ settings, deps, log, signal: onSignal(log, notifier), notifier })
    log.info('heddled ends; what it made in the kernel stays')
    return 0
  } catch (error) {
    report(log, error)
    return 1
  }
}

/** Loaded only here: a daemon that runs needs none of it. */
async function cleanUp(
  argv: readonly string[],
  env: Environment,
  deps: DaemonDeps,
): Promise<number> {
  const { runCleanup } = await import('./cleanup/main.ts')
  try {
    return await runCleanup(argv, env, deps)
  } catch (error) {
    if (error instanceof UsageError) return misused(error, deps)
    report(stderrLogger({ level: 'info', format: 'text' }), error)
    return 1
  }
}

/** Exit code 2 for a wrong command line; anything else is thrown on. */
function misused(error: unknown, { program }: DaemonDeps): number {
  if (!(error instanceof UsageError)) throw error
  say(2, `${program}: ${error.message}\n`)
  return 2
}

function say(fd: 1 | 2, text: string): number {
  writeSync(fd, text)
  return 0
}

function onSignal(log: Logger, notifier: Notifier): AbortSignal {
  const controller = new AbortController()
  const signals = ['SIGTERM', 'SIGINT'] as const
  const handle = (name: NodeJS.Signals): void => {
    log.info('signal', { name })
    notifier.stopping()
    // The next one does what it does to any program.
    for (const one of signals) process.off(one, handle)
    controller.abort()
  }
  for (const one of signals) process.on(one, handle)
  return controller.signal
}

function report(log: Logger, error: unknown): void {
  // A failed system call says itself what it was about.
  const isExpected = error instanceof Error && (expected.has(error.name) || 'syscall' in error)
  if (error instanceof Error) log.error(isExpected ? error.message : (error.stack ?? error.message))
  else log.error(String(error))
}
