import { limited } from '../log/limited.ts'
import type { Logger } from '../log/logger.ts'
import { sleep } from './alarm.ts'
import type { StatusBoard } from './status/status-board.ts'

/** Not there yet, and why: a sentence for the operator. */
export class NotYet {
  readonly reason: string

  constructor(reason: string) {
    this.reason = reason
  }
}

const PAUSE_MS = 1_000
/** The same reason is said again after this many tries. */
const REPEAT = 60

/**
 * Tries each second until there is a value, with the reason for waiting in the status and, when it
 * is a new one and now and then, in the log. Undefined when aborted.
 */
export async function untilThere<T>(
  attempt: () => T | NotYet | Promise<T | NotYet>,
  { log, board, signal }: WaitTools,
): Promise<T | undefined> {
  // Two reasons may take turns.
  const often = limited(log)
  let last: string | undefined
  for (let tries = 0; !signal.aborted; tries++) {
    const result = await orAborted(Promise.resolve(attempt()), signal)
    if (signal.aborted || result === undefined) return undefined
    if (!(result instanceof NotYet)) {
      board.waitFor(undefined)
      return result
    }
    const { reason } = result
    if (reason !== last || tries % REPEAT === 0) often.warn('waiting', { for: reason })
    last = reason
    board.waitFor(reason)
    await sleep(PAUSE_MS, signal)
  }
  return undefined
}

/** What comes of the work; undefined on abort, though it may go on for a while. */
export async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const abort = (): void => resolve(undefined)
  signal.addEventListener('abort', abort)
  if (signal.aborted) abort()
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

export interface WaitTools {
  readonly log: Logger
  readonly board: StatusBoard
  readonly signal: AbortSignal
}
