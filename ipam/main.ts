import { addressText, parseCniArgs } from '../cni/protocol/args.ts'
import { EnvError, type Invocation, isCommand, readInvocation } from '../cni/protocol/env.ts'
import {
  CniError,
  describeSystemError,
  errorCodes,
  renderError,
  toCniError,
} from '../cni/protocol/error.ts'
import { renderResult } from '../cni/protocol/result.ts'
import {
  readVersion,
  renderVersions,
  requireVerb,
  supportedVersions,
} from '../cni/protocol/versions.ts'
import { type NetConf, parseNetConf } from '../conf/net-conf.ts'
import { allocate } from './allocate.ts'
import { check } from './check.ts'
import type { IpamDeps } from './folder.ts'
import { ipamPlace, planIpam } from './plan.ts'
import { release } from './release.ts'

/** The process's edges. `readStdin` throws what the read throws. */
export interface IpamIo {
  readonly env: Readonly<Record<string, string | undefined>>
  readStdin(): string
  writeStdout(text: string): void
  writeStderr(text: string): void
}

/** `version` is this heddle's own, `1.2.3`. */
export interface IpamMainDeps extends IpamDeps {
  readonly version: string
}

/** Runs `heddle-ipam` once, as the CNI spec 1.1.0 has it; returns the exit code. */
export function runIpam(io: IpamIo, deps: IpamMainDeps): 0 | 1 {
  try {
    run(io, deps)
    return 0
  } catch (error) {
    const json = toCniError(error)
    if (json.code === errorCodes.bug) deps.log.error(json.msg, { stack: json.details })
    io.writeStdout(renderError(json))
    return 1
  }
}

function run(io: IpamIo, deps: IpamMainDeps): void {
  const command = io.env['CNI_COMMAND'] ?? ''
  if (command === '') return io.writeStderr(about(deps.version))
  if (command === 'VERSION') return io.writeStdout(renderVersions())
  // In this order, upstream's: the environment, the configuration, and only then an unknown verb.
  const invocation = isCommand(command) ? readInvocation(command, io.env) : undefined
  const conf = parseNetConf(readStdin(io))
  if (!invocation) throw new EnvError(['CNI_COMMAND'], `unknown CNI_COMMAND: ${command}`)
  switch (invocation.command) {
    case 'ADD':
      return add(invocation, conf, io, deps)
    case 'DEL':
      return del(invocation, conf, deps)
    case 'CHECK':
      requireVerb('CHECK', conf.cniVersion)
      return check(planIpam(conf, argsOf(invocation)), invocation, deps)
    case 'GC':
    case 'STATUS':
      // Nothing is collected or tested yet; the reference plugins answer so too.
      return requireVerb(invocation.command, conf.cniVersion)
    default:
      return invocation.command satisfies never
  }
}

function add(invocation: Invocation, conf: NetConf, io: IpamIo, deps: IpamDeps): void {
  const version = readVersion(conf.cniVersion)
  const plan = planIpam(conf, argsOf(invocation))
  const allocation = allocate(plan, invocation, deps)
  try {
    io.writeStdout(renderResult(allocation, version))
  } catch (error) {
    release(plan, invocation, deps)
    throw error
  }
}

/**
 * Frees the addresses before anything is found fault with: a configuration that went bad after ADD
 * must not keep them. What is wrong with the ranges does not matter any more then.
 */
function del(invocation: Invocation, conf: NetConf, deps: IpamDeps): void {
  release(ipamPlace(conf), invocation, deps)
  readVersion(conf.cniVersion)
}

function argsOf({ args }: Invocation): ReturnType<typeof parseCniArgs> {
  return parseCniArgs(args, { IP: addressText })
}

function readStdin(io: IpamIo): string {
  try {
    return io.readStdin()
  } catch (error) {
    const reason = describeSystemError(error) ?? String(error)
    throw new CniError(errorCodes.io, `error reading from stdin: ${reason}`, { cause: error })
  }
}

/** What callers parse when they start a plugin without a verb; nerdctl reads the version. */
function about(version: string): string {
  return `CNI heddle-ipam plugin v${version}\nCNI protocol versions supported: ${supportedVersions.join(', ')}\n`
}
