import { readFileSync } from 'node:fs'
import type { ConfigAnswer, ConfigRequest, ConfigVerdict } from '../conf/admin.ts'
import { ConfigError, DecodeError } from '../conf/errors.ts'
import { describeChanges } from './config-changes.ts'
import type { CtlTools } from './lease.ts'

/**
 * Checks a network configuration without a daemon: JSON or YAML in, JSON and warnings out.
 * @throws ConfigError, DecodeError naming what is wrong with it
 */
export type CheckConfig = (
  text: string,
  name: string,
) => Promise<{ readonly text: string; readonly warnings: readonly string[] }>

/** A configuration that cannot be used or is not taken; the message says why and what to do. */
export class ConfigRefusedError extends Error {
  override readonly name = 'ConfigRefusedError'
}

/** `heddlectl config get`: the text in the store, as it is. */
export async function getConfig({ ask, print }: CtlTools): Promise<number> {
  const { key, text } = (await ask({ path: '/config' })) as ConfigAnswer
  if (text === undefined) throw new ConfigRefusedError(`the store has no ${key}`)
  print(text.endsWith('\n') ? text : `${text}\n`)
  return 0
}

/** `heddlectl config validate`: asks no daemon. */
export async function validateConfig(
  { print }: Pick<CtlTools, 'print'>,
  file: string,
  check: CheckConfig,
): Promise<number> {
  const { warnings } = await checked(file, check)
  print(['it can be used', ...warnings.map((warning) => `warning: ${warning}`), ''].join('\n'))
  return 0
}

/**
 * `heddlectl config set`: shows what would change and what the daemons do about it, and writes it if
 * the store still has what was read.
 */
export async function setConfig(
  { ask, print }: CtlTools,
  file: string,
  options: { readonly dryRun: boolean; readonly force: boolean; readonly check: CheckConfig },
): Promise<number> {
  const { text } = await checked(file, options.check)
  const before = (await ask({ path: '/config' })) as ConfigAnswer
  const asked: ConfigRequest = {
    text,
    ...(before.revision !== undefined && { revision: before.revision }),
  }
  const judged = await ask({ path: '/config/judge', method: 'POST', body: { text } })
  const verdict = judged as ConfigVerdict
  print([...describeChanges(before.text, text), ...describeVerdict(verdict), ''].join('\n'))
  if (verdict.kind === 'same' && before.text === text) return 0
  if (options.dryRun) return 0
  if (verdict.kind === 'refused' && !options.force) {
    throw new ConfigRefusedError(
      'not written: daemons that run would refuse it. --force writes it, for daemons that are started after that',
    )
  }
  await ask({ path: '/config', method: 'PUT', body: asked })
  print(`${before.key} written\n`)
  return 0
}

function describeVerdict({ kind, reason = '', warnings }: ConfigVerdict): string[] {
  const words = {
    first: 'the store has no configuration yet that could be used: daemons that wait take it',
    same: 'daemons have nothing to do',
    live: 'daemons take it without a restart',
    refused: `daemons that run refuse it: ${reason}`,
  }
  return [words[kind], ...warnings.map((warning) => `warning: ${warning}`)]
}

async function checked(file: string, check: CheckConfig): ReturnType<CheckConfig> {
  const name = file === '-' ? 'standard input' : file
  try {
    return await check(readFileSync(file === '-' ? 0 : file, 'utf8'), name)
  } catch (error) {
    if (error instanceof ConfigError || error instanceof DecodeError) {
      const { message } = error
      const told = message.startsWith(name) ? message : `${name}: ${message}`
      throw new ConfigRefusedError(told, { cause: error })
    }
    throw error
  }
}
