/** The error object of the CNI spec, section 5. `details` is left out when there is nothing to add. */
export interface CniErrorJson {
  readonly code: number
  readonly msg: string
  readonly details?: string
}

/** Codes of the CNI spec, of containernetworking/cni's pkg/types (8, 999), and heddle's own (100 up). */
export const errorCodes = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  io: 5,
  decode: 6,
  invalidConfig: 7,
  invalidNetns: 8,
  tryAgain: 11,
  notAvailable: 50,
  limitedConnectivity: 51,
  kernel: 100,
  interfaceExists: 101,
  conflict: 102,
  checkFailed: 103,
  bug: 999,
} as const

/** A failure that knows its CNI code: a delegate's own answer, or one that only a verb can judge. */
export class CniError extends Error {
  override readonly name = 'CniError'
  readonly code: number
  readonly details: string | undefined

  constructor(code: number, msg: string, options: { details?: string; cause?: unknown } = {}) {
    super(msg, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = options.details
  }
}

/** CNI_NETNS leads to the plugin's own namespace, where nothing is to be attached. */
export function ownNetns(): CniError {
  return new CniError(
    errorCodes.invalidNetns,
    "plugin's netns and netns from CNI_NETNS should not be the same",
  )
}

/** Standard input, standard output or a state file could not be read or written. */
export class IoError extends Error {
  override readonly name = 'IoError'
  readonly op: string
  readonly path: string

  constructor(op: string, path: string, reason: string, cause?: unknown) {
    super(`${op} ${path}: ${reason}`, { cause })
    this.op = op
    this.path = path
  }
}

/**
 * The code of every error class that can reach a plugin's exit, by the class's `name`. Matching by
 * name lets each layer keep its own classes while this module imports none of them.
 */
const codeByName: Readonly<Record<string, number>> = {
  VersionError: errorCodes.incompatibleVersion,
  UnsupportedFieldError: errorCodes.unsupportedField,
  EnvError: errorCodes.invalidEnvironment,
  IoError: errorCodes.io,
  SyscallError: errorCodes.io,
  DecodeError: errorCodes.decode,
  ConfigError: errorCodes.invalidConfig,
  SubnetEnvError: errorCodes.invalidConfig,
  NetnsError: errorCodes.invalidNetns,
  LockTimeout: errorCodes.tryAgain,
  PoolExhausted: errorCodes.tryAgain,
  InterfaceExists: errorCodes.interfaceExists,
  ConflictError: errorCodes.conflict,
  AddressTaken: errorCodes.conflict,
  PortTaken: errorCodes.conflict,
  DuplicateAllocation: errorCodes.conflict,
  RecordVersionError: errorCodes.conflict,
  FirewallVersionError: errorCodes.conflict,
  CheckFailed: errorCodes.checkFailed,
  ReservationMissing: errorCodes.checkFailed,
}

/** Kernel answers that another try may change. */
const transientErrnos: ReadonlySet<unknown> = new Set(['EBUSY', 'EAGAIN', 'ENOBUFS', 'EINTR'])

/** Turns whatever was thrown into the spec's error object. This function is the whole policy. */
export function toCniError(error: unknown): CniErrorJson {
  if (!(error instanceof Error)) return bug(new Error(String(error)))
  if (error instanceof CniError) return answer(error.code, error)
  if (error instanceof AggregateError) return combine(error)
  // When the cleanup fails too, `suppressed` holds what went wrong first.
  if (error instanceof SuppressedError) return toCniError(error.suppressed)
  const code = error.name === 'NetlinkError' ? kernelCode(error) : codeByName[error.name]
  if (code !== undefined) return answer(code, error)
  const system = describeSystemError(error)
  if (system !== undefined) return { code: errorCodes.io, msg: system }
  return bug(error)
}

function answer(code: number, error: Error): CniErrorJson {
  const details = 'details' in error ? error.details : undefined
  const json = { code, msg: error.message }
  return typeof details === 'string' && details !== '' ? { ...json, details } : json
}

function kernelCode(error: Error): number {
  const transient = 'code' in error && transientErrnos.has(error.code)
  return transient ? errorCodes.tryAgain : errorCodes.kernel
}

/** Several failures of one DEL: the first one's code, everybody's message. */
function combine(error: AggregateError): CniErrorJson {
  const all = error.errors.map(toCniError)
  const [first] = all
  if (first === undefined) return bug(error)
  if (all.length === 1) return first
  const details = all.flatMap((one) => one.details ?? []).join('; ')
  const json = { code: first.code, msg: all.map((one) => one.msg).join('; ') }
  return details === '' ? json : { ...json, details }
}

function bug(error: Error): CniErrorJson {
  const details = error.stack ?? ''
  return { code: errorCodes.bug, msg: error.message || error.name, details }
}

/**
 * Words a failed file operation of `node:fs` as Go programs do (`open /x: no such file or
 * directory`), which is what operators and callers of CNI plugins look for; undefined for any
 * other error.
 */
export function describeSystemError(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('syscall' in error) || !('code' in error)) return undefined
  const path = 'path' in error && typeof error.path === 'string' ? ` ${error.path}` : ''
  const reason = /^[A-Z0-9]+: ([^,]+)/.exec(error.message)?.[1] ?? error.message
  return `${String(error.syscall)}${path}: ${reason}`
}

/** The error as it goes to standard output, laid out as the reference plugins do. */
export function renderError(error: CniErrorJson): string {
  return JSON.stringify(error, null, 4)
}
