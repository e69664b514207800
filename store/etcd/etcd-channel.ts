import { Metadata } from '@grpc/grpc-js'
import type { Logger } from '../../log/logger.ts'
import { combineErrors } from '../connection-errors.ts'
import { StoreError } from '../store.ts'
import { EtcdConnection } from './etcd-connection.ts'
import type { Endpoint } from './etcd-endpoint.ts'
import { etcdError, hasNoLeader, isLost, isServiceError, wantsNewToken } from './etcd-errors.ts'
import { type Method, methods } from './etcd-messages.ts'

/** All end points together may take this long to be connected to. */
const CONNECT_MS = 5000
const MAX_ATTEMPTS = 3

export interface Credentials {
  readonly username: string
  readonly password: string
}

/**
 * Calls whichever server of a cluster can be reached: one connection at a time, made when needed,
 * to the next end point when one fails. A call that may have been carried out is not made again.
 */
export class EtcdChannel {
  readonly name: string
  readonly #endpoints: readonly Endpoint[]
  readonly #credentials: Credentials | undefined
  readonly #log: Logger
  #connection: EtcdConnection | undefined
  #connecting: Promise<EtcdConnection> | undefined
  /** Index of the end point to try first. */
  #first = 0
  /** What the server gave us for our password; empty if it asks for none. */
  #token: string | undefined
  #hasFailed = false
  #closed = false

  constructor(
    name: string,
    endpoints: readonly Endpoint[],
    credentials: Credentials | undefined,
    log: Logger,
  ) {
    this.name = name
    this.#endpoints = endpoints
    this.#credentials = credentials
    this.#log = log
  }

  /** Answers or throws `StoreError` within 10 s, normally half of it. */
  async call<Q, R>(method: Method<Q, R>, request: Q): Promise<R> {
    for (let attempt = 1; ; attempt += 1) {
      const connection = await this.#connect()
      try {
        return await connection.unary(method, request, this.#metadata())
      } catch (error) {
        const again = this.#recover(connection, error) || (method.repeatable && isLost(error))
        if (!again || attempt === MAX_ATTEMPTS) throw this.#explain(connection, error)
      }
    }
  }

  /**
   * Makes a call whose answers come until `signal` aborts; then it ends without error. Throws
   * `StoreError` when the connection is lost.
   */
  async *stream<Q, R>(method: Method<Q, R>, request: Q, signal: AbortSignal): AsyncGenerator<R> {
    const connection = await unlessAborted(this.#connect(), signal)
    if (!connection) return
    const call = connection.stream(method, this.#metadata())
    const cancel = () => call.cancel()
    signal.addEventListener('abort', cancel)
    try {
      call.write(request)
      for await (const response of call as AsyncIterable<R>) yield response
    } catch (error) {
      if (signal.aborted) return
      this.#recover(connection, error)
      throw this.#explain(connection, error)
    } finally {
      signal.removeEventListener('abort', cancel)
      call.cancel()
    }
  }

  /** The next call asks for a new token. */
  forgetToken(): void {
    this.#token = undefined
  }

  /** Ends every call. */
  close(): void {
    this.#closed = true
    this.#connection?.close()
    this.#connection = undefined
  }

  #metadata(): Metadata {
    const metadata = new Metadata()
    // A server that is cut off from the others then says so, instead of answering late.
    metadata.set('hasleader', 'true')
    if (this.#token) metadata.set('token', this.#token)
    return metadata
  }

  /** Does what can be done about a failed call. Whether the call can be made again for sure. */
  #recover(connection: EtcdConnection, error: unknown): boolean {
    if (this.#closed) return false
    if (isLost(error)) {
      this.#drop(connection, error)
      return hasNoLeader(error)
    }
    if (!this.#credentials || !isServiceError(error) || !wantsNewToken(error.details)) return false
    this.forgetToken()
    return true
  }

  #drop(connection: EtcdConnection, error: unknown): void {
    connection.close()
    if (this.#connection !== connection) return
    this.#connection = undefined
    this.#first = (this.#first + 1) % this.#endpoints.length
    this.#warn(this.#explain(connection, error))
  }

  #warn(error: StoreError): void {
    if (!this.#hasFailed) this.#log.warn('store cannot be reached', { error: error.message })
    this.#hasFailed = true
  }

  #explain(connection: EtcdConnection, error: unknown): StoreError {
    return this.#closed ? this.#closedError() : etcdError(error, this.name, connection.endpoint)
  }

  #closedError(): StoreError {
    return new StoreError('closed', this.name, `${this.name} is closed`)
  }

  /** Everyone who waits gets the same connection. */
  #connect(): Promise<EtcdConnection> {
    this.#connecting ??= this.#connectOnce().finally(() => {
      this.#connecting = undefined
    })
    return this.#connecting
  }

  async #connectOnce(): Promise<EtcdConnection> {
    if (this.#closed) throw this.#closedError()
    const before = this.#connection
    if (before?.isReady) {
      try {
        await this.#authenticate(before)
        return before
      } catch (error) {
        if (this.#closed || !isLost(error)) throw this.#explain(before, error)
        this.#drop(before, error)
      }
    }
    this.#connection?.close()
    this.#connection = undefined
    const failures: StoreError[] = []
    for (const _ of this.#endpoints) {
      try {
        return await this.#connectToFirst()
      } catch (error) {
        if (this.#closed) throw this.#closedError()
        failures.push(etcdError(error, this.name, ''))
        this.#first = (this.#first + 1) % this.#endpoints.length
      }
    }
    const error = combineErrors(failures, this.name)
    this.#warn(error)
    throw error
  }

  async #connectToFirst(): Promise<EtcdConnection> {
    const endpoint = this.#endpoints[this.#first]
    if (!endpoint) throw new StoreError('unavailable', this.name, `${this.name} has no end points`)
    const connection = new EtcdConnection(endpoint, this.name)
    this.#connection = connection
    try {
      await connection.ready(CONNECT_MS / this.#endpoints.length)
      await this.#authenticate(connection)
    } catch (error) {
      connection.close()
      throw etcdError(error, this.name, connection.endpoint)
    }
    if (this.#hasFailed) this.#log.info('store is back', { endpoint: connection.endpoint })
    this.#hasFailed = false
    return connection
  }

  async #authenticate(connection: EtcdConnection): Promise<void> {
    if (!this.#credentials || this.#token !== undefined) return
    const { username: name, password } = this.#credentials
    try {
      const { token } = await connection.unary(methods.authenticate, { name, password })
      this.#token = token ?? ''
    } catch (error) {
      if (!isServiceError(error) || !error.details.includes('authentication is not enabled')) {
        throw error
      }
      this.#token = ''
    }
  }
}

/** The result, or `undefined` as soon as `signal` aborts. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  const { promise: aborted, resolve } = Promise.withResolvers<undefined>()
  const abort = () => resolve(undefined)
  signal.addEventListener('abort', abort)
  try {
    const result = await Promise.race([promise, aborted])
    return signal.aborted ? undefined : result
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
