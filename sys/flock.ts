import { closeSync, constants, openSync } from './fs.ts'
import { errno, libc, SyscallError } from './libc.ts'

const LOCK_EX = 2
const LOCK_NB = 4
const EAGAIN = 11
const EINTR = 4

/** The lock was held by somebody else for all of `timeoutMs`. */
export class LockTimeout extends Error {
  override readonly name = 'LockTimeout'
  readonly path: string
  readonly timeoutMs: number

  constructor(path: string, timeoutMs: number) {
    super(`lock ${path} is held by another process for over ${timeoutMs / 1000} s`)
    this.path = path
    this.timeoutMs = timeoutMs
  }
}

/**
 * Takes flock(2) LOCK_EX on a file, made with `mode` when missing. It excludes every other flock
 * user (Go's host-local among them), ends with the process, and is freed by disposing it.
 * Opened read-only, as upstream does: NFS aside, flock does not ask for more.
 * @throws LockTimeout after `timeoutMs`; 0 tries once.
 */
export function lockFile(path: string, options: { mode: number; timeoutMs: number }): Disposable {
  const fd = openSync(path, constants.O_RDONLY | constants.O_CREAT, options.mode)
  try {
    acquire(fd, path, options.timeoutMs)
  } catch (error) {
    closeSync(fd)
    throw error
  }
  let held = true
  return {
    [Symbol.dispose]() {
      if (held) closeSync(fd)
      held = false
    },
  }
}

/** flock has no timeout, so it is tried again at growing pauses of 0.5 to 8 ms. */
function acquire(fd: number, path: string, timeoutMs: number): void {
  const deadline = performance.now() + timeoutMs
  for (let pauseMs = 0.5; ; pauseMs = Math.min(pauseMs * 2, 8)) {
    if (libc.flock(fd, LOCK_EX | LOCK_NB) === 0) return
    const error = errno()
    if (error !== EAGAIN && error !== EINTR) throw new SyscallError('flock', error, path)
    if (performance.now() >= deadline) throw new LockTimeout(path, timeoutMs)
    Bun.sleepSync(pauseMs * (0.5 + Math.random()))
  }
}
