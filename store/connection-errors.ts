import { StoreError, type StoreErrorReason } from './store.ts'

/** A pattern of what the libraries say, what to do about it, and what it means to the person. */
export type Failure = readonly [RegExp, StoreErrorReason, string]

/** How a connection fails. */
const failures: readonly Failure[] = [
  [/ECONNREFUSED/, 'unavailable', 'connection refused'],
  [/EHOSTUNREACH|ENETUNREACH/, 'unavailable', 'no route to it'],
  [/ETIMEDOUT|Deadline exceeded/i, 'unavailable', 'no answer'],
  [/Name resolution failed|ENOTFOUND|EAI_AGAIN/, 'unavailable', 'its host name cannot be resolved'],
  [
    /before secure TLS connection|wrong version number|packet length too long|EPROTO/i,
    'unavailable',
    'it does not answer with TLS',
  ],
  [
    /alert (bad|unknown|certificate)|ALERT_(BAD|UNKNOWN|CERTIFICATE)|alert handshake/i,
    'denied',
    'it refused our client certificate, or wants one',
  ],
  [
    /self.signed|unable to (verify|get)|UNABLE_TO_(VERIFY|GET)|certificate has expired|not yet valid|ALTNAME/i,
    'denied',
    'its certificate is not trusted',
  ],
  [/ECONNRESET|EPIPE|socket hang up|closed unexpectedly/i, 'unavailable', 'it hung up'],
]

/** Says how a connection to a server has failed. The original is kept as the cause. */
export function connectionError(
  error: unknown,
  { store, server }: { readonly store: string; readonly server: string },
): StoreError {
  if (error instanceof StoreError) return error
  const text = textOf(error)
  const [, reason = 'unavailable', meaning = 'it failed'] = meaningOf(text) ?? []
  return new StoreError(reason, store, `Cannot reach ${server}: ${meaning} (${text})`, error)
}

/** What a text of Node, Bun or a library means; `undefined` if it is none that is known. */
export function meaningOf(text: string): Failure | undefined {
  return failures.find(([pattern]) => pattern.test(text))
}

/** Node gives an AggregateError without a message when a name has several addresses. */
function textOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(textOf).join('; ')
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return error.message.includes(code) ? error.message : `${code} ${error.message}`
}

/** Whether a request cannot have reached a server: the connection was never made. */
export function wasNeverSent(error: unknown): boolean {
  return /ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|before secure TLS/.test(
    textOf(error),
  )
}

/** One error for all servers that were tried. Trying later helps if it helps at any of them. */
export function combineErrors(errors: readonly StoreError[], store: string): StoreError {
  const [first] = errors
  if (first && errors.length === 1) return first
  const passing = errors.find((error) => error.reason === 'unavailable') ?? first
  const text = errors.map((error) => error.message).join('; ')
  return new StoreError(passing?.reason ?? 'unavailable', store, text, new AggregateError(errors))
}
