import type { Socket } from '../netlink/socket.ts'
import { address, check, errno, libc, SyscallError } from './libc.ts'

// uapi/linux/netlink.h, asm-generic/socket.h
const AF_NETLINK = 16
const SOCK_RAW = 3
const SOCK_CLOEXEC = 0x80000
const protocols = { route: 0, netfilter: 12 } as const
const SOL_SOCKET = 1
const SO_RCVTIMEO = 20
const SO_SNDBUFFORCE = 32
const SO_RCVBUFFORCE = 33
const SOL_NETLINK = 270
const NETLINK_ADD_MEMBERSHIP = 1
const NETLINK_CAP_ACK = 10
const NETLINK_EXT_ACK = 11
const NETLINK_GET_STRICT_CHK = 12
const MSG_TRUNC = 0x20
const EINTR = 4
const EMSGSIZE = 90

/** Enough for the kernel's own largest dump datagram (NLMSG_GOODSIZE, at most 32 KiB). */
const RECEIVE_SIZE = 64 * 1024
/** Shared by all sockets: what has come is copied out of it at once. */
const receiveBuffer = new Uint8Array(RECEIVE_SIZE)
/** Room for the acknowledgements of a whole batch, and for a burst of events. */
const RECEIVE_QUEUE_BYTES = 4 * 1024 * 1024
/** A transaction is one datagram: this holds a table of some 20,000 set elements. */
const TRANSACTION_BYTES = 4 * 1024 * 1024

/** A netlink socket in the network namespace the thread is in now; it stays there for life. */
export function openNetlink(
  protocol: keyof typeof protocols,
  options: { groups?: readonly number[]; timeoutMs?: number } = {},
): Socket {
  const fd = check('socket', libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocols[protocol]))
  try {
    setOption(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1)
    setOption(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1)
    if (protocol === 'route') setOption(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
    else setOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, TRANSACTION_BYTES)
    if (options.groups) setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_QUEUE_BYTES)
    if (options.timeoutMs !== 0) setTimeout(fd, options.timeoutMs ?? 10_000)
    const name = new Uint32Array(3)
    name[0] = AF_NETLINK
    const raw = new Uint8Array(name.buffer)
    check('bind', libc.bind(fd, address(raw), raw.length))
    for (const group of options.groups ?? []) {
      setOption(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
    }
    return new NetlinkSocket(fd, portIdOf(fd))
  } catch (error) {
    libc.close(fd)
    throw error
  }
}

class NetlinkSocket implements Socket {
  readonly fd: number
  readonly portId: number
  #open = true

  constructor(fd: number, portId: number) {
    this.fd = fd
    this.portId = portId
  }

  send(datagram: Uint8Array): void {
    for (;;) {
      const sent = libc.send(this.fd, address(datagram), datagram.length, 0)
      if (sent >= 0) return
      const error = errno()
      if (error !== EINTR) throw new SyscallError('send', error, 'netlink')
    }
  }

  receive(): Uint8Array {
    for (;;) {
      // MSG_TRUNC makes recv tell the datagram's true length, so that a cut one is noticed.
      const length = Number(libc.recv(this.fd, address(receiveBuffer), RECEIVE_SIZE, MSG_TRUNC))
      if (length > RECEIVE_SIZE) throw new SyscallError('recv', EMSGSIZE, 'netlink')
      if (length >= 0) return receiveBuffer.slice(0, length)
      const error = errno()
      if (error !== EINTR) throw new SyscallError('recv', error, 'netlink')
    }
  }

  [Symbol.dispose](): void {
    if (this.#open) libc.close(this.fd)
    this.#open = false
  }
}

function setOption(fd: number, level: number, option: number, value: number): void {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setInt32(0, value, true)
  check('setsockopt', libc.setsockopt(fd, level, option, address(bytes), bytes.length), `${option}`)
}

function setTimeout(fd: number, milliseconds: number): void {
  const seconds = Math.floor(milliseconds / 1000)
  const time = new BigInt64Array(2)
  time[0] = BigInt(seconds)
  time[1] = BigInt((milliseconds - seconds * 1000) * 1000)
  const bytes = new Uint8Array(time.buffer)
  check('setsockopt', libc.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, address(bytes), bytes.length))
}

function portIdOf(fd: number): number {
  const name = new Uint32Array(3)
  const size = new Uint8Array(4)
  size[0] = 12
  check('getsockname', libc.getsockname(fd, address(new Uint8Array(name.buffer)), address(size)))
  return name[1] ?? 0
}
