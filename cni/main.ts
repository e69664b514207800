import { ConfigError } from '../conf/errors.ts'
import { type NetConf, parseNetConf } from '../conf/net-conf.ts'
import type { Call, CniDeps, CniIo, Role } from './call.ts'
import { type Command, EnvError, isCommand, isValidName, readInvocation } from './protocol/env.ts'
import {
  CniError,
  type CniErrorJson,
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
    run(role, io, deps)
    return 0
  } catch (error) {
    report(toCniError(error), io, deps)
    return 1
  }
}

function report(json: CniErrorJson, io: CniIo, { log }: CniDeps): void {
  if (json.code === errorCodes.bug) log.error(json.msg, { stack: json.details })
  try {
    io.writeStdout(renderError(json))
  } catch {
    // Nobody reads standard output any more; this is for whoever reads the other one.
    log.error(json.msg, { code: json.code })
  }
}

function run(role: Role, io: CniIo, deps: CniDeps): void {
  const verb = io.env['CNI_COMMAND'] ?? ''
  if (verb === '') io.writeStderr(aboutText(role, deps.version))
  else if (verb === 'VERSION') io.writeStdout(renderVersions())
  else runVerb(verb, { role, io, deps })
}

interface Setting {
  readonly role: Role
  readonly io: CniIo
  readonly deps: CniDeps
}

function runVerb(verb: string, { role, io, deps }: Setting): void {
  const { env } = io
  const invocation = isCommand(verb) ? readInvocation(verb, env) : undefined
  const stdin = readStdin(io)
  const conf = parseNetConf(stdin)
  checkName(conf)
  if (!invocation) throw new EnvError(['CNI_COMMAND'], `unknown CNI_COMMAND: ${verb}`)
  const version = versionFor(invocation.command, conf)
  const print = (text: string) => io.writeStdout(text)
  verbsOf(role)[invocation.command]({ invocation, conf, version, stdin, env, role, deps, print })
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

type Verb = (call: Call) => void

function verbsOf(role: Role): Readonly<Record<Command, Verb>> {
  return role === 'loopback' ? loopbackVerbs : networkVerbs
}

const networkVerbs: Readonly<Record<Command, Verb>> = {
  ADD: (call) => call.deps.load.add().add(call),
  DEL: (call) => call.deps.load.del().del(call),
  CHECK: (call) => call.deps.load.check().check(call),
  GC: collectNothing,
  STATUS: (call) => call.deps.load.status().status(call),
}

const loopbackVerbs: Readonly<Record<Command, Verb>> = {
  ADD: (call) => call.deps.load.loopback().addLoopback(call),
  DEL: (call) => call.deps.load.loopback().deleteLoopback(call),
  CHECK: (call) => call.deps.load.loopback().checkLoopback(call),
  GC() {},
  STATUS() {},
}

/** GC is a runtime's second broom after DEL: as in the reference plugins it may leave things. */
function collectNothing({ deps }: Call): void {
  deps.log.warn('GC removes nothing yet')
}
