import { align4, walkAttrs } from './table.ts'
import { str } from './wire.ts'

/** NLM_F_*, uapi/linux/netlink.h. The second half means different things for NEW, DEL and GET. */
export const NLM_F_REQUEST = 0x1
export const NLM_F_ACK = 0x4
export const NLM_F_DUMP_INTR = 0x10
export const NLM_F_DUMP = 0x300
export const NLM_F_REPLACE = 0x100
export const NLM_F_EXCL = 0x200
export const NLM_F_CREATE = 0x400
export const NLM_F_APPEND = 0x800
const NLM_F_CAPPED = 0x100
const NLM_F_ACK_TLVS = 0x200

/** NLMSG_*: types below 16 belong to netlink itself. */
export const NLMSG_ERROR = 2
export const NLMSG_DONE = 3
export const NLMSG_MIN_TYPE = 16

const HEADER_SIZE = 16
const NLMSGERR_ATTR_MSG = 1
const NLMSGERR_ATTR_OFFS = 2

/**
 * One question to the kernel, ready to send. `R` is what `decode` makes of a reply; a request that
 * is only acknowledged has none.
 */
export interface Request<R = void> {
  /** nlmsg_type, for example RTM_NEWLINK. */
  readonly type: number
  /** nlmsg_flags besides NLM_F_REQUEST, NLM_F_ACK and NLM_F_DUMP, which the connection sets. */
  readonly flags: number
  /** Family header and attributes: everything after `struct nlmsghdr`. */
  readonly body: Uint8Array
  /** What it does and to which object, for messages: `add link veth0`. */
  readonly op: string
  /**
   * Reads one reply; undefined for an object that was not asked for. Throws `RangeError` on bytes it
   * cannot be. Must not keep a view of `payload`.
   */
  readonly decode?: (type: number, payload: Uint8Array) => R | undefined
  /**
   * The errno by which the kernel says that there is nothing to show or to delete, where that is
   * no error: an empty dump, or an answer without a value.
   */
  readonly noneErrno?: number
}

/** One message as received. `payload` is a view into the datagram. */
export interface Message {
  readonly type: number
  readonly flags: number
  readonly sequence: number
  readonly portId: number
  readonly payload: Uint8Array
}

/** What NLMSG_ERROR or NLMSG_DONE says. */
export interface Verdict {
  /** A positive errno, 0 for success. */
  readonly errno: number
  /** The kernel's own words (extended ACK), also possible beside success, as a warning. */
  readonly text?: string
  /** Byte offset into the request that the kernel points at. */
  readonly offset?: number
}

/** The bytes this request takes in a datagram, with padding. */
export function messageSize(request: Request<unknown>): number {
  return HEADER_SIZE + align4(request.body.length)
}

/**
 * Lays requests out as one datagram. They get consecutive sequence numbers from `sequence` on;
 * `flags` are added to each. The port id stays 0: the kernel takes it from the socket.
 */
export function encodeMessages(
  requests: readonly Request<unknown>[],
  sequence: number,
  flags: number,
): Uint8Array {
  let size = 0
  for (const request of requests) size += messageSize(request)
  const out = new Uint8Array(size)
  const view = new DataView(out.buffer)
  let at = 0
  for (const request of requests) {
    view.setUint32(at, HEADER_SIZE + request.body.length, true)
    view.setUint16(at + 4, request.type, true)
    view.setUint16(at + 6, request.flags | flags, true)
    view.setUint32(at + 8, sequence++, true)
    out.set(request.body, at + HEADER_SIZE)
    at += messageSize(request)
  }
  return out
}

/**
 * Parts a datagram into its messages. Throws `RangeError` on a message that is shorter than its
 * header or longer than the datagram, and on bytes left over.
 */
export function decodeMessages(datagram: Uint8Array): Message[] {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength)
  const messages: Message[] = []
  let at = 0
  while (at < datagram.length) {
    const left = datagram.length - at
    const length = left < HEADER_SIZE ? left : view.getUint32(at, true)
    if (length < HEADER_SIZE || length > left) {
      throw new RangeError(`message at byte ${at} claims ${length} of ${left} bytes`)
    }
    messages.push({
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      sequence: view.getUint32(at + 8, true),
      portId: view.getUint32(at + 12, true),
      payload: datagram.subarray(at + HEADER_SIZE, at + length),
    })
    at += align4(length)
  }
  return messages
}

/**
 * Reads NLMSG_ERROR: an errno, the header of the request it answers, the rest of that request
 * unless capped, and then the extended ACK's attributes.
 */
export function decodeError({ flags, payload }: Message): Verdict {
  const view = viewOf(payload, 4 + HEADER_SIZE)
  const echoed = flags & NLM_F_CAPPED ? HEADER_SIZE : view.getUint32(4, true)
  return verdict(view.getInt32(0, true), flags, payload, 4 + align4(echoed))
}

/** Reads NLMSG_DONE: how a dump ended. Old kernels and some families send no errno. */
export function decodeDone({ flags, payload }: Message): Verdict {
  if (payload.length === 0) return { errno: 0 }
  return verdict(viewOf(payload, 4).getInt32(0, true), flags, payload, 4)
}

function viewOf(payload: Uint8Array, needed: number): DataView {
  if (payload.length < needed) {
    throw new RangeError(`reply has ${payload.length} bytes, ${needed} needed`)
  }
  return new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
}

function verdict(error: number, flags: number, payload: Uint8Array, tlvs: number): Verdict {
  // NLMSG_DONE carries a positive count for some families; only a negative value is an error.
  const errno = error < 0 ? -error : 0
  if (!(flags & NLM_F_ACK_TLVS) || tlvs >= payload.length) return { errno }
  let text: string | undefined
  let offset: number | undefined
  for (const attr of walkAttrs(payload.subarray(tlvs))) {
    if (attr.type === NLMSGERR_ATTR_MSG) text = str.read(attr.payload)
    if (attr.type === NLMSGERR_ATTR_OFFS) offset = viewOf(attr.payload, 4).getUint32(0, true)
  }
  return { errno, ...(text && { text }), ...(offset !== undefined && { offset }) }
}
