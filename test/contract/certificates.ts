import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TlsFiles } from './etcd-server.ts'

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

/** Certificates for the tests, made by the openssl program. */
export interface Certificates {
  /** The authority that signed all of them, and one that signed none. */
  readonly ca: string
  readonly stranger: string
  /** For 127.0.0.1 and localhost, and for a server beyond the switch of a lab. */
  readonly server: TlsFiles
  /** For other names and addresses. */
  readonly elsewhere: TlsFiles
  readonly client: TlsFiles
  readonly remove: () => void
}

export function makeCertificates(): Certificates {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-ca-'))
  return {
    ca: makeAuthority(folder, 'ca'),
    stranger: makeAuthority(folder, 'stranger'),
    server: makeCertificate(folder, 'server', 'IP:127.0.0.1,DNS:localhost,IP:10.100.0.254'),
    elsewhere: makeCertificate(folder, 'elsewhere', 'DNS:elsewhere.test,IP:192.0.2.1'),
    client: makeCertificate(folder, 'client', 'DNS:client'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

function openssl(folder: string, ...words: string[]): void {
  execFileSync('openssl', words, { cwd: folder, stdio: 'ignore' })
}

function makeAuthority(folder: string, name: string): string {
  const files = ['-keyout', `${name}.key`, '-out', `${name}.pem`]
  openssl(folder, 'req', '-x509', ...KEY, '-days', '2', '-subj', `/CN=${name}`, ...files)
  return join(folder, `${name}.pem`)
}

function makeCertificate(folder: string, name: string, alternativeNames: string): TlsFiles {
  const request = ['-keyout', `${name}.key`, '-out', `${name}.csr`]
  openssl(folder, 'req', ...KEY, '-subj', `/CN=${name}`, ...request)
  const usage = 'extendedKeyUsage=serverAuth,clientAuth'
  writeFileSync(join(folder, `${name}.ext`), `subjectAltName=${alternativeNames}\n${usage}\n`)
  const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2']
  const files = ['-in', `${name}.csr`, '-extfile', `${name}.ext`, '-out', `${name}.pem`]
  openssl(folder, 'x509', '-req', ...by, ...files)
  const path = (suffix: string) => join(folder, name + suffix)
  return { ca: join(folder, 'ca.pem'), cert: path('.pem'), key: path('.key') }
}
