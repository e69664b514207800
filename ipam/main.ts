import { addressList, addressText, anyText, parseCniArgs } from '../cni/protocol/args.ts'
import type { Invocation } from '../cni/protocol/env.ts'
import { ownNetns } from '../cni/protocol/error.ts'
import { renderResult } from '../cni/protocol/result.ts'
import { type PluginIo, type Request, runPlugin } from '../cni/protocol/run.ts'
import { readVersion } from '../cni/protocol/versions.ts'
import { listedAttachments } from '../conf/attachment-list.ts'
import type { NetConf } from '../conf/net-conf.ts'
import { allocate } from './allocate.ts'
import { check } from './check.ts'
import type { IpamDeps } from './folder.ts'
import { collect } from './gc.ts'
import { ipamPlace, planIpam } from './plan.ts'
import { release } from './release.ts'
import { ipamStatus } from './status.ts'

export interface IpamMainDeps extends IpamDeps {
  /** The name the executable was started by. */
  readonly name: string
  /** This heddle's own, `1.2.3`. */
  readonly version: string
  /** Whether a path leads to the network namespace that the plugin is in. */
  readonly isOwnNetns: (path: string) => boolean
}

/** Runs `heddle-ipam` once, as the CNI spec 1.1.0 has it; returns the exit code. */
export function runIpam(io: PluginIo, deps: IpamMainDeps): 0 | 1 {
  const { name, version, log } = deps
  return runPlugin({ name, version, log, run: (request) => run(request, io, deps) }, io)
}

function run({ invocation, conf }: Request, io: PluginIo, deps: IpamMainDeps): void {
  refuseOwnNetns(invocation, deps)
  switch (invocation.command) {
    case 'ADD':
      return add(invocation, conf, io, deps)
    case 'DEL':
      return del(invocation, conf, deps)
    case 'CHECK':
      return check(planIpam(conf, argsOf(invocation)), invocation, deps)
    case 'GC':
      return collectUnlisted(conf, deps)
    case 'STATUS':
      return ipamStatus(conf, deps)
    default:
      return invocation.command satisfies never
  }
}

/** As upstream, ADD and CHECK; an address is released whatever CNI_NETNS says. */
function refuseOwnNetns(
  { command, netns, netnsOverride }: Invocation,
  { isOwnNetns }: IpamMainDeps,
): void {
  const isAsked = (command === 'ADD' || command === 'CHECK') && !netnsOverride
  if (isAsked && isOwnNetns(netns)) throw ownNetns()
}

function add(invocation: Invocation, conf: NetConf, io: PluginIo, deps: IpamDeps): void {
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

/** Without a list nothing is known to be stale. */
function collectUnlisted(conf: NetConf, deps: IpamDeps): void {
  const keep = listedAttachments(conf)
  if (keep) collect(ipamPlace(conf), keep, deps)
}

/** MAC and GATEWAY are for the network plugin, which is given the same. */
function argsOf({ args }: Invocation): ReturnType<typeof parseCniArgs> {
  return parseCniArgs(args, { IP: addressText, MAC: anyText, GATEWAY: addressList })
}
