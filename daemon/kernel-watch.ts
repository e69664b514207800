import { read } from 'node:fs'
import { promisify } from 'node:util'
import type { Logger } from '../log/logger.ts'
import { decodeEvents, groups, type KernelEvent } from '../netlink/events.ts'
import type { Socket } from '../netlink/socket.ts'
import { sleep } from './alarm.ts'

const readAsync = promisify(read)
const BUFFER_SIZE = 64 * 1024
const TROUBLE_PAUSE_MS = 1_000

/** The groups whose events say that something of ours may have changed. */
export const watchedGroups: readonly number[] = Object.values(groups)

/** What a watch tells: events, or that some were lost. */
export interface KernelFollower {
  onEvents(events: readonly KernelEvent[]): void
  onLost(): void
}

/**
 * Reads a socket's events until aborted. The read waits on a pool thread, so nothing else does; the
 * socket's own timeout lets the thread look up now and then. There may be one such watch in a
 * process: on a small host the pool has two threads (measured), and files and names need the other.
 */
export async function watchKernel(
  socket: Socket,
  follower: KernelFollower,
  { signal, log }: { readonly signal: AbortSignal; readonly log: Logger },
): Promise<void> {
  const buffer = new Uint8Array(BUFFER_SIZE)
  while (!signal.aborted) {
    try {
      const { bytesRead } = await readAsync(socket.fd, buffer, 0, BUFFER_SIZE, null)
      if (!signal.aborted) follower.onEvents(decodeEvents(buffer.subarray(0, bytesRead)))
    } catch (error) {
      if (signal.aborted) return
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      if (code === 'EAGAIN' || code === 'EINTR') continue
      // ENOBUFS: more happened than the socket could hold.
      if (code !== 'ENOBUFS') {
        log.warn('kernel events cannot be read', { error: String(error) })
        await sleep(TROUBLE_PAUSE_MS, signal)
      }
      follower.onLost()
    }
  }
}
