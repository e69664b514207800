import type { Call } from '../call.ts'
import { parseResult } from '../protocol/parse-result.ts'
import type { CniResult } from '../protocol/result.ts'

/** The result of the plugin before, if there is one. @throws CniError when it cannot be read. */
export function resultBefore({ conf, version }: Call): CniResult | undefined {
  return conf.prevResult && parseResult(conf.prevResult, version, 'prevResult')
}

/** The result before with all that it holds, known here or not, as of the configuration's version. */
export function renderBefore({ conf, version }: Call, more: object = {}): string {
  const { cniVersion: _any, ...held } = conf.prevResult ?? {}
  return `${JSON.stringify({ cniVersion: version, ...held, ...more }, null, 4)}\n`
}
