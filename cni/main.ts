import { ConfigError } from '../conf/errors.ts'
import { type NetConf, parseNetConf } from '../conf/net-conf.ts'
import { add } from './add.ts'
import type { Call, CniDeps, CniIo, Role } from './call.ts'
import { check } from './check.ts'
import { del } from './del.ts'
import { addLoopback, checkLoopback, deleteLoopback } from './loopback.ts'
import { type Command, EnvError, isCommand, isValidName, readInvocation } from './protocol/env.ts'
import {
  CniError,
  describeSystemError,
  errorCodes,
  renderError,
  toCniError,
} from './protocol/error.ts'
import {
  type CniVersion,
  readVersion,
  renderVersions,
  requireVerb,
  supportedVersions,
} from './protocol/versions.ts'
import { status } from './status.ts'
import { procSysctl } from './sysctl.ts'

/** What the executable hands in; kernel settings are the real ones unless a test says otherwise. */
export type CniEdges = Omit<CniDeps, 'sysctl'> & Partial<Pick<CniDeps, 'sysctl'>>

/**
 * Runs the network plugin: one verb, read from the environment and standard input, answered on
 * standard output. Returns the exit code. Whatever goes wrong is answered as the spec's error.
 */
export function runCni(role: Role, io: CniIo, edges: CniEdges): number {
  const deps = { sysctl: procSysctl, ...edges }
  try {
    io.writeStdout(answer(role, io, deps))
    return 0
  } catch (error) {
    const json = toCniError(error)
    if (json.code === errorCodes.bug) deps.log.error(json.msg, { stack: json.details })
    io.writeStdout(renderError(json))
    return 1
  }
}

function answer(role: Role, io: CniIo, deps: CniDeps): string {
  const verb = io.env['CNI_COMMAND'] ?? ''
  if (verb === '') {
    io.writeStderr(aboutText(role, deps.version))
    return ''
  }
  if (verb === 'VERSION') return renderVersions()
  const invocation = isCommand(verb) ? readInvocation(verb, io.env) : undefined
  const stdin = readStdin(io)
  const conf = parseNetConf(stdin)
  checkName(conf)
  if (!invocation) throw new EnvError(['CNI_COMMAND'], `unknown CNI_COMMAND: ${verb}`)
  const version = versionFor(invocation.command, conf)
  const call: Call = { invocation, conf, version, stdin, env: io.env, role, deps }
  return verbsOf(role)[invocation.command](call)
}

/** nerdctl reads the version out of the first line. */
function aboutText(role: Role, version: string): string {
  const versions = supportedVersions.join(', ')
  return `CNI ${role} plugin v${version}\nCNI protocol versions supported: ${versions}\n`
}

function readStdin(io: CniIo): string {
  try {
    return io.readStdin()
  } catch (error) {
    const reason = describeSystemError(error) ?? String(error)
    throw new CniError(errorCodes.io, `error reading from stdin: ${reason}`, { cause: error })
  }
}

function checkName({ name = '' }: NetConf): void {
  if (name === '') throw new ConfigError('name', 'missing network name')
  if (isValidName(name)) return
  const msg = 'invalid characters found in network name'
  throw new CniError(errorCodes.invalidConfig, msg, { details: name })
}

function versionFor(command: Command, { cniVersion }: NetConf): CniVersion {
  if (command !== 'ADD' && command !== 'DEL') requireVerb(command, cniVersion)
  return readVersion(cniVersion)
}

/** Carries a verb out and returns what to print. */
type Verb = (call: Call) => string

function verbsOf(role: Role): Readonly<Record<Command, Verb>> {
  return role === 'loopback' ? loopbackVerbs : networkVerbs
}

const networkVerbs: Readonly<Record<Command, Verb>> = {
  ADD: add,
  DEL: silently(del),
  CHECK: silently(check),
  GC: silently(collectNothing),
  STATUS: silently(status),
}

const loopbackVerbs: Readonly<Record<Command, Verb>> = {
  ADD: addLoopback,
  DEL: silently(deleteLoopback),
  CHECK: silently(checkLoopback),
  GC: silently(() => {}),
  STATUS: silently(() => {}),
}

/** GC is a runtime's second broom after DEL: as in the reference plugins it may leave things. */
function collectNothing({ deps }: Call): void {
  deps.log.warn('GC removes nothing yet')
}

function silently(verb: (call: Call) => void): Verb {
  return (call) => {
    verb(call)
    return ''
  }
}
