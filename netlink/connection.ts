import {
  decodeDone,
  decodeError,
  decodeMessages,
  encodeMessages,
  type Message,
  messageSize,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_MIN_TYPE,
  type Request,
  type Verdict,
} from './codec/message.ts'
import { EBADMSG, EINTR, ENOENT, NetlinkError } from './errors.ts'
import type { Socket } from './socket.ts'

/** The outcome of one request among several: an error, or the decoded reply if there was one. */
export interface Answer<R> {
  readonly error?: NetlinkError
  readonly value?: R
}

type Answers<T extends readonly Request<unknown>[]> = {
  -readonly [K in keyof T]: Answer<T[K] extends Request<infer R> ? R : never>
}

/**
 * A datagram holds at most this much. The acknowledgements of 150 messages fit in the default
 * receive buffer of 208 KiB even if each is an error that repeats its request.
 */
const MAX_MESSAGES = 150
const MAX_BYTES = 32 * 1024
const DUMP_ATTEMPTS = 5
/** Datagrams in a row that answer nothing we asked: more is not a working kernel. */
const MAX_STRAYS = 1000

/**
 * Requests and replies over one netlink socket, which it owns. Synchronous: a method returns when
 * the kernel has answered. Not for a socket that has joined multicast groups, where notifications
 * of our own changes look like replies.
 *
 * Every method throws `NetlinkError` when the socket fails or a reply is malformed. What was sent
 * may have taken effect then; the connection itself stays usable.
 */
export class Connection implements Disposable {
  readonly #socket: Socket
  #sequence = 1

  constructor(socket: Socket) {
    this.#socket = socket
  }

  /** Sends one request and waits for its acknowledgement. */
  execute(request: Request<unknown>): void {
    const { error } = this.#round([request])[0] ?? {}
    if (error) throw error
  }

  /** Asks for one object. The error is ENOENT if the kernel agrees but has nothing to show. */
  get<R>(request: Request<R>): R {
    const answer = this.#round([request])[0] ?? {}
    if (answer.error) throw answer.error
    if (answer.value === undefined) throw kernelError(request.op, { errno: ENOENT })
    return answer.value as R
  }

  /** Asks for all objects of a kind, and again from the start if they changed meanwhile. */
  dump<R>(request: Request<R>): R[] {
    for (let attempt = 1; attempt <= DUMP_ATTEMPTS; attempt++) {
      const values = this.#dumpOnce(request)
      if (values) return values
    }
    const text = `the dump was interrupted ${DUMP_ATTEMPTS} times`
    throw kernelError(request.op, { errno: EINTR, text })
  }

  /**
   * Sends many requests in as few datagrams as fit and returns each one's error by its index. The
   * kernel carries them out in order and goes on after a failure. They are asked for a datagram's
   * worth at a time.
   */
  batch(requests: Iterable<Request<unknown>>): (NetlinkError | undefined)[] {
    const errors: (NetlinkError | undefined)[] = []
    for (const chunk of chunks(requests)) {
      for (const { error } of this.#round(chunk)) errors.push(error)
    }
    return errors
  }

  /** As `batch`, with the replies too: creates a link and reads it back in one system call. */
  exchange<const T extends readonly Request<unknown>[]>(requests: T): Answers<T> {
    const answers: Answer<unknown>[] = []
    for (const chunk of chunks(requests)) {
      for (const answer of this.#round(chunk)) answers.push(answer)
    }
    return answers as Answers<T>
  }

  /**
   * Sends nfnetlink operations between `begin` and `end` as one datagram: all or nothing. Returns
   * each operation's error by its index, none if all took effect. Throws when the transaction as a
   * whole was refused, such as ERESTART for an outdated generation.
   */
  transact(
    begin: Request,
    operations: readonly Request<unknown>[],
    end: Request,
  ): (NetlinkError | undefined)[] {
    const errors: (NetlinkError | undefined)[] = operations.map(() => undefined)
    const last = operations.at(-1)
    if (!last) return errors
    // The kernel answers in order when all is decided: errors always, success only if asked.
    const asked = { ...last, flags: last.flags | NLM_F_ACK }
    const messages = [begin, ...operations.slice(0, -1), asked, end]
    this.#talk(messages, NLM_F_REQUEST, (index, message) => {
      if (message.type !== NLMSG_ERROR) return false
      const verdict = decodeError(message)
      const op = messages[index]?.op ?? begin.op
      const error = verdict.errno ? kernelError(op, verdict) : undefined
      const isOperation = index > 0 && index <= operations.length
      if (!isOperation && error) throw error
      if (isOperation) errors[index - 1] = error
      return index === operations.length
    })
    return errors
  }

  /** Closes the socket. */
  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]()
  }

  #round(requests: readonly Request<unknown>[]): Answer<unknown>[] {
    const answers: Answer<unknown>[] = requests.map(() => ({}))
    const settled: boolean[] = []
    let open = requests.length
    this.#talk(requests, NLM_F_REQUEST | NLM_F_ACK, (index, message) => {
      const request = requests[index]
      if (request && message.type === NLMSG_ERROR) {
        const verdict = decodeError(message)
        if (verdict.errno && verdict.errno !== request.noneErrno) {
          answers[index] = { error: kernelError(request.op, verdict) }
        }
        if (!settled[index]) open--
        settled[index] = true
      } else if (request && message.type >= NLMSG_MIN_TYPE) {
        answers[index] = attempt(request, message)
      }
      return open === 0
    })
    return answers
  }

  /** Undefined if the objects changed during the dump. */
  #dumpOnce<R>(request: Request<R>): R[] | undefined {
    const values: R[] = []
    let interrupted = false
    let failure: NetlinkError | undefined
    this.#talk([request], NLM_F_REQUEST | NLM_F_DUMP, (_, message) => {
      if (message.flags & NLM_F_DUMP_INTR) interrupted = true
      if (message.type === NLMSG_DONE || message.type === NLMSG_ERROR) {
        const verdict = message.type === NLMSG_DONE ? decodeDone(message) : decodeError(message)
        if (verdict.errno === EINTR) interrupted = true
        else if (verdict.errno && verdict.errno !== request.noneErrno) {
          failure ??= kernelError(request.op, verdict)
        }
        return true
      }
      // Read on after a malformed object: a dump that is left halfway blocks the socket's next one.
      if (message.type >= NLMSG_MIN_TYPE) {
        const { error, value } = attempt(request, message)
        failure ??= error
        if (value !== undefined) values.push(value)
      }
      return false
    })
    if (failure) throw failure
    return interrupted ? undefined : values
  }

  /**
   * Sends the requests as one datagram and hands each reply to them to `take`, until it says that
   * this was the last.
   */
  #talk(
    requests: readonly Request<unknown>[],
    flags: number,
    take: (index: number, message: Message) => boolean,
  ): void {
    const first = this.#sequence
    this.#sequence = (first + requests.length) >>> 0
    try {
      this.#socket.send(encodeMessages(requests, first, flags))
      for (let strays = 0; strays < MAX_STRAYS; strays++) {
        for (const message of decodeMessages(this.#socket.receive())) {
          const index = (message.sequence - first) >>> 0
          if (message.portId !== this.#socket.portId || index >= requests.length) continue
          strays = 0
          if (take(index, message)) return
        }
      }
      throw new RangeError(`${MAX_STRAYS} messages answer something else`)
    } catch (error) {
      throw named(describe(requests), error)
    }
  }
}

/** Parts requests into what fits in one datagram each. */
function* chunks(requests: Iterable<Request<unknown>>): Generator<Request<unknown>[]> {
  let part: Request<unknown>[] = []
  let size = 0
  for (const request of requests) {
    const added = messageSize(request)
    if (part.length > 0 && (part.length === MAX_MESSAGES || size + added > MAX_BYTES)) {
      yield part
      part = []
      size = 0
    }
    part.push(request)
    size += added
  }
  if (part.length > 0) yield part
}

function describe(requests: readonly Request<unknown>[]): string {
  const op = requests[0]?.op ?? 'send nothing'
  return requests.length > 1 ? `${op} and ${requests.length - 1} more` : op
}

function kernelError(op: string, { errno, text }: Verdict, cause?: unknown): NetlinkError {
  return new NetlinkError({ op, errno, source: 'kernel', extack: text, cause })
}

/** Gives what the socket or the codec threw the name of what was being done. */
function named(op: string, error: unknown): unknown {
  // Only bytes from the kernel are out of range here: requests are encoded before they are sent.
  if (error instanceof RangeError) return kernelError(op, { errno: EBADMSG }, error)
  if (error instanceof NetlinkError || !(error instanceof Error && 'errno' in error)) return error
  const { errno } = error
  if (typeof errno !== 'number') return error
  // Node and libuv count errno negative, C positive.
  return new NetlinkError({ op, errno: Math.abs(errno), source: 'syscall', cause: error })
}

/** Decodes one reply so that a malformed one does not end the conversation. */
function attempt<R>({ op, decode }: Request<R>, { type, payload }: Message): Answer<R> {
  try {
    const value = decode?.(type, payload)
    return value === undefined ? {} : { value }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return { error: kernelError(op, { errno: EBADMSG }, error) }
  }
}
