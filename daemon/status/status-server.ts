import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { ConfigError, DecodeError } from '../../conf/errors.ts'
import { StoreError } from '../../store/store.ts'
import { type Answer, type Routes, serveHttp } from './http-server.ts'
import type { Metrics } from './metrics.ts'

/** What anybody may read. */
export interface HealthSource {
  isReady(): boolean
  /** Made at the first scrape. */
  metrics(): Promise<Metrics>
}

/** What root may read. */
export interface StatusSource extends HealthSource {
  /** JSON for `GET /status`. */
  status(): Promise<unknown>
}

/** What mkdtemp puts at the end. */
const MADE_UP = /^[A-Za-z\d]{6}$/

/**
 * Answers on a unix socket that only root may open: the status, what `readOnlyRoutes` has, and
 * `more`. A socket left by an earlier run is replaced: the caller holds the instance's lock.
 */
export async function serveStatus(
  path: string,
  source: StatusSource,
  more: Routes = {},
): Promise<AsyncDisposable> {
  const status: Routes = {
    '/status': { GET: async () => ({ status: 200, body: await source.status() }) },
  }
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
  removeSocketRemnants(path)
  // Made where nobody else comes in, so that nobody connects before its mode is set.
  const folder = mkdtempSync(`${path}.`)
  try {
    const fresh = join(folder, 'sock')
    const routes = { ...readOnlyRoutes(source), ...status, ...more }
    const server = await serveHttp({ path: fresh }, routes, statusOf)
    chmodSync(fresh, 0o600)
    renameSync(fresh, path)
    return removing(server, path)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Removes the folders that daemons left which were killed while they made this socket. */
export function removeSocketRemnants(path: string): void {
  const folder = dirname(path)
  if (!existsSync(folder)) return
  const start = `${basename(path)}.`
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const { name } = entry
    const isOurs = name.startsWith(start) && MADE_UP.test(name.slice(start.length))
    if (isOurs && entry.isDirectory()) rmSync(join(folder, name), { recursive: true })
  }
}

function removing(server: AsyncDisposable, path: string): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      rmSync(path, { force: true })
    },
  }
}

/** The address for probes and scrapers cannot be had. */
export class ListenError extends Error {
  override readonly name = 'ListenError'
}

/**
 * Answers flannel's `/healthz` and `/readyz`, and `/metrics`, over TCP.
 * @throws ListenError
 */
export async function serveHealth(
  address: { readonly host: string; readonly port: number },
  source: HealthSource,
): Promise<AsyncDisposable> {
  try {
    return await serveHttp(address, readOnlyRoutes(source))
  } catch (error) {
    const where = `--healthz-port ${address.port} on --healthz-ip ${address.host}`
    const reason = error instanceof Error ? error.message : String(error)
    throw new ListenError(`${where} cannot be served: ${reason}`, { cause: error })
  }
}

/** The bodies are flannel's, for probes that look at them. */
function readOnlyRoutes(source: HealthSource): Routes {
  const readyz = (): Answer =>
    source.isReady()
      ? { status: 200, body: 'flanneld is ready' }
      : { status: 503, body: 'flanneld is not ready yet' }
  return {
    '/healthz': { GET: () => ({ status: 200, body: 'flanneld is running' }) },
    '/readyz': { GET: readyz },
    '/metrics': {
      GET: async () => {
        const metrics = await source.metrics()
        return { status: 200, body: await metrics.render(), contentType: metrics.contentType }
      },
    },
  }
}

function statusOf(error: unknown): number {
  if (error instanceof ConfigError || error instanceof DecodeError) return 422
  return error instanceof StoreError ? 503 : 500
}
