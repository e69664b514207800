import {
  Client,
  type ClientDuplexStream,
  type ClientUnaryCall,
  connectivityState,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js'
import type { Endpoint } from './etcd-endpoint.ts'
import { etcdError } from './etcd-errors.ts'
import { type Method, methods } from './etcd-messages.ts'

/** An answer, or an error, within this time. */
const CALL_MS = 5000
/** For finding out why a connection has failed; nothing is sent by then. */
const EXPLAIN_MS = 200

const OPTIONS = {
  // A network's store must not be asked for by way of a proxy that happens to be in the environment.
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  // So that a connection that is closed here is closed.
  'grpc.use_local_subchannel_pool': 1,
  // A list of 10,000 leases is 4 MB.
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  // A peer that vanished without a word is found within 15 s; etcd refuses pings below 5 s.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5000,
}

/** A connection to one server. Whoever made it closes it. */
export class EtcdConnection {
  readonly endpoint: string
  readonly #store: string
  readonly #client: Client
  readonly #calls = new Set<{ cancel(): void }>()

  /** Throws `StoreError` when a TLS file cannot be read. */
  constructor(endpoint: Endpoint, store: string) {
    this.endpoint = endpoint.text
    this.#store = store
    const options = { ...OPTIONS, ...endpoint.options }
    this.#client = new Client(endpoint.target, endpoint.credentials(), options)
  }

  get isReady(): boolean {
    return this.#client.getChannel().getConnectivityState(false) === connectivityState.READY
  }

  /** Waits until the server can be asked. Throws `StoreError`. */
  async ready(timeoutMs: number): Promise<void> {
    const channel = this.#client.getChannel()
    const deadline = Date.now() + timeoutMs
    let state = channel.getConnectivityState(true)
    let late = false
    while (state !== connectivityState.READY) {
      if (state === connectivityState.SHUTDOWN) throw new TypeError('connection is closed')
      if (state === connectivityState.TRANSIENT_FAILURE || late) return this.#explain()
      late = await new Promise<boolean>((resolve) => {
        channel.watchConnectivityState(state, deadline, (error) => resolve(error !== undefined))
      })
      // Asked to connect once more, a channel that was closed meanwhile would come to life again.
      state = channel.getConnectivityState(false)
    }
  }

  /** Rejects with the library's `ServiceError`. */
  unary<Q, R>(
    method: Method<Q, R>,
    request: Q,
    metadata = new Metadata(),
    timeoutMs = CALL_MS,
  ): Promise<R> {
    return new Promise((resolve, reject) => {
      const options = { deadline: Date.now() + timeoutMs }
      const done = (error: ServiceError | null, response?: R) => {
        this.#calls.delete(call)
        if (error) reject(error)
        else if (response === undefined) reject(new RangeError(`${method.path}: empty answer`))
        else resolve(response)
      }
      const { path, encode, decode } = method
      const call: ClientUnaryCall = this.#client.makeUnaryRequest(
        path,
        encode,
        decode,
        request,
        metadata,
        options,
        done,
      )
      this.#calls.add(call)
    })
  }

  /** A call with many answers. Cancelled by whoever reads it, and by `close`. */
  stream<Q, R>(method: Method<Q, R>, metadata: Metadata): ClientDuplexStream<Q, R> {
    const { path, encode, decode } = method
    const call = this.#client.makeBidiStreamRequest(path, encode, decode, metadata)
    // The error of a call that is cancelled comes when nobody reads it any more.
    call.on('error', () => {})
    call.on('close', () => this.#calls.delete(call))
    this.#calls.add(call)
    return call
  }

  /** Cancels every call. */
  close(): void {
    for (const call of this.#calls) call.cancel()
    this.#client.close()
  }

  /** The library tells the reason of a failed connection only to a call. */
  async #explain(): Promise<void> {
    try {
      await this.unary(methods.range, { key: Uint8Array.of(0) }, new Metadata(), EXPLAIN_MS)
    } catch (error) {
      throw etcdError(error, this.#store, this.endpoint)
    }
  }
}
