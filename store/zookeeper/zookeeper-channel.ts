import { combineErrors, connectionError } from '../connection-errors.ts'
import { StoreError } from '../store.ts'
import type { TlsFiles } from '../tls-files.ts'
import { type Login, type Server, ZookeeperConnection } from './zookeeper-connection.ts'

/** All servers together may take this long to be connected to. */
const CONNECT_MS = 5000

export interface ZookeeperOptions {
  /** `HOST:PORT`, members of one ensemble. */
  readonly endpoints: readonly string[]
  /** With it all connections are TLS. */
  readonly tls?: TlsFiles
  /** Scheme `digest`. */
  readonly login?: Login
}

/** Talks to whichever server of an ensemble can be reached: the same until it fails. */
export class ZookeeperChannel {
  readonly name: string
  readonly #options: ZookeeperOptions
  readonly #servers: readonly Server[]
  readonly #listeners = new Set<(path: string) => void>()
  #connection: ZookeeperConnection | undefined
  #connecting: Promise<ZookeeperConnection> | undefined
  /** Index of the server to try first. */
  #first = 0
  #closed = false

  /** Throws `StoreError` for end points that cannot be. */
  constructor(name: string, options: ZookeeperOptions) {
    this.name = name
    this.#options = options
    this.#servers = options.endpoints.map((text) => parseServer(text, name))
  }

  /** The connection in use, or a new one. Everyone who waits gets the same. Throws `StoreError`. */
  async connect(): Promise<ZookeeperConnection> {
    if (this.#closed) throw this.#closedError()
    if (this.#connection?.isOpen) return this.#connection
    if (this.#connection) this.#advance()
    this.#connection = undefined
    this.#connecting ??= this.#connectToAny().finally(() => {
      this.#connecting = undefined
    })
    return this.#connecting
  }

  /** Tells of every change below what is watched, until the function that is returned is called. */
  listen(listener: (path: string) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** The error a KeeperException.Code stands for. */
  error(code: number): StoreError {
    const [reason, text] = meanings[code] ?? ['unavailable' as const, `error ${code}`]
    const server = this.#servers[this.#first]?.text
    return new StoreError(reason, this.name, `ZooKeeper at ${server}: ${text}`)
  }

  /** Ends every request. */
  close(): void {
    this.#closed = true
    this.#connection?.close(this.#closedError())
  }

  #closedError(): StoreError {
    return new StoreError('closed', this.name, `${this.name} is closed`)
  }

  #advance(): void {
    this.#first = (this.#first + 1) % this.#servers.length
  }

  async #connectToAny(): Promise<ZookeeperConnection> {
    const failures: StoreError[] = []
    for (const _ of this.#servers) {
      try {
        const connection = await this.#connectToFirst()
        if (this.#closed) connection.close(this.#closedError())
        if (this.#closed) throw this.#closedError()
        this.#connection = connection
        return connection
      } catch (error) {
        if (this.#closed) throw this.#closedError()
        failures.push(connectionError(error, { store: this.name, server: 'ZooKeeper' }))
        this.#advance()
      }
    }
    throw combineErrors(failures, this.name)
  }

  #connectToFirst(): Promise<ZookeeperConnection> {
    const server = this.#servers[this.#first]
    if (!server) throw new StoreError('unsupported', this.name, `${this.name} has no end points`)
    const { tls, login } = this.#options
    const onEvent = (path: string) => {
      for (const listener of this.#listeners) listener(path)
    }
    const options = { server, store: this.name, tls, login, onEvent }
    return ZookeeperConnection.open(options, CONNECT_MS / this.#servers.length)
  }
}

/** KeeperException.Code: what failed, and what it means. */
const meanings: Readonly<Record<number, readonly [StoreError['reason'], string]>> = {
  [-6]: ['unsupported', 'it does not know a request of ours: ZooKeeper 3.6 or later is needed'],
  [-102]: ['denied', 'the access list of the node does not let us'],
  [-115]: ['denied', 'it refused the user name and password'],
  [-4]: ['unavailable', 'connection lost'],
  [-5]: ['unavailable', 'the request is malformed, or longer than jute.maxbuffer'],
  [-7]: ['unavailable', 'it took too long'],
  [-119]: ['unavailable', 'it is read-only, cut off from the others'],
  [-125]: ['full', 'the quota is used up'],
}

const DEFAULT_PORT = '2181'

function parseServer(text: string, store: string): Server {
  const form = /^(\[[\da-f:.]+\]|[^\s/:[\]]+)(?::(\d{1,5}))?$/i.exec(text)
  const [, name, port = DEFAULT_PORT] = form ?? []
  if (name === undefined) {
    const wanted = 'HOST:PORT is needed'
    throw new StoreError('unsupported', store, `Cannot use ${JSON.stringify(text)}: ${wanted}`)
  }
  return { host: name.replace(/^\[|\]$/g, ''), port: Number(port), text }
}
