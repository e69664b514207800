import type { Fields, Level, Logger } from './logger.ts'

/** How often a message may be said; the rest is counted. */
export interface LogLimit {
  /** That many at once, */
  readonly burst: number
  /** and then one more in each such time, in ms. */
  readonly everyMs: number
}

const USUAL: LogLimit = { burst: 5, everyMs: 60_000 }
/** Messages are constant texts, so there are few; this bounds whoever forgets that. */
const MOST_MESSAGES = 1_000

interface Bucket {
  left: number
  refilledAt: number
  dropped: number
}

/**
 * A logger for what may repeat without end: each message, whatever its fields are, is said `burst`
 * times and then at most once in `everyMs`, with the number of those left out as `suppressed`.
 * Debug messages pass. `now` tells ms of any clock that does not go back.
 */
export function limited(
  log: Logger,
  limit: LogLimit = USUAL,
  now: () => number = () => performance.now(),
): Logger {
  const buckets = new Map<string, Bucket>()
  const at =
    (level: Exclude<Level, 'debug'>) =>
    (message: string, fields?: Fields): void => {
      const bucket = take(buckets, `${level} ${message}`, limit, now())
      if (!bucket) return
      const { dropped } = bucket
      bucket.dropped = 0
      log[level](message, dropped > 0 ? { ...fields, suppressed: dropped } : fields)
    }
  return {
    debug: (message, fields) => log.debug(message, fields),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
  }
}

/** The message's bucket if it may be said now. */
function take(
  buckets: Map<string, Bucket>,
  key: string,
  { burst, everyMs }: LogLimit,
  now: number,
): Bucket | undefined {
  const bucket = buckets.get(key) ?? { left: burst, refilledAt: now, dropped: 0 }
  if (buckets.size >= MOST_MESSAGES && !buckets.has(key)) buckets.clear()
  buckets.set(key, bucket)
  const refills = Math.floor((now - bucket.refilledAt) / everyMs)
  bucket.left = Math.min(burst, bucket.left + refills)
  bucket.refilledAt += refills * everyMs
  if (bucket.left === 0) {
    bucket.dropped += 1
    return undefined
  }
  bucket.left -= 1
  return bucket
}
