import type { Fields, Logger } from './logger.ts'
import { renderMessage } from './stderr.ts'

/** A warning or an error that was said; the same message said again is one with a higher count. */
export interface Said {
  readonly level: 'warn' | 'error'
  /** With its fields as they were the last time. */
  readonly message: string
  /** The last time, ISO 8601, UTC. */
  readonly time: string
  readonly count: number
}

/** A logger that remembers the newest warnings and errors. */
export interface RecentLog extends Logger {
  /** The newest last. */
  readonly recent: readonly Said[]
  /** How many there were in all. */
  readonly counts: Readonly<Record<Said['level'], number>>
}

const KEPT = 20
/** Characters of a message that are kept; what a store answers may be long. */
const LONGEST = 1_000

/** Passes everything on to `log`, and remembers warnings and errors, each message once. */
export function remembering(log: Logger, now: () => Date = () => new Date()): RecentLog {
  // In order of the last time: what is said again goes to the end.
  const kept = new Map<string, Said>()
  const counts = { warn: 0, error: 0 }
  const at =
    (level: Said['level']) =>
    (message: string, fields?: Fields): void => {
      const key = `${level} ${message}`
      const count = (kept.get(key)?.count ?? 0) + 1
      kept.delete(key)
      const time = now().toISOString()
      const text = renderMessage(message, fields).slice(0, LONGEST)
      kept.set(key, { level, message: text, time, count })
      const [oldest] = kept.keys()
      if (kept.size > KEPT && oldest !== undefined) kept.delete(oldest)
      counts[level] += 1
      log[level](message, fields)
    }
  return {
    debug: (message, fields) => log.debug(message, fields),
    info: (message, fields) => log.info(message, fields),
    warn: at('warn'),
    error: at('error'),
    get recent() {
      return [...kept.values()]
    },
    counts,
  }
}
