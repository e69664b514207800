import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'

/** What a request is answered with. A body that is not text is sent as JSON. */
export interface Answer {
  readonly status: number
  readonly body: unknown
  /** Of a body that is text; absent: plain text. */
  readonly contentType?: string
}

/** Answers a request; `body` is what was sent with it, empty for GET. */
export type Handler = (body: string) => Answer | Promise<Answer>

/** By path, then by method. GET answers HEAD too. */
export type Routes = Readonly<Record<string, Partial<Record<'GET' | 'POST' | 'PUT', Handler>>>>

/** A request that cannot be done; the message is for the person who asked. */
export class RequestError extends Error {
  override readonly name = 'RequestError'
  readonly status: 400 | 404 | 405 | 408 | 409 | 413 | 422

  constructor(status: RequestError['status'], message: string) {
    super(message)
    this.status = status
  }
}

/** A network configuration is a few hundred bytes. */
const MAX_BODY_BYTES = 64 * 1024
/** From the first byte to the last. */
const REQUEST_MS = 10_000
/** Beyond that somebody is not asking but wearing us out. */
const MAX_CONNECTIONS = 256
/** How long an answer that is under way is waited for. */
const LAST_ANSWERS_MS = 500

/** A unix socket, or a TCP address. */
type ListenAt = { readonly path: string } | { readonly host: string; readonly port: number }

/**
 * Serves routes until disposed of. Errors are answered as JSON, `{"error": "..."}`; `statusOf` tells
 * the HTTP status of those that are not RequestErrors.
 */
export async function serveHttp(
  where: ListenAt,
  routes: Routes,
  statusOf: (error: unknown) => number = () => 500,
): Promise<AsyncDisposable> {
  const server = createServer((request, response) => {
    // Whatever goes wrong with one of them is no reason for the daemon to end.
    respond(request, response, routes, statusOf).catch(() => response.destroy())
  })
  server.requestTimeout = REQUEST_MS
  server.headersTimeout = REQUEST_MS
  server.maxConnections = MAX_CONNECTIONS
  await listen(server, where)
  return closing(server)
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  routes: Routes,
  statusOf: (error: unknown) => number,
): Promise<void> {
  // Whoever hangs up does not hear the answer, and that is all.
  response.on('error', () => {})
  let isWhole = !hasBody(request)
  let answer: Answer
  try {
    const handler = find(request, routes)
    const body = isWhole ? '' : await readBody(request)
    isWhole = true
    answer = await handler(body)
  } catch (error) {
    const status = error instanceof RequestError ? error.status : statusOf(error)
    answer = { status, body: { error: error instanceof Error ? error.message : String(error) } }
  }
  send(response, answer, { isHead: request.method === 'HEAD', isWhole })
  // What was not read of a refused request is not the next one, and is not waited for.
  if (!isWhole) {
    const hangUp = (): void => void setTimeout(() => request.socket.destroy(), LAST_ANSWERS_MS)
    response.on('finish', hangUp)
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  return (headers['content-length'] ?? '0') !== '0' || 'transfer-encoding' in headers
}

function find({ method = '', url = '' }: IncomingMessage, routes: Routes): Handler {
  const [path = ''] = url.split('?', 1)
  const methods = Object.hasOwn(routes, path) ? routes[path] : undefined
  if (!methods) throw new RequestError(404, `there is nothing at ${path}`)
  const asked = method === 'HEAD' ? 'GET' : method
  const handler = Object.entries(methods).find(([one]) => one === asked)?.[1]
  if (handler) return handler
  throw new RequestError(405, `${path} takes ${Object.keys(methods).join(' or ')}, not ${method}`)
}

function readBody(request: IncomingMessage): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const tooLong = new RequestError(413, `a request takes at most ${MAX_BODY_BYTES} bytes`)
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) reject(tooLong)
  const chunks: Buffer[] = []
  let size = 0
  request.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size > MAX_BODY_BYTES) reject(tooLong)
    else chunks.push(chunk)
  })
  request.on('end', () => resolve(Buffer.concat(chunks).toString()))
  request.on('error', reject)
  const late = new RequestError(408, `the request was not whole in ${REQUEST_MS / 1000} s`)
  const timer = setTimeout(() => reject(late), REQUEST_MS)
  return promise.finally(() => clearTimeout(timer))
}

function send(
  response: ServerResponse,
  { status, body, contentType }: Answer,
  { isHead, isWhole }: { readonly isHead: boolean; readonly isWhole: boolean },
): void {
  const isText = typeof body === 'string'
  const text = isText ? body : `${JSON.stringify(body)}\n`
  response.writeHead(status, {
    'content-type': isText ? (contentType ?? 'text/plain; charset=utf-8') : 'application/json',
    'content-length': Buffer.byteLength(text),
    ...(!isWhole && { connection: 'close' }),
  })
  response.end(isHead ? undefined : text)
}

function listen(server: Server, where: ListenAt): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(where, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function closing(server: Server): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeIdleConnections()
      // What was asked before is still answered: the request that ended the daemon, for one.
      const timer = setTimeout(() => server.closeAllConnections(), LAST_ANSWERS_MS)
      await closed
      clearTimeout(timer)
    },
  }
}
