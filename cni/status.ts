import type { SubnetEnv } from '../conf/subnet-env.ts'
import { ipamStatus } from '../ipam/status.ts'
import type { Call } from './call.ts'
import { runDelegate } from './delegate.ts'
import { CniError, errorCodes } from './protocol/error.ts'
import { subnetFileOf } from './target/resolve.ts'
import { isOver, missingSubnet, readStatus, readSubnet } from './target/subnet-file.ts'
import { isOwnIpam, ownTarget, subnetTarget, usesSubnetFile } from './target/target.ts'

/**
 * Whether an ADD would work now, as far as that is known without trying. Cheap, since runtimes ask
 * every few seconds; a full address pool is not looked for, because one would take the whole node
 * out of service while its containers run well.
 * @throws CniError 50, or 51 when containers that run are affected too; what a delegate says.
 */
export function status(call: Call): void {
  const { role, conf, stdin } = call
  const target = usesSubnetFile(role, conf)
    ? subnetTarget(role, conf, readySubnet(subnetFileOf(call)))
    : ownTarget(role, conf, stdin)
  const ipam = target.conf.ipam?.type ?? ''
  if (target.type !== 'bridge') askDelegate(call, target.type, target.text)
  else if (isOwnIpam(ipam)) ipamStatus(target.conf, call.deps)
  else if (ipam !== '') askDelegate(call, ipam, target.text)
}

function askDelegate(call: Call, type: string, stdin: string): void {
  runDelegate(call, { type, command: 'STATUS', stdin })
}

function readySubnet(path: string): SubnetEnv {
  const env = readSubnet(path)
  if (!env) throw new CniError(errorCodes.notAvailable, missingSubnet(path).message)
  const state = readStatus(path)
  if (!state) return env
  const why = state.error ? `: ${state.error}` : ''
  if (isOver(state)) {
    throw new CniError(errorCodes.notAvailable, `the lease of the subnet in ${path} is over${why}`)
  }
  if (!state.ready) {
    throw new CniError(errorCodes.notAvailable, `the lease daemon is not ready${why}`)
  }
  if (state.error) throw new CniError(errorCodes.limitedConnectivity, state.error)
  return env
}
