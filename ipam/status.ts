import { accessSync, constants } from '#fs'
import { CniError, describeSystemError, errorCodes } from '../cni/protocol/error.ts'
import type { NetConf } from '../conf/net-conf.ts'
import { type IpamDeps, lockExistingFolder } from './folder.ts'
import { planIpam } from './plan.ts'

/**
 * Whether an ADD could reserve an address, as far as that is known without trying: the configuration
 * is sound, and the network's folder, if there is one, can be locked and written to. A full pool is
 * not looked for: runtimes take a node out of service on any error, and what runs on it runs well.
 * @throws what `planIpam` throws; CniError 50.
 */
export function ipamStatus(conf: NetConf, deps: IpamDeps): void {
  const plan = planIpam(conf, new Map())
  try {
    using folder = lockExistingFolder(plan, deps)
    if (folder) accessSync(folder.path, constants.W_OK)
  } catch (error) {
    const reason = describeSystemError(error) ?? (error instanceof Error ? error.message : '')
    throw new CniError(errorCodes.notAvailable, `cannot reserve addresses: ${reason}`, {
      details: `the folder of reservations is ${plan.dataDir}/${plan.network}`,
      cause: error,
    })
  }
}
