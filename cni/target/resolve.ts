import { ConfigError, DecodeError } from '../../conf/errors.ts'
import { parseNetConf } from '../../conf/net-conf.ts'
import type { SubnetEnv } from '../../conf/subnet-env.ts'
import type { Call } from '../call.ts'
import { readIfThere, removeFile, removeUnfinished, replaceFile } from '../files.ts'
import type { Undo } from '../undo.ts'
import { defaultSubnetFile, readSubnet, waitForSubnet } from './subnet-file.ts'
import {
  bareTarget,
  ownTarget,
  refuseTwoSources,
  subnetTarget,
  type Target,
  usesSubnetFile,
} from './target.ts'

/** Flannel's. */
const defaultDataDir = '/var/lib/cni/flannel'

/** What ADD is to do. Waits for the subnet file where the configuration relies on it. */
export function targetOfAdd(call: Call): Target {
  const { role, conf, stdin } = call
  refuseTwoSources(role, conf)
  if (!usesSubnetFile(role, conf)) return ownTarget(role, conf, stdin)
  return subnetTarget(role, conf, waitForSubnet(subnetFileOf(call), call.deps))
}

/**
 * What the ADD of this container did: as it was saved, else as it would be now, else as far as the
 * configuration alone tells. Nothing that is missing or broken stops a DEL.
 */
export function targetOfExisting(call: Call): Target {
  const saved = usesSubnetFile(call.role, call.conf) ? readSaved(call) : undefined
  return saved ?? targetByNow(call)
}

/** The same for DEL, which a configuration that ADD would refuse does not stop. */
export function targetOfDel(call: Call): Target {
  return orBare(call, () => targetOfExisting(call))
}

/** What attaches to this network, as far as it can be told without a container: for GC. */
export function targetOfNetwork(call: Call): Target {
  return orBare(call, () => targetByNow(call))
}

function orBare(call: Call, read: () => Target): Target {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof ConfigError || error instanceof DecodeError)) throw error
    const { delegate: _broken, ...conf } = call.conf
    return bareTarget(call.role, conf)
  }
}

function targetByNow(call: Call): Target {
  const { role, conf, stdin } = call
  if (!usesSubnetFile(role, conf)) return ownTarget(role, conf, stdin)
  const env = readSubnetIfGood(subnetFileOf(call))
  return env ? subnetTarget(role, conf, env) : bareTarget(role, conf)
}

function readSubnetIfGood(path: string): SubnetEnv | undefined {
  try {
    return readSubnet(path)
  } catch {
    return undefined
  }
}

export function subnetFileOf({ conf }: Call): string {
  return conf.subnetFile || defaultSubnetFile
}

/**
 * Keeps the configuration that a container was attached by, in flannel's place and form, so that
 * either's DEL can undo either's ADD. Removed, or put back as it was, when `undo` is disposed.
 */
export function saveTarget(call: Call, target: Target, undo: Undo): void {
  if (!usesSubnetFile(call.role, call.conf)) return
  undo.defer(replaceFile(savedPath(call), target.text))
}

export function forgetTarget(call: Call): void {
  if (!usesSubnetFile(call.role, call.conf)) return
  if (readSaved(call)) removeFile(savedPath(call))
  else removeUnfinished(savedPath(call))
}

/**
 * Undefined when nothing was saved, or nothing that can be read, or for another network: flannel's
 * place has room for one interface of a container.
 */
function readSaved(call: Call): Target | undefined {
  const text = readIfThere(savedPath(call))
  if (text === undefined) return undefined
  try {
    const conf = parseNetConf(text)
    if (conf.name !== call.conf.name) return undefined
    return { type: conf.type || 'bridge', conf, text, clusterNetworks: [] }
  } catch {
    return undefined
  }
}

function savedPath(call: Call): string {
  return `${savedFolder(call)}/${call.invocation.containerId}`
}

/** Where what containers were attached by is kept, a file for each, of all networks together. */
export function savedFolder({ conf }: Call): string {
  return conf.dataDir || defaultDataDir
}
