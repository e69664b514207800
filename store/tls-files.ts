import { readFileSync } from 'node:fs'
import { StoreError } from './store.ts'

/**
 * Files in PEM form. They are read anew for each connection, so certificates can be exchanged under
 * a running daemon. Without `caFile` the usual authorities are trusted.
 */
export interface TlsFiles {
  readonly caFile?: string
  /** The client's certificate, if the server asks for one; together with `keyFile`. */
  readonly certFile?: string
  readonly keyFile?: string
}

/** For `tls.connect` and `https.request`. Throws `StoreError`. */
export function readTlsFiles(
  { caFile, certFile, keyFile }: TlsFiles,
  store: string,
): { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer } {
  return {
    ...(caFile !== undefined && { ca: readPem(caFile, store) }),
    ...(certFile !== undefined && { cert: readPem(certFile, store) }),
    ...(keyFile !== undefined && { key: readPem(keyFile, store) }),
  }
}

/** Throws `StoreError` for a certificate without its key, and the other way round. */
export function checkTlsFiles(tls: TlsFiles | undefined, store: string): void {
  if ((tls?.certFile === undefined) === (tls?.keyFile === undefined)) return
  const text = 'A client certificate and its key are needed together, only one file is given'
  throw new StoreError('unsupported', store, text)
}

function readPem(path: string, store: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    throw new StoreError('denied', store, `Cannot read TLS file: ${text}`, error)
  }
}
