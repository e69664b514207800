import { ConfigError } from '../../conf/errors.ts'
import { type NetConf, parseNetConf } from '../../conf/net-conf.ts'
import { EnvError, type Invocation, isCommand, isValidName, readInvocation } from './env.ts'
import {
  CniError,
  type CniErrorJson,
  describeSystemError,
  errorCodes,
  renderError,
  toCniError,
} from './error.ts'
import { renderVersions, requireVerb, supportedVersions } from './versions.ts'

/** The process's edges. `readStdin` throws what the read throws. */
export interface PluginIo {
  readonly env: Readonly<Record<string, string | undefined>>
  readStdin(): string
  writeStdout(text: string): void
  writeStderr(text: string): void
}

/** What the runtime asks for, as far as every plugin reads it alike. */
export interface Request {
  readonly invocation: Invocation
  readonly conf: NetConf
  /** The configuration as it came. */
  readonly stdin: string
}

/** A CNI plugin but for what all of them share. */
export interface Plugin {
  /** The name it goes by, `heddle-ipam`. */
  readonly name: string
  /** This heddle's own version, `1.2.3`. */
  readonly version: string
  /** Hears of what standard output cannot carry, or not whole. */
  readonly log: { error(message: string, fields?: Record<string, string | number>): void }
  /** Carries the verb out. What it throws is answered as the spec's error. */
  run(request: Request): void
}

/**
 * Runs a plugin once: one verb, read from the environment and standard input, answered on standard
 * output (CNI spec 1.1.0, section 2). Returns the exit code.
 */
export function runPlugin(plugin: Plugin, io: PluginIo): 0 | 1 {
  try {
    const verb = io.env['CNI_COMMAND'] ?? ''
    if (verb === '') io.writeStderr(about(plugin))
    else if (verb === 'VERSION') io.writeStdout(renderVersions())
    else plugin.run(readRequest(verb, io))
    return 0
  } catch (error) {
    report(toCniError(error), plugin, io)
    return 1
  }
}

/** In this order, upstream's: the environment, the configuration, and only then an unknown verb. */
function readRequest(verb: string, io: PluginIo): Request {
  const invocation = isCommand(verb) ? readInvocation(verb, io.env) : undefined
  const stdin = readStdin(io)
  const conf = parseNetConf(stdin)
  networkName(conf)
  if (!invocation) throw new EnvError(['CNI_COMMAND'], `unknown CNI_COMMAND: ${verb}`)
  const { command } = invocation
  if (command !== 'ADD' && command !== 'DEL') requireVerb(command, conf.cniVersion)
  return { invocation, conf, stdin }
}

function readStdin(io: PluginIo): string {
  try {
    return io.readStdin()
  } catch (error) {
    const reason = describeSystemError(error) ?? String(error)
    throw new CniError(errorCodes.io, `error reading from stdin: ${reason}`, { cause: error })
  }
}

/**
 * A configuration's network name, which names folders and rules too.
 * @throws ConfigError when there is none, CniError when the spec does not allow it.
 */
export function networkName({ name = '' }: NetConf): string {
  if (name === '') throw new ConfigError('name', 'missing network name')
  if (isValidName(name)) return name
  const msg = 'invalid characters found in network name'
  throw new CniError(errorCodes.invalidConfig, msg, { details: name })
}

function report(json: CniErrorJson, { log }: Plugin, io: PluginIo): void {
  if (json.code === errorCodes.bug) log.error(json.msg, { stack: json.details ?? '' })
  try {
    io.writeStdout(renderError(json))
  } catch {
    // Nobody reads standard output any more; this is for whoever reads the other one.
    log.error(json.msg, { code: json.code })
  }
}

/** What callers parse when they start a plugin without a verb; nerdctl reads the version. */
function about({ name, version }: Plugin): string {
  const versions = supportedVersions.join(', ')
  return `CNI ${name} plugin v${version}\nCNI protocol versions supported: ${versions}\n`
}
