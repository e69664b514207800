import { type ServiceError, status } from '@grpc/grpc-js'
import { meaningOf } from '../connection-errors.ts'
import { StoreError, type StoreErrorReason } from '../store.ts'

/** How a connection fails with this library alone, beside what `meaningOf` knows. */
const transport: readonly (readonly [RegExp, StoreErrorReason, string])[] = [
  [
    /before secure TLS connection|wrong version number|EPROTO/i,
    'unavailable',
    'it does not answer with TLS: is it http:// instead of https://?',
  ],
  [
    /Last error: Failed to connect/,
    'unavailable',
    'it hung up at once: is it https:// instead of http://?',
  ],
  [/Protocol error/i, 'unsupported', 'it does not speak gRPC: etcd 3 with the v3 API is needed'],
]

/** What etcd itself answers (api/v3rpc/rpctypes/error.go), where the status code says too little. */
const answers: readonly (readonly [RegExp, StoreErrorReason])[] = [
  [/user name is empty|authentication failed|invalid auth token|permission denied/, 'denied'],
  [/database space exceeded/, 'full'],
  [/corrupt cluster/, 'corrupt'],
]

const codes: Readonly<Partial<Record<status, StoreErrorReason>>> = {
  [status.PERMISSION_DENIED]: 'denied',
  [status.UNAUTHENTICATED]: 'denied',
  [status.UNIMPLEMENTED]: 'unsupported',
  [status.DATA_LOSS]: 'corrupt',
}

/** Whether this is a failed call, with a status, of the gRPC library. */
export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'details' in error
}

/** Says which server failed how. The original is kept as the cause. */
export function etcdError(error: unknown, store: string, endpoint: string): StoreError {
  if (error instanceof StoreError) return error
  if (!isServiceError(error)) {
    const text = error instanceof Error ? error.message : String(error)
    return new StoreError('corrupt', store, `etcd at ${endpoint}: ${text}`, error)
  }
  const { details, code } = error
  const known = transport.find(([pattern]) => pattern.test(details)) ?? meaningOf(details)
  if (known && (code === status.UNAVAILABLE || code === status.DEADLINE_EXCEEDED)) {
    const text = `Cannot reach etcd at ${endpoint}: ${known[2]} (${plain(details)})`
    return new StoreError(known[1], store, text, error)
  }
  const reason = answers.find(([pattern]) => pattern.test(details))?.[1] ?? codes[code]
  return new StoreError(
    reason ?? 'unavailable',
    store,
    `etcd at ${endpoint}: ${plain(details) || `it answers with gRPC status ${code}`}`,
    error,
  )
}

/** Leaves out what the gRPC library puts around the system's own message. */
function plain(details: string): string {
  return details
    .replace(/^No connection established\. Last error: /, '')
    .replace(/\. Resolution note: $/, '')
    .replace(/\s*\(\d{4}-[\d-]+T[\d:.]+Z\)$/, '')
    .replace(/^Error(?: \[\w+\])?: /, '')
}

/** Whether the server did nothing because it does not know us: a new token may mend it. */
export function wantsNewToken(details: string): boolean {
  return /invalid auth token|user name is empty|revision of auth store is old/.test(details)
}

/** Whether the server did nothing because it is cut off from the others. */
export function hasNoLeader(error: unknown): boolean {
  return isServiceError(error) && error.details === 'etcdserver: no leader'
}

/** Whether this server, or the way to it, is at fault, so that another one may do better. */
export function isLost(error: unknown): boolean {
  if (!isServiceError(error)) return false
  return error.code === status.UNAVAILABLE || error.code === status.DEADLINE_EXCEEDED
}
