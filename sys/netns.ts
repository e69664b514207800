import { closeSync, constants, fstatSync, openSync, statfsSync } from './fs.ts'
import { check, libc } from './libc.ts'

const CLONE_NEWNET = 0x40000000
/** uapi/linux/magic.h: namespace files, and the proc files they were before Linux 3.19. */
const NSFS_MAGIC = 0x6e736673
const PROC_SUPER_MAGIC = 0x9fa0
const ownPath = '/proc/thread-self/ns/net'

/** An open network namespace. */
export interface Netns extends Disposable {
  readonly fd: number
  readonly path: string
  /** Device and inode identify a namespace: two paths to one namespace have the same pair. */
  readonly device: number
  readonly inode: number
}

/** A path that is not, or no longer, a network namespace. `gone` when nothing is at the path. */
export class NetnsError extends Error {
  override readonly name = 'NetnsError'
  readonly path: string
  readonly gone: boolean

  constructor(path: string, reason: string, gone: boolean) {
    // The text up to the reason is the reference plugins'; operators search for it.
    super(`failed to open netns "${path}": ${reason}`)
    this.path = path
    this.gone = gone
  }
}

/** Opens the namespace behind a path, which may be a bind mount or a file of /proc. */
export function openNetns(path: string): Netns {
  let fd: number
  try {
    const magic = statfsSync(path).type
    if (magic !== NSFS_MAGIC && magic !== PROC_SUPER_MAGIC) {
      throw new NetnsError(path, `unknown FS magic on "${path}": ${magic.toString(16)}`, false)
    }
    fd = openSync(path, constants.O_RDONLY)
  } catch (error) {
    if (error instanceof NetnsError) throw error
    const code = (error as NodeJS.ErrnoException).code
    const gone = code === 'ENOENT' || code === 'ENOTDIR'
    const reason = gone ? 'no such file or directory' : (error as Error).message
    throw new NetnsError(path, `failed to Statfs "${path}": ${reason}`, gone)
  }
  const { dev, ino } = fstatSync(fd)
  let open = true
  return {
    fd,
    path,
    device: dev,
    inode: ino,
    [Symbol.dispose]() {
      if (open) closeSync(fd)
      open = false
    },
  }
}

/** The namespace this thread is in. */
export function currentNetns(): Netns {
  return openNetns(ownPath)
}

/**
 * Runs `body` inside a namespace and comes back, whatever happens. `setns` moves the one thread
 * JavaScript has, so `body` must be synchronous: it opens sockets, reads and writes sysctls.
 * Ends the process when the way back fails, since nothing after that would be where it thinks.
 */
export function inNetns<T>(
  netns: Netns,
  body: () => T extends PromiseLike<unknown> ? never : T,
): T {
  const home = openSync(ownPath, constants.O_RDONLY)
  try {
    check('setns', libc.setns(netns.fd, CLONE_NEWNET), netns.path)
    try {
      return body()
    } finally {
      if (libc.setns(home, CLONE_NEWNET) !== 0) process.abort()
    }
  } finally {
    closeSync(home)
  }
}
