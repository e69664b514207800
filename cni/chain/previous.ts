import type { Call } from '../call.ts'
import { parseResult } from '../protocol/parse-result.ts'
import type { CniResult } from '../protocol/result.ts'

/** The result of ADD, for DEL: one that cannot be read tells nothing, and keeps no DEL from the rest. */
export function readPrevious({ conf, version }: Call): CniResult {
  try {
    return conf.prevResult ? parseResult(conf.prevResult, version, 'prevResult') : {}
  } catch {
    return {}
  }
}

/** The MAC address that the container's interface has by that result, if it says. */
export function previousMac(
  { invocation }: Call,
  { interfaces = [] }: CniResult,
): string | undefined {
  const { ifname } = invocation
  const own = interfaces.find(({ name, sandbox = '' }) => name === ifname && sandbox !== '')
  return own?.mac?.toLowerCase()
}
