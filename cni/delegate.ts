import { statSync } from '#fs'
import type { Call } from './call.ts'
import { CniError, errorCodes, IoError } from './protocol/error.ts'

/** A delegate that hangs would keep its caller's lock on the container for ever. */
const timeoutMs = 120_000
/** More than any result. */
const maxOutputBytes = 16 * 1024 * 1024

/** One run of another plugin on our caller's behalf. */
export interface DelegateRun {
  readonly type: string
  readonly command: Call['invocation']['command']
  /** The configuration's text for it. */
  readonly stdin: string
}

/**
 * Runs another plugin in our place (CNI spec 1.1.0, section 4): our environment with only the verb
 * replaced, its standard error to ours. Returns what it printed.
 * @throws CniError with the plugin's own code and text, or when there is no such plugin.
 */
export function runDelegate(call: Call, { type, command, stdin }: DelegateRun): string {
  if (ownNames.includes(type)) {
    const msg = `plugin "${type}" cannot be delegated to: it attaches containers itself`
    throw new CniError(errorCodes.invalidConfig, msg)
  }
  const program = findPlugin(type, call.invocation.path)
  // Only here, since loading it takes longer than attaching a container does.
  const { spawnSync } = process.getBuiltinModule('node:child_process')
  const done = spawnSync(program, [], {
    env: { ...call.env, CNI_COMMAND: command },
    input: stdin,
    stdio: ['pipe', 'pipe', 'inherit'],
    encoding: 'utf8',
    timeout: timeoutMs,
    maxBuffer: maxOutputBytes,
  })
  if (done.error) throw new IoError('run', program, done.error.message, done.error)
  if (done.status === 0) return done.stdout
  throw readFailure(done.stdout, `plugin "${type}" failed: ${done.signal ?? `exit ${done.status}`}`)
}

/** Our own names: a plugin that delegates to itself fills the process table within a minute. */
const ownNames: readonly string[] = [
  'heddle',
  'flannel',
  'bridge',
  'loopback',
  'portmap',
  'bandwidth',
]

/**
 * The first regular file of that name, links followed, in the folders of CNI_PATH.
 * @throws CniError in libcni's words.
 */
export function findPlugin(type: string, path: readonly string[]): string {
  if (type.includes('/')) {
    throw new CniError(errorCodes.invalidConfig, `invalid plugin name: ${type}`)
  }
  const found = path.map((folder) => `${folder}/${type}`).find(isFile)
  if (found !== undefined) return found
  const folders = `[${path.join(' ')}]`
  throw new CniError(errorCodes.invalidConfig, `failed to find plugin "${type}" in path ${folders}`)
}

function isFile(file: string): boolean {
  try {
    return statSync(file).isFile()
  } catch {
    return false
  }
}

/** The error object a plugin prints, with its code kept; a plugin that printed none is told so. */
function readFailure(stdout: string, otherwise: string): CniError {
  try {
    const { code, msg, details } = JSON.parse(stdout) as Record<string, unknown>
    if (typeof code === 'number' && typeof msg === 'string') {
      return new CniError(code, msg, typeof details === 'string' ? { details } : {})
    }
  } catch {
    // Told below, with what it printed instead.
  }
  return new CniError(errorCodes.bug, otherwise, stdout === '' ? {} : { details: stdout })
}
