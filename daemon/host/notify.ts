import { limited } from '../../log/limited.ts'
import type { Logger } from '../../log/logger.ts'

/** Sends one message to the service manager; `socketPath` is `$NOTIFY_SOCKET`. False if it could not. */
export type Notify = (socketPath: string | undefined, state: string) => boolean

/** What the service manager is told, if there is one (sd_notify(3)). */
export interface Notifier {
  ready(): void
  stopping(): void
  /** One line for `systemctl status`. */
  status(text: string): void
  /**
   * Feeds the watchdog, if there is one, at half of its time, until disposed: each time that `fault`
   * finds nothing. A blocked event loop feeds nothing either.
   */
  watch(fault: () => string | undefined, log: Logger): Disposable
}

/** Speaks to the service manager that `env` names. */
export function openNotifier(
  env: Readonly<Record<string, string | undefined>>,
  notify: Notify,
): Notifier {
  const tell = (state: string): void => void notify(env['NOTIFY_SOCKET'], state)
  let status = ''
  return {
    ready: () => tell('READY=1'),
    stopping: () => tell('STOPPING=1'),
    status(text) {
      const line = text.replaceAll('\n', ' ')
      if (line === status) return
      status = line
      tell(`STATUS=${line}`)
    },
    watch(fault, log) {
      const periodMs = watchdogMs(env)
      if (periodMs === undefined) return { [Symbol.dispose]() {} }
      const often = limited(log)
      const timer = setInterval(() => {
        const found = fault()
        if (found === undefined) tell('WATCHDOG=1')
        else often.error('the watchdog is not fed', { error: found })
      }, periodMs / 2)
      return { [Symbol.dispose]: () => clearInterval(timer) }
    },
  }
}

/** After how many ms of silence the service manager ends this process; undefined: never. */
function watchdogMs(env: Readonly<Record<string, string | undefined>>): number | undefined {
  const { WATCHDOG_USEC: time = '', WATCHDOG_PID: pid } = env
  if (!/^[1-9]\d{0,15}$/.test(time)) return undefined
  return pid === undefined || pid === String(process.pid) ? Number(time) / 1000 : undefined
}
