import type { Socket } from '../../netlink/socket.ts'
import type { NetlinkProtocol, Telemetry } from '../status/telemetry.ts'

/** `struct nlmsghdr`: u32 length, u16 type, u16 flags, ... (linux/netlink.h). */
const HEADER_BYTES = 16
const FLAGS_OFFSET = 6
const NLM_F_DUMP = 0x300

/** The same socket; what is sent through it is counted. It owns `socket`. */
export function countedSocket(
  socket: Socket,
  protocol: NetlinkProtocol,
  { netlinkMessages, netlinkDumps }: Pick<Telemetry, 'netlinkMessages' | 'netlinkDumps'>,
): Socket {
  return {
    fd: socket.fd,
    portId: socket.portId,
    send(datagram) {
      const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength)
      for (let at = 0; at + HEADER_BYTES <= view.byteLength; ) {
        const flags = view.getUint16(at + FLAGS_OFFSET, true)
        netlinkMessages.add(protocol)
        if ((flags & NLM_F_DUMP) === NLM_F_DUMP) netlinkDumps.add(protocol)
        // Each message starts at a multiple of four bytes.
        at += Math.max(HEADER_BYTES, (view.getUint32(at, true) + 3) & ~3)
      }
      socket.send(datagram)
    },
    receive: () => socket.receive(),
    [Symbol.dispose]: () => socket[Symbol.dispose](),
  }
}
