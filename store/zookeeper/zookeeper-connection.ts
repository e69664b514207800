import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { connectionError } from '../connection-errors.ts'
import { StoreError } from '../store.ts'
import { readTlsFiles, type TlsFiles } from '../tls-files.ts'
import { codes, opcodes, PacketReader, PacketWriter } from './zookeeper-codec.ts'

/** The next answer, or an error, within this time: many requests may wait for theirs. */
const CALL_MS = 5000
/** Asked for; the server gives something between 2 and 20 of its ticks of, as a rule, 2 s. */
const SESSION_MS = 12_000
/** For the server to hang up. */
const CLOSE_MS = 1000
/** Longer than any answer is; a list of 10,000 leases is 0.5 MB. */
const MAX_PACKET = 64 * 2 ** 20

const EVENT_XID = -1
const PING = { xid: -2, opcode: 11 } as const
const AUTH = { xid: -4, opcode: 100 } as const

export interface Server {
  readonly host: string
  readonly port: number
  /** As the user wrote it, for messages. */
  readonly text: string
}

export interface Login {
  readonly username: string
  readonly password: string
}

export interface ConnectionOptions {
  readonly server: Server
  /** Name of the store, for errors. */
  readonly store: string
  readonly tls: TlsFiles | undefined
  readonly login: Login | undefined
  /** A node changed below one that is watched. */
  readonly onEvent: (path: string) => void
}

export interface Reply<T> {
  /** The newest transaction the server knew of. */
  readonly zxid: number
  /** KeeperException.Code; 0 if it was fine. */
  readonly error: number
  /** Only if it was fine. */
  readonly value: T | undefined
}

/** A reply that is not read further than its header. */
interface Unread {
  readonly zxid: number
  readonly error: number
  readonly reader: PacketReader
}

interface Waiting {
  readonly xid: number
  /** May throw, and then has done nothing. */
  readonly take: (reply: Unread) => void
  readonly reject: (error: Error) => void
}

/**
 * A connection to one server, with a session of its own: nothing of ours ends with a session, so
 * none is carried over. Answers come in the order of the requests.
 */
export class ZookeeperConnection {
  readonly #options: ConnectionOptions
  readonly #socket: Socket
  /** Requests in the order they were sent. */
  readonly #waiting: Waiting[] = []
  /** When the next answer is late, by `performance.now()` as all times here. */
  #answerBy = Number.POSITIVE_INFINITY
  #login: Waiting | undefined
  /** The beginning of a packet that is not all there yet. */
  #rest: Buffer = Buffer.alloc(0)
  #greeted: ((timeoutMs: number) => void) | undefined
  #timer: NodeJS.Timeout | undefined
  #pingEveryMs = Number.POSITIVE_INFINITY
  #pingAt = Number.POSITIVE_INFINITY
  /** When the answer to a ping is late. */
  #pongBy = Number.POSITIVE_INFINITY
  #failure: StoreError | undefined
  readonly #lost = Promise.withResolvers<StoreError>()
  #lastXid = 0

  private constructor(options: ConnectionOptions, socket: Socket) {
    this.#options = options
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('error', (error) => this.fail(error))
    socket.on('close', () => this.fail(new Error('closed unexpectedly')))
  }

  /** Connects and logs in. Throws `StoreError`. */
  static async open(options: ConnectionOptions, timeoutMs: number): Promise<ZookeeperConnection> {
    const { server, tls, login, store } = options
    const { host, port } = server
    // By address there is no name to ask for (RFC 6066 section 3).
    const name = isIP(host) ? {} : { servername: host }
    const socket = tls
      ? connectTls({ host, port, ...name, ...readTlsFiles(tls, store) })
      : connectTcp({ host, port })
    const connection = new ZookeeperConnection(options, socket)
    const late = setTimeout(() => connection.fail(new Error('ETIMEDOUT')), timeoutMs)
    try {
      await connection.#greet()
      if (login) await connection.#logIn(login)
    } catch (error) {
      connection.fail(error)
      throw error
    } finally {
      clearTimeout(late)
    }
    return connection
  }

  get isOpen(): boolean {
    return this.#failure === undefined
  }

  /** Resolves when the connection ends, with the reason. */
  get lost(): Promise<StoreError> {
    return this.#lost.promise
  }

  /**
   * `read` reads what a reply has. Throws `StoreError` when the connection is lost before the answer,
   * and when the answer is late or makes no sense: the connection ends then.
   */
  request<T>(
    opcode: number,
    body: PacketWriter,
    read: (reader: PacketReader) => T,
  ): Promise<Reply<T>> {
    if (this.#failure) return Promise.reject(this.#failure)
    this.#lastXid += 1
    const xid = this.#lastXid
    return new Promise((resolve, reject) => {
      const take = ({ zxid, error, reader }: Unread) =>
        resolve({ zxid, error, value: error === codes.ok ? read(reader) : undefined })
      this.#waiting.push({ xid, take, reject })
      this.#send(xid, opcode, body)
      if (this.#waiting.length > 1) return
      this.#answerBy = performance.now() + CALL_MS
      this.#arm()
    })
  }

  /** Ends the connection; every request that waits throws this error. */
  fail(error: unknown): void {
    if (this.#failure) return
    this.#end(error)
    this.#socket.destroy()
  }

  /** The same when it is not needed any more: the server is told. */
  close(reason: StoreError): void {
    if (this.#failure) return
    this.#send(this.#lastXid + 1, opcodes.close, new PacketWriter())
    this.#end(reason)
    this.#socket.end()
    setTimeout(() => this.#socket.destroy(), CLOSE_MS).unref()
  }

  #end(error: unknown): void {
    const { store, server } = this.#options
    const failure = connectionError(error, { store, server: `ZooKeeper at ${server.text}` })
    this.#failure = failure
    this.#lost.resolve(failure)
    clearTimeout(this.#timer)
    this.#login?.reject(failure)
    for (const { reject } of this.#waiting.splice(0)) reject(failure)
  }

  #send(xid: number, opcode: number, body: PacketWriter): void {
    this.#socket.write(new PacketWriter().int(xid).int(opcode).append(body).packet())
    this.#pingAt = performance.now() + this.#pingEveryMs
  }

  /** Asks for a session. */
  async #greet(): Promise<void> {
    const noPassword = Buffer.alloc(16)
    const request = new PacketWriter().int(0).long(0).int(SESSION_MS).long(0).buffer(noPassword)
    const timeoutMs = await new Promise<number>((resolve, reject) => {
      this.#login = { xid: 0, take: () => {}, reject }
      this.#greeted = resolve
      this.#socket.write(request.bool(false).packet())
    })
    this.#greeted = undefined
    this.#login = undefined
    this.#pingEveryMs = timeoutMs / 3
    this.#pingAt = performance.now() + this.#pingEveryMs
    this.#arm()
  }

  async #logIn({ username, password }: Login): Promise<void> {
    const body = new PacketWriter().int(0).text('digest').text(`${username}:${password}`)
    const { error } = await new Promise<Unread>((resolve, reject) => {
      this.#login = { xid: AUTH.xid, take: resolve, reject }
      this.#send(AUTH.xid, AUTH.opcode, body)
    })
    this.#login = undefined
    if (error === 0) return
    const { store, server } = this.#options
    const text = `ZooKeeper at ${server.text} refused the user name and password`
    throw new StoreError('denied', store, text)
  }

  /** Sets the timer for what is due next. */
  #arm(): void {
    clearTimeout(this.#timer)
    const due = Math.min(this.#answerBy, this.#pongBy, this.#pingAt)
    this.#timer = setTimeout(() => this.#tick(), Math.max(due - performance.now(), 0) + 1)
  }

  #tick(): void {
    const now = performance.now()
    if (Math.min(this.#answerBy, this.#pongBy) <= now) {
      this.fail(new Error('ETIMEDOUT'))
      return
    }
    if (this.#pingAt <= now) {
      this.#pongBy = Math.min(this.#pongBy, now + CALL_MS)
      this.#send(PING.xid, PING.opcode, new PacketWriter())
    }
    this.#arm()
  }

  #receive(chunk: Buffer): void {
    const all = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    try {
      for (;;) {
        const length = all.length - at < 4 ? 0 : all.readInt32BE(at)
        if (length < 0 || length > MAX_PACKET) throw new RangeError(`a packet of ${length} bytes`)
        if (this.#failure || all.length - at < 4 + length || all.length - at < 4) break
        this.#take(all.subarray(at + 4, at + 4 + length))
        at += 4 + length
      }
      this.#rest = all.subarray(at)
    } catch (error) {
      this.fail(this.#rubbish(error))
    }
  }

  #take(packet: Buffer): void {
    const reader = new PacketReader(packet)
    if (this.#greeted) {
      reader.int()
      this.#greeted(reader.int())
      return
    }
    const xid = reader.int()
    const zxid = reader.long()
    const error = reader.int()
    if (xid === PING.xid) this.#pongBy = Number.POSITIVE_INFINITY
    else if (xid === AUTH.xid) this.#login?.take({ zxid, error, reader })
    else if (xid === EVENT_XID) {
      reader.int() // type: what happened is read from the node
      reader.int() // state
      this.#options.onEvent(reader.text())
    } else this.#answer(xid, { zxid, error, reader })
  }

  /** Who waits for what makes no sense waits on, until the connection fails for it. */
  #answer(xid: number, reply: Unread): void {
    const [first] = this.#waiting
    if (first?.xid !== xid) throw new RangeError(`an answer to request ${xid}, not ${first?.xid}`)
    first.take(reply)
    this.#waiting.shift()
    this.#answerBy =
      this.#waiting.length > 0 ? performance.now() + CALL_MS : Number.POSITIVE_INFINITY
  }

  #rubbish(error: unknown): StoreError {
    const { store, server } = this.#options
    const text = `ZooKeeper at ${server.text} answers what makes no sense: ${String(error)}`
    return new StoreError('unavailable', store, text, error)
  }
}
