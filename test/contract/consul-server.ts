import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TlsFiles } from './etcd-server.ts'
import { withFreePorts } from './free-ports.ts'
import { type ServerProcess, serverProcess } from './server-process.ts'

/** Where scripts/fetch-consul puts it. */
export const CONSUL = join(import.meta.dirname, '../../node_modules/.cache/consul/usr/bin/consul')

/** Why tests with Consul cannot run here; `undefined` if they can. */
export const consulMissing = existsSync(CONSUL)
  ? undefined
  : 'Consul is not here: scripts/fetch-consul could not get it'

export interface ConsulServer extends ServerProcess {
  readonly url: string
}

export interface ConsulOptions {
  readonly tls?: TlsFiles
  /** Ask clients for a certificate, too. */
  readonly clientCertificates?: boolean
  /** Refuse everything to those without a token; this one may do all. */
  readonly masterToken?: string
}

/** Starts one real Consul on loopback; disposing of it leaves nothing behind. */
export async function startConsul(options: ConsulOptions = {}): Promise<ConsulServer> {
  const [server] = await startDatacenter(1, options)
  if (!server) throw new TypeError('no server')
  return server
}

/** Starts the servers of one datacenter. */
export function startDatacenter(
  size: number,
  options: ConsulOptions = {},
): Promise<ConsulServer[]> {
  return withFreePorts(size * 4, (ports) => startMembers(size, options, ports))
}

async function startMembers(
  size: number,
  options: ConsulOptions,
  ports: readonly number[],
): Promise<ConsulServer[]> {
  const indices = Array.from({ length: size }, (_, i) => i)
  const [http = [], https = [], rpc = [], serf = []] = [0, 1, 2, 3].map((kind) =>
    indices.map((i) => ports[kind * size + i] ?? 0),
  )
  const peers = serf.map((port) => `127.0.0.1:${port}`)
  const servers = indices.map((i): ConsulServer => {
    const own = { http: http[i] ?? 0, https: https[i] ?? 0, rpc: rpc[i] ?? 0, serf: serf[i] ?? 0 }
    const server = serverProcess({
      name: 'consul',
      command: (folder, data) => {
        const file = join(folder, 'consul.json')
        const words = { node_name: `c${i}`, bootstrap_expect: size, retry_join: peers }
        const all = { ...configuration(own, options), ...words, data_dir: data }
        writeFileSync(file, JSON.stringify(all))
        return [CONSUL, 'agent', `-config-file=${file}`]
      },
      isReady: () => hasLeader(own.http, options.masterToken),
    })
    const url = options.tls ? `https://127.0.0.1:${own.https}` : `http://127.0.0.1:${own.http}`
    return { ...server, url }
  })
  try {
    await Promise.all(servers.map((server) => server.start()))
  } catch (error) {
    await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()))
    throw error
  }
  return servers
}

interface Ports {
  readonly http: number
  readonly https: number
  readonly rpc: number
  readonly serf: number
}

function configuration(
  { http, https, rpc, serf }: Ports,
  { tls, clientCertificates, masterToken }: ConsulOptions,
): object {
  const unused = { dns: -1, grpc: -1, serf_wan: -1 }
  return {
    server: true,
    bind_addr: '127.0.0.1',
    client_addr: '127.0.0.1',
    ports: { ...unused, http, https: tls ? https : -1, server: rpc, serf_lan: serf },
    performance: { raft_multiplier: 1 },
    retry_interval: '1s',
    disable_update_check: true,
    log_level: 'warn',
    ...(tls && {
      ca_file: tls.ca,
      cert_file: tls.cert,
      key_file: tls.key,
      verify_incoming_https: clientCertificates ?? false,
    }),
    ...(masterToken !== undefined && {
      acl: { enabled: true, default_policy: 'deny', tokens: { master: masterToken } },
    }),
  }
}

async function hasLeader(port: number, token = ''): Promise<boolean> {
  const url = `http://127.0.0.1:${port}/v1/kv/ready?consistent`
  const { status } = await fetch(url, {
    headers: { 'x-consul-token': token },
    signal: AbortSignal.timeout(1000),
  })
  return status === 404
}
