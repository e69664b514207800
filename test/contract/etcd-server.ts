import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { withFreePorts } from './free-ports.ts'

const SERVER = '/usr/bin/etcd'
const CLIENT = '/usr/bin/etcdctl'
const READY_MS = 20_000

export interface TlsFiles {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

export interface EtcdOptions {
  /** Serve TLS with this certificate. */
  readonly tls?: TlsFiles
  /** Ask clients for a certificate, too. */
  readonly clientCertificates?: boolean
  /** More flags of etcd's. */
  readonly flags?: Readonly<Record<string, string>>
}

/** A real etcd on loopback, in a folder of its own, that can be killed and started again. */
export interface EtcdServer extends AsyncDisposable {
  readonly url: string
  /** The folder with its data. */
  readonly data: string
  start(): Promise<void>
  stop(signal?: 'SIGKILL' | 'SIGTERM'): Promise<void>
  /** Forgets everything. Only while stopped. */
  wipe(): void
  /** What Debian's client prints, asked with its v3 API. */
  etcdctl(...words: readonly string[]): Promise<string>
}

/** Starts one server; disposing of it leaves nothing behind. */
export async function startEtcd(options: EtcdOptions = {}): Promise<EtcdServer> {
  const [server] = await startCluster(1, options)
  if (!server) throw new TypeError('no server')
  return server
}

/** Starts the members of one cluster. */
export async function startCluster(size: number, options: EtcdOptions = {}): Promise<EtcdServer[]> {
  for (const program of [SERVER, CLIENT]) {
    if (existsSync(program)) continue
    throw new Error(`${program} is missing: apt-get install etcd-server etcd-client`)
  }
  return withFreePorts(size * 2, (ports) => startMembers(size, options, ports))
}

async function startMembers(
  size: number,
  options: EtcdOptions,
  ports: readonly number[],
): Promise<EtcdServer[]> {
  const names = Array.from({ length: size }, (_, i) => `m${i}`)
  const peerUrls = names.map((_, i) => `http://127.0.0.1:${ports[size + i]}`)
  const cluster = names.map((name, i) => `${name}=${peerUrls[i]}`).join(',')
  const servers = names.map((name, i) =>
    makeServer({ name, cluster, port: ports[i] ?? 0, peerUrl: peerUrls[i] ?? '' }, options),
  )
  try {
    await Promise.all(servers.map((server) => server.start()))
  } catch (error) {
    await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()))
    throw error
  }
  return servers
}

interface Member {
  readonly name: string
  readonly cluster: string
  readonly port: number
  readonly peerUrl: string
}

function makeServer(member: Member, options: EtcdOptions): EtcdServer {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-etcd-'))
  const data = join(folder, 'data')
  const url = `${options.tls ? 'https' : 'http'}://127.0.0.1:${member.port}`
  const args = serverArguments(member, url, data, options)
  const trust = options.tls ? [`--cacert=${options.tls.ca}`] : []
  let child: ChildProcess | undefined
  const server: EtcdServer = {
    url,
    data,
    async start() {
      const log = join(folder, 'log')
      // Ends with us, also when the test runner ends us at a timeout.
      const guard = ['--pdeathsig', 'KILL', '/bin/sh', '-c', 'exec "$0" "$@" 2>"$LOG"']
      child = spawn('setpriv', [...guard, SERVER, ...args], {
        stdio: 'ignore',
        env: { PATH: '/usr/bin:/bin', LOG: log },
      })
      await waitUntilReady(child, log)
    },
    async stop(signal = 'SIGTERM') {
      if (!child || child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      child.kill(signal)
      await exited
    },
    wipe: () => rmSync(data, { recursive: true, force: true }),
    async etcdctl(...words) {
      const env = { PATH: '/usr/bin:/bin', ETCDCTL_API: '3' }
      const all = [`--endpoints=${url}`, ...trust, ...words]
      return (await promisify(execFile)(CLIENT, all, { env })).stdout
    },
    async [Symbol.asyncDispose]() {
      await server.stop('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    },
  }
  return server
}

function serverArguments(
  { name, cluster, peerUrl }: Member,
  url: string,
  data: string,
  { tls, clientCertificates, flags }: EtcdOptions,
): string[] {
  const words = {
    name,
    'data-dir': data,
    'listen-client-urls': url,
    'advertise-client-urls': url,
    'listen-peer-urls': peerUrl,
    'initial-advertise-peer-urls': peerUrl,
    'initial-cluster': cluster,
    ...(tls && { 'cert-file': tls.cert, 'key-file': tls.key }),
    ...flags,
    ...(tls && clientCertificates && { 'client-cert-auth': 'true', 'trusted-ca-file': tls.ca }),
  }
  return Object.entries(words).map(([flag, value]) => `--${flag}=${value}`)
}

async function waitUntilReady(child: ChildProcess, log: string): Promise<void> {
  const deadline = Date.now() + READY_MS
  for (;;) {
    const text = existsSync(log) ? readFileSync(log, 'utf8') : ''
    if (/ready to serve client requests/.test(text)) return
    if (child.exitCode !== null || Date.now() > deadline) {
      throw new Error(`etcd does not start: ${text.slice(-2000)}`)
    }
    await sleep(20)
  }
}
