import type { Call } from './call.ts'
import { runDelegate } from './delegate.ts'
import { CniError, errorCodes } from './protocol/error.ts'
import { subnetFileOf } from './resolve.ts'
import { isOver, missingSubnet, readStatus, readSubnet } from './subnet-file.ts'
import { isOwnIpam, usesSubnetFile } from './target.ts'

/**
 * Whether an ADD would work now, as far as that is known without trying. Cheap, since runtimes ask
 * every few seconds; a full address pool is not looked for, because one would take the whole node
 * out of service while its containers run well.
 * @throws CniError 50, or 51 when containers that run are affected too.
 */
export function status(call: Call): void {
  if (usesSubnetFile(call.role, call.conf)) checkSubnet(subnetFileOf(call))
  const type = call.conf.ipam?.type ?? ''
  if (type !== '' && !isOwnIpam(type)) {
    runDelegate(call, { type, command: 'STATUS', stdin: call.stdin })
  }
}

function checkSubnet(path: string): void {
  if (!readSubnet(path)) throw new CniError(errorCodes.notAvailable, missingSubnet(path).message)
  const state = readStatus(path)
  if (!state) return
  const why = state.error ? `: ${state.error}` : ''
  if (isOver(state)) {
    throw new CniError(errorCodes.notAvailable, `the lease of the subnet in ${path} is over${why}`)
  }
  if (!state.ready) {
    throw new CniError(errorCodes.notAvailable, `the lease daemon is not ready${why}`)
  }
  if (state.error) throw new CniError(errorCodes.limitedConnectivity, state.error)
}
