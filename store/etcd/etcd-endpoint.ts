import { isIP } from 'node:net'
import { checkServerIdentity, type PeerCertificate } from 'node:tls'
import { ChannelCredentials, type ChannelOptions } from '@grpc/grpc-js'
import { StoreError } from '../store.ts'
import { readTlsFiles, type TlsFiles } from '../tls-files.ts'

/** One server, as the gRPC library wants to be told of it. */
export interface Endpoint {
  /** As the user wrote it, for messages. */
  readonly text: string
  readonly target: string
  readonly options: ChannelOptions
  /** Reads the TLS files, if any are needed. Throws `StoreError`. */
  credentials(): ChannelCredentials
}

const DEFAULT_PORT = '2379'

/**
 * Reads `http://HOST:PORT`, `https://HOST:PORT` or `HOST:PORT`, which means TLS if there are TLS
 * files, as in etcd's own client. Throws `StoreError`.
 */
export function parseEndpoint(text: string, tls: TlsFiles | undefined, store: string): Endpoint {
  const form = /^(?:(https?):\/\/)?(\[[\da-f:.]+\]|[^\s/:[\]]+)(?::(\d{1,5}))?\/?$/i.exec(text)
  const [, protocol, name, port = DEFAULT_PORT] = form ?? []
  if (name === undefined) {
    const wanted = 'http://HOST:PORT or https://HOST:PORT is needed'
    throw new StoreError('unsupported', store, `Cannot use ${JSON.stringify(text)}: ${wanted}`)
  }
  const host = name.replace(/^\[|\]$/g, '')
  const version = isIP(host)
  const scheme = version === 0 ? 'dns' : `ipv${version}`
  const secure = protocol === undefined ? tls !== undefined : protocol.toLowerCase() === 'https'
  return {
    text,
    target: `${scheme}:${name}:${port}`,
    options: secure && version !== 0 ? { 'grpc.ssl_target_name_override': NO_NAME } : {},
    credentials: () =>
      secure ? tlsCredentials(host, tls ?? {}, store) : ChannelCredentials.createInsecure(),
  }
}

/**
 * The name an address is given in the TLS greeting, where RFC 6066 section 3 allows names only: the
 * gRPC library would send the address, and Bun refuses to. Servers with one certificate, as etcd's,
 * pay no heed to it; what the certificate is checked for is the address.
 */
const NO_NAME = 'ip-address.invalid'

function tlsCredentials(host: string, tls: TlsFiles, store: string): ChannelCredentials {
  const { ca = null, key = null, cert = null } = readTlsFiles(tls, store)
  return ChannelCredentials.createSsl(ca, key, cert, {
    checkServerIdentity: (_name: string, certificate: PeerCertificate) =>
      checkServerIdentity(host, certificate),
  })
}
