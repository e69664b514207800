/**
 * What a connection needs of a netlink socket. The caller opens it (heddle does so in `sys/`) and
 * tests give a fake kernel. The socket must have NETLINK_EXT_ACK and, for rtnetlink,
 * NETLINK_GET_STRICT_CHK on.
 */
export interface Socket extends Disposable {
  /** The file descriptor, for those who wait on it; -1 for a fake. */
  readonly fd: number
  /** The port id the kernel gave this socket (`nl_pid`); every reply to us carries it. */
  readonly portId: number
  /** Sends one datagram of one or more whole messages. Throws an error with `errno` and `code`. */
  send(datagram: Uint8Array): void
  /**
   * Waits for one datagram and returns it whole; the caller owns the bytes. Throws an error with
   * `errno` and `code`: EAGAIN when the socket's timeout passed, ENOBUFS when the kernel dropped
   * something, EMSGSIZE when the datagram did not fit.
   */
  receive(): Uint8Array
}
