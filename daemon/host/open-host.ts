import { limited } from '../../log/limited.ts'
import type { RecentLog } from '../../log/recent.ts'
import { StoreError } from '../../store/store.ts'
import { sleep } from '../alarm.ts'
import type { Settings } from '../settings/settings.ts'
import { type DaemonDeps, type Host, openHost } from './host.ts'
import type { Notifier } from './notify.ts'

const PAUSE_MS = 1_000
/** What somebody else can make go away while this process waits: EDQUOT, ENOSPC, EROFS. */
const PASSING = ['EDQUOT', 'ENOSPC', 'EROFS']

/**
 * As `openHost`, and waits where a disk is full or read-only: to end would only mean to be started
 * again. Undefined when aborted.
 */
export async function openWhenWritable(
  {
    settings,
    deps,
    log,
    signal,
    notifier,
  }: {
    readonly settings: Settings
    readonly deps: DaemonDeps
    readonly log: RecentLog
    readonly signal: AbortSignal
    readonly notifier: Notifier
  },
  stack: AsyncDisposableStack,
): Promise<Host | undefined> {
  const often = limited(log)
  while (!signal.aborted) {
    const opened = new AsyncDisposableStack()
    try {
      const host = await openHost(settings, deps, log, opened)
      stack.use(opened)
      return host
    } catch (error) {
      await opened.disposeAsync()
      if (!isPassing(error)) throw error
      often.warn('waiting', { for: error.message })
      notifier.status(`waiting: ${error.message}`)
    }
    await sleep(PAUSE_MS, signal)
  }
  return undefined
}

function isPassing(error: unknown): error is Error {
  if (!(error instanceof Error)) return false
  if (error instanceof StoreError && error.reason === 'full') return true
  return ('code' in error && PASSING.includes(String(error.code))) || isPassing(error.cause)
}
