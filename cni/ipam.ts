import { allocate } from '../ipam/allocate.ts'
import { check } from '../ipam/check.ts'
import { ipamPlace } from '../ipam/plan.ts'
import { release } from '../ipam/release.ts'
import type { Call } from './call.ts'
import { runDelegate } from './delegate.ts'
import { CniError, errorCodes } from './protocol/error.ts'
import { parseResult } from './protocol/parse-result.ts'
import type { CniResult } from './protocol/result.ts'
import type { IpamChoice } from './target/attach-conf.ts'
import { isOwnIpam, type Target } from './target/target.ts'
import type { Undo } from './undo.ts'

/** Asks for the container's addresses. They are given back when `undo` is disposed. */
export function allocateAddresses(
  call: Call,
  target: Target,
  ipam: IpamChoice,
  undo: Undo,
): CniResult {
  switch (ipam.kind) {
    case 'none':
      return {}
    case 'own': {
      const allocation = allocate(ipam.plan, call.invocation, call.deps)
      undo.defer(() => release(ipam.plan, call.invocation, call.deps))
      return allocation
    }
    case 'other':
      return allocateElsewhere(call, target.text, ipam.type, undo)
    default:
      return ipam satisfies never
  }
}

function allocateElsewhere(call: Call, stdin: string, type: string, undo: Undo): CniResult {
  const stdout = addDelegate(call, type, stdin, undo)
  return parseResult(readJson(stdout, type), call.version, `the result of ${type}`)
}

/**
 * Runs a delegate's ADD and returns what it printed. Its DEL follows when it fails (CNI spec 1.1.0,
 * section 4) or `undo` is disposed; but not after a refused duplicate, where it would take away
 * what the first ADD was given.
 */
export function addDelegate(call: Call, type: string, stdin: string, undo: Undo): string {
  const revert = () => {
    runDelegate(call, { type, command: 'DEL', stdin })
  }
  try {
    const stdout = runDelegate(call, { type, command: 'ADD', stdin })
    undo.defer(revert)
    return stdout
  } catch (error) {
    if (!String(error).includes('duplicate allocation')) {
      tryRevert(call, type, revert)
    }
    throw error
  }
}

function tryRevert(call: Call, type: string, revert: () => void): void {
  try {
    revert()
  } catch (error) {
    // The failure of ADD is what the caller must hear of.
    call.deps.log.warn('DEL after a failed ADD failed too', { plugin: type, error: String(error) })
  }
}

/** Gives back whatever the container's interface holds; that there is nothing is success. */
export function releaseAddresses(call: Call, target: Target): void {
  const type = target.conf.ipam?.type ?? ''
  if (type === '') return
  if (isOwnIpam(type)) release(ipamPlace(target.conf), call.invocation, call.deps)
  else runDelegate(call, { type, command: 'DEL', stdin: target.text })
}

/** @throws what IPAM says when it does not know the container's addresses. */
export function checkAddresses(call: Call, target: Target): void {
  const type = target.conf.ipam?.type ?? ''
  if (type === '') return
  if (isOwnIpam(type)) check(ipamPlace(target.conf), call.invocation, call.deps)
  else runDelegate(call, { type, command: 'CHECK', stdin: target.text })
}

function readJson(text: string, type: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new CniError(errorCodes.decode, `could not parse the result of ${type}: ${reason}`)
  }
}
