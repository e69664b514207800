import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { TlsFiles } from './etcd-server.ts'
import { withFreePorts } from './free-ports.ts'
import { type ServerProcess, serverProcess } from './server-process.ts'

/** Debian's ZooKeeper. */
export const ZOOKEEPER = '/usr/share/java/zookeeper.jar'

/** TLS needs parts of Netty that the package depends on and forgets to name. */
const CLASSES = [ZOOKEEPER, '/usr/share/java/netty-codec.jar'].join(':')

export interface ZookeeperServer extends ServerProcess {
  /** For clients, over TLS if there are certificates. */
  readonly endpoint: string
}

export interface ZookeeperOptions {
  readonly tls?: TlsFiles
  /** Ask clients for a certificate, too. */
  readonly clientCertificates?: boolean
}

/** Starts one real ZooKeeper on loopback; disposing of it leaves nothing behind. */
export async function startZookeeper(options: ZookeeperOptions = {}): Promise<ZookeeperServer> {
  const [server] = await startEnsemble(1, options)
  if (!server) throw new TypeError('no server')
  return server
}

/** Starts the members of one ensemble. */
export function startEnsemble(
  size: number,
  options: ZookeeperOptions = {},
): Promise<ZookeeperServer[]> {
  return withFreePorts(size * 4, (ports) => startMembers(size, options, ports))
}

async function startMembers(
  size: number,
  options: ZookeeperOptions,
  ports: readonly number[],
): Promise<ZookeeperServer[]> {
  const indices = Array.from({ length: size }, (_, i) => i)
  const [plain = [], secure = [], peer = [], election = []] = [0, 1, 2, 3].map((kind) =>
    indices.map((i) => ports[kind * size + i] ?? 0),
  )
  const members =
    size === 1 ? [] : indices.map((i) => `server.${i + 1}=127.0.0.1:${peer[i]}:${election[i]}`)
  const servers = indices.map((i): ZookeeperServer => {
    const port = plain[i] ?? 0
    const lines = [
      ...configuration(port),
      ...members,
      ...(options.tls ? tlsLines(secure[i] ?? 0, options) : []),
    ]
    const server = serverProcess({
      name: 'zookeeper',
      command: (folder, data) => commandOf(folder, data, { lines, myid: i + 1, options }),
      isReady: async () => /^Mode: /m.test(await ask(port, 'srvr')),
    })
    const endpoint = `127.0.0.1:${options.tls ? secure[i] : port}`
    const start = async () => {
      mkdirSync(join(server.folder, 'data'), { recursive: true })
      writeFileSync(join(server.folder, 'data', 'myid'), `${i + 1}\n`)
      await server.start()
    }
    return { ...server, endpoint, start }
  })
  try {
    await Promise.all(servers.map((server) => server.start()))
  } catch (error) {
    await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()))
    throw error
  }
  return servers
}

function configuration(port: number): string[] {
  return [
    'tickTime=500',
    'initLimit=10',
    'syncLimit=4',
    `clientPort=${port}`,
    'clientPortAddress=127.0.0.1',
    'maxClientCnxns=0',
    'admin.enableServer=false',
    '4lw.commands.whitelist=srvr',
  ]
}

function tlsLines(port: number, { clientCertificates }: ZookeeperOptions): string[] {
  return [
    `secureClientPort=${port}`,
    'secureClientPortAddress=127.0.0.1',
    'serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory',
    'ssl.keyStore.location=identity.pem',
    'ssl.keyStore.type=PEM',
    'ssl.trustStore.location=trust.pem',
    'ssl.trustStore.type=PEM',
    `ssl.clientAuth=${clientCertificates ? 'need' : 'none'}`,
    // Clients have no names.
    'ssl.hostnameVerification=false',
  ]
}

function commandOf(
  folder: string,
  data: string,
  about: { lines: readonly string[]; myid: number; options: ZookeeperOptions },
): [string, ...string[]] {
  const file = join(folder, 'zoo.cfg')
  writeFileSync(file, `${[`dataDir=${data}`, ...about.lines].join('\n')}\n`)
  const { tls } = about.options
  if (tls) {
    const [key, cert] = [tls.key, tls.cert].map((path) => readFileSync(path, 'utf8'))
    writeFileSync(join(folder, 'identity.pem'), `${key}${cert}`)
    writeFileSync(join(folder, 'trust.pem'), readFileSync(tls.ca))
  }
  const program = 'org.apache.zookeeper.server.quorum.QuorumPeerMain'
  return ['java', '-Xmx96m', '-XX:TieredStopAtLevel=1', '-cp', CLASSES, program, file]
}

/** What it answers to a word of four letters. */
async function ask(port: number, word: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.setTimeout(1000, () => socket.destroy(new Error('no answer')))
  socket.write(word)
  return text(socket)
}
