import { chmodSync, mkdirSync, rmSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import { dirname } from 'node:path'

/** What the servers tell. */
export interface StatusSource {
  /** JSON for `GET /status`. */
  status(): Promise<unknown>
  isReady(): boolean
}

/**
 * Answers `GET /status` on a unix socket that only root may open. A socket left by an earlier run is
 * replaced: the caller holds the instance's lock.
 */
export async function serveStatus(path: string, source: StatusSource): Promise<AsyncDisposable> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
  rmSync(path, { force: true })
  const server = createServer((request, response) => {
    const { method, url } = request
    if (method !== 'GET' || url !== '/status') {
      response.writeHead(404).end()
      return
    }
    source.status().then(
      (status) => {
        response.writeHead(200, { 'content-type': 'application/json' })
        response.end(`${JSON.stringify(status)}\n`)
      },
      (error: unknown) => {
        response.writeHead(500).end(`${String(error)}\n`)
      },
    )
  })
  await listen(server, { path })
  chmodSync(path, 0o600)
  return closing(server, () => rmSync(path, { force: true }))
}

/** Answers flannel's `/healthz` and `/readyz` over TCP. */
export async function serveHealth(
  address: { readonly host: string; readonly port: number },
  source: StatusSource,
): Promise<AsyncDisposable> {
  const answer: RequestListener = ({ url }, response) => {
    if (url === '/healthz') response.writeHead(200).end('flanneld is running')
    else if (url !== '/readyz') response.writeHead(404).end()
    else if (source.isReady()) response.writeHead(200).end('flanneld is ready')
    else response.writeHead(503).end('flanneld is not ready yet')
  }
  const server = createServer(answer)
  await listen(server, address)
  return closing(server, () => {})
}

function listen(
  server: Server,
  where: { readonly path: string } | { readonly host: string; readonly port: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(where, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function closing(server: Server, after: () => void): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
      after()
    },
  }
}
