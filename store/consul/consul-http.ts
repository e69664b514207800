import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { combineErrors, connectionError, wasNeverSent } from '../connection-errors.ts'
import { StoreError } from '../store.ts'
import { readTlsFiles, type TlsFiles } from '../tls-files.ts'

/** An answer, or an error, within this time. */
const CALL_MS = 5000
/** Of one process to one agent, where 200 are the most it takes. */
const MAX_SOCKETS = 16

export interface ConsulRequest {
  readonly method: 'GET' | 'PUT'
  /** With the query. */
  readonly path: string
  readonly body?: string
  /** Whether it may be made again when nobody knows what became of it. */
  readonly repeatable: boolean
  /** How long the server may think about it, on top of the usual time. */
  readonly waitMs?: number
  readonly signal?: AbortSignal
}

export interface ConsulAnswer {
  readonly status: number
  /** Of the header X-Consul-Index; 0 if there is none. */
  readonly index: number
  readonly body: string
}

export interface ConsulOptions {
  /** `http://HOST:PORT` or `https://HOST:PORT`: agents of one datacenter. */
  readonly endpoints: readonly string[]
  readonly tls?: TlsFiles
  readonly token?: string
}

/** Kept over all requests: they take dead connections out by themselves. */
interface Agents {
  readonly http: HttpAgent
  readonly https: HttpsAgent
}

/** Asks whichever agent answers: the same until it fails, and then the next. */
export class ConsulHttp {
  readonly #name: string
  readonly #options: ConsulOptions
  readonly #endpoints: readonly URL[]
  readonly #closing = new AbortController()
  readonly #agents: Agents
  /** Index of the end point in use. */
  #current = 0

  /** Throws `StoreError` for end points that cannot be. */
  constructor(name: string, options: ConsulOptions) {
    this.#name = name
    this.#options = options
    this.#endpoints = options.endpoints.map((text) => parseEndpoint(text, name))
    const limits = { keepAlive: true, maxSockets: MAX_SOCKETS }
    this.#agents = { http: new HttpAgent(limits), https: new HttpsAgent(limits) }
  }

  /** Answers with status 200, 404 or 409; throws `StoreError` for every other, and for none. */
  async ask(request: ConsulRequest): Promise<ConsulAnswer> {
    const failures: StoreError[] = []
    // Once more than there are agents: a connection kept from before may be dead.
    for (let attempt = 0; attempt <= this.#endpoints.length; attempt += 1) {
      if (this.#closing.signal.aborted) throw this.#closedError()
      const index = this.#current
      const server = `Consul at ${this.#options.endpoints[index]}`
      try {
        return refuse(await this.#send(request, index), server, this.#name)
      } catch (error) {
        if (this.#closing.signal.aborted) throw this.#closedError()
        if (request.signal?.aborted) throw error
        const failure = connectionError(error, { store: this.#name, server })
        if (failure.reason !== 'unavailable') throw failure
        failures.push(failure)
        this.#leave(index)
        if (!request.repeatable && !wasNeverSent(error)) throw failure
      }
    }
    throw combineErrors(failures.slice(0, this.#endpoints.length), this.#name)
  }

  /** Ends every request. */
  close(): void {
    this.#closing.abort()
    this.#agents.http.destroy()
    this.#agents.https.destroy()
  }

  #closedError(): StoreError {
    return new StoreError('closed', this.#name, `${this.#name} is closed`)
  }

  /** The next request goes to the next agent. */
  #leave(index: number): void {
    if (index === this.#current) this.#current = (index + 1) % this.#endpoints.length
  }

  #send(request: ConsulRequest, index: number): Promise<ConsulAnswer> {
    const url = this.#endpoints[index]
    if (!url) throw new StoreError('unsupported', this.#name, `${this.#name} has no end points`)
    const { method, path, body = '', waitMs = 0, signal } = request
    const { token, tls = {} } = this.#options
    const isSecure = url.protocol === 'https:'
    const ends = [this.#closing.signal, ...(signal ? [signal] : [])]
    const options = {
      ...(isSecure && readTlsFiles(tls, this.#name)),
      agent: isSecure ? this.#agents.https : this.#agents.http,
      method,
      headers: {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        ...(token !== undefined && { 'x-consul-token': token }),
      },
      signal: AbortSignal.any([...ends, AbortSignal.timeout(CALL_MS + waitMs)]),
    }
    const send = isSecure ? httpsRequest : httpRequest
    return new Promise((resolve, reject) => {
      const call = send(new URL(path, url), options, (response) => {
        readAnswer(response).then(resolve, reject)
      })
      call.on('socket', (socket) => socket.setKeepAlive(true, CALL_MS))
      call.on('error', (error) => reject(isLate(error, ends) ? new Error('ETIMEDOUT') : error))
      call.end(body)
    })
  }
}

/** Of all that ends a request, whether it was the time. */
function isLate(error: Error, ends: readonly AbortSignal[]): boolean {
  const isAborted = error.name === 'AbortError' || error.name === 'TimeoutError'
  return isAborted && ends.every((signal) => !signal.aborted)
}

async function readAnswer(response: IncomingMessage): Promise<ConsulAnswer> {
  const chunks: Buffer[] = []
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk)
  return {
    status: response.statusCode ?? 0,
    index: Number(response.headers['x-consul-index']) || 0,
    body: Buffer.concat(chunks).toString(),
  }
}

function refuse(answer: ConsulAnswer, server: string, store: string): ConsulAnswer {
  const { status, body } = answer
  if (status === 200 || status === 404 || status === 409) return answer
  const reason = status === 401 || status === 403 ? 'denied' : 'unavailable'
  const text = body.trim().split('\n')[0]?.slice(0, 200) ?? ''
  throw new StoreError(reason, store, `${server}: ${text} (HTTP status ${status})`)
}

function parseEndpoint(text: string, store: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  // No path, and no password that would show in messages.
  if (url && /^https?:$/.test(url.protocol) && url.href === `${url.origin}/`) return url
  const wanted = 'http://HOST:PORT or https://HOST:PORT is needed'
  throw new StoreError('unsupported', store, `Cannot use ${JSON.stringify(text)}: ${wanted}`)
}
