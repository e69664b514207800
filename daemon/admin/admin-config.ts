import type { ConfigAnswer, ConfigRequest, ConfigVerdict } from '../../conf/admin.ts'
import { ConfigError, DecodeError } from '../../conf/errors.ts'
import { poolHas } from '../../conf/network-config.ts'
import { familiesOf } from '../../ip/by-family.ts'
import { checkConfig } from '../config/check-config.ts'
import { judgeChange } from '../config/config-change.ts'
import { type FoundConfig, readConfig } from '../config/network-config.ts'
import { describeHolder, describeSubnets, type Lease } from '../lease/lease.ts'
import { RequestError } from '../status/http-server.ts'
import type { AdminTools } from './admin.ts'

/** How many leases a message names. */
const TOLD_LEASES = 5

/** The configuration in the store as it stands there, right or wrong. */
export async function readStored({
  store,
  storePrefix,
}: Pick<AdminTools, 'store' | 'storePrefix'>): Promise<ConfigAnswer> {
  const key = `${storePrefix}/config`
  const entry = await store.get(key)
  return { key, ...(entry && { text: entry.value, revision: entry.revision }) }
}

/** The configuration that subnets are given by now. Throws RequestError if there is none. */
export async function storedConfig(tools: AdminTools): Promise<FoundConfig['config']> {
  const { key, text } = await readStored(tools)
  const config = text === undefined ? undefined : parseIfPossible(text, tools)
  if (config) return config
  const why = text === undefined ? 'is missing' : 'cannot be used'
  throw new RequestError(409, `there is no network configuration: ${key} ${why}`)
}

/**
 * What this daemon would do with a configuration, and the others as far as their leases tell.
 * @throws ConfigError, DecodeError, StoreError
 */
export async function judge(
  tools: AdminTools,
  { text }: Pick<ConfigRequest, 'text'>,
): Promise<ConfigVerdict> {
  const { isLocal, manager, board } = tools
  const stored = await readStored(tools)
  const after = checkConfig(text, { key: stored.key, local: isLocal })
  const { warnings } = after
  // What the store has may have been refused, and does not count then.
  const inForce = board.inForce ?? stored.text
  const before = inForce === undefined ? undefined : parseIfPossible(inForce, tools)
  if (!before) return { kind: 'first', warnings }
  const held = manager.current?.lease.subnets ?? {}
  const verdict = judgeChange(before, after.config, held)
  if (verdict.kind === 'refused') return { kind: 'refused', reason: verdict.reason, warnings }
  const left = await leftOut(tools, before, after.config)
  if (left.length === 0) return { kind: verdict.kind, warnings }
  const told = left.slice(0, TOLD_LEASES).map(({ subnets, attrs }) => {
    return `${describeSubnets(subnets)} of ${describeHolder(attrs)}`
  })
  const more = left.length > told.length ? ` and ${left.length - told.length} more` : ''
  const reason = `it leaves out ${told.join(', ')}${more}: those hosts keep the old one`
  return { kind: 'refused', reason, warnings }
}

/** The leases that fit before and not after: their hosts judge by what they hold themselves. */
async function leftOut(
  { leases }: AdminTools,
  before: FoundConfig['config'],
  after: FoundConfig['config'],
): Promise<readonly Lease[]> {
  const list = await leases.list()
  return list.leases.filter(({ subnets }) =>
    familiesOf(subnets).some((family) => {
      const [subnet, old, now] = [subnets[family], before.pools[family], after.pools[family]]
      return subnet && old && now && poolHas(old, subnet) && !poolHas(now, subnet)
    }),
  )
}

/**
 * Writes the configuration if it can be used and the store still has what was read.
 * @throws RequestError, ConfigError, DecodeError, StoreError
 */
export async function writeConfig(
  tools: AdminTools,
  { text, revision }: ConfigRequest,
): Promise<ConfigAnswer> {
  const { store, storePrefix, isLocal, log } = tools
  const key = `${storePrefix}/config`
  checkConfig(text, { key, local: isLocal })
  const entry =
    revision === undefined ? await store.create(key, text) : await store.put(key, text, revision)
  if (!entry) throw new RequestError(409, `${key} was changed by somebody else meanwhile`)
  log.info('network configuration written on request', { key })
  return { key, text, revision: entry.revision }
}

function parseIfPossible(text: string, { isLocal }: AdminTools): FoundConfig['config'] | undefined {
  try {
    return readConfig(text, { key: 'config', local: isLocal })
  } catch (error) {
    if (error instanceof ConfigError || error instanceof DecodeError) return undefined
    throw error
  }
}
