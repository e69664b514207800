import { openNetlink } from './netlink-socket.ts'

/** Who is told what a netlink socket hears. */
export interface NetlinkFollower {
  /** One datagram, whole; the bytes are the caller's. */
  onDatagram(datagram: Uint8Array): void
  /** Something may have gone unheard: more happened than the socket could hold, or it broke. */
  onLost(error: Error): void
}

/** A socket that broke for another reason than too much to hear is opened anew after this long. */
const TROUBLE_PAUSE_MS = 1_000

/**
 * Listens to multicast groups from the namespace the thread is in now until disposed. The socket is
 * one of those that Bun's own event loop waits for: no thread is taken, and nothing is asked in
 * vain. Throws `SyscallError` when the first socket cannot be opened; a later one is tried for again,
 * and is for a thread that has not moved.
 */
export function followNetlink(
  protocol: 'route' | 'netfilter',
  groups: readonly number[],
  follower: NetlinkFollower,
): Disposable {
  const listener = new Listener(() => openNetlink(protocol, { groups, timeoutMs: 0 }).fd, follower)
  listener.listen()
  return listener
}

/**
 * `Bun.connect` as far as it takes a descriptor, which its documentation has and its overloads have
 * not. What it returns tells nothing that the handlers are not told.
 */
const adopt = Bun.connect as unknown as (options: Bun.FdSocketOptions) => void

/**
 * The loop reads a datagram at a time, with room for the largest there is, and closes a socket at its
 * first error. So after a loss (ENOBUFS) there is a new socket, and `onLost` once it listens: whoever
 * looks at the kernel then misses nothing.
 */
class Listener implements Disposable {
  readonly #open: () => number
  readonly #follower: NetlinkFollower
  #isDisposed = false
  #socket: Bun.Socket | undefined
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(open: () => number, follower: NetlinkFollower) {
    this.#open = open
    this.#follower = follower
  }

  listen(): void {
    const socket: Bun.SocketHandler<undefined> = {
      open: (opened) => {
        this.#socket = opened
        if (this.#isDisposed) opened.terminate()
      },
      data: (_, datagram) => {
        if (!this.#isDisposed) this.#follower.onDatagram(datagram)
      },
      close: (_, error) => this.#end(error),
      connectError: (_, error) => this.#end(error),
    }
    adopt({ fd: this.#open(), socket })
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true
    clearTimeout(this.#timer)
    this.#socket?.terminate()
  }

  #end(error = new Error('the netlink socket was closed')): void {
    if (this.#isDisposed) return
    if ('code' in error && error.code === 'ENOBUFS') this.#again(error)
    else this.#timer = setTimeout(() => this.#again(error), TROUBLE_PAUSE_MS)
  }

  #again(error: Error): void {
    try {
      this.listen()
    } catch (failure) {
      this.#end(failure instanceof Error ? failure : undefined)
    }
    this.#follower.onLost(error)
  }
}
