import { parseAddress } from '../../ip/address.ts'
import { EnvError } from './env.ts'

/** The known pairs of CNI_ARGS by key. */
export type CniArgs = ReadonlyMap<string, string>

/** Says what is wrong with a value, or nothing. */
export type ArgCheck = (value: string) => string | undefined

export const anyText: ArgCheck = () => undefined

/** `ADDRESS` or `ADDRESS/LENGTH`, as host-local's `IP` is given; the empty text stands for none. */
export const addressText: ArgCheck = (value) =>
  value === '' || parseAddress(value.split('/', 1)[0] ?? '')
    ? undefined
    : `invalid IP address ${value}`

/** Addresses parted by commas, as the static plugin's `GATEWAY`. */
export const addressList: ArgCheck = (value) => {
  for (const one of value.split(',')) {
    const wrong = addressText(one)
    if (wrong !== undefined) return wrong
  }
  return undefined
}

/**
 * Reads CNI_ARGS (`KEY=VALUE;KEY=VALUE`). Keys are case sensitive. A pair whose key is not in
 * `known` is an error unless `IgnoreUnknown` is among the pairs and true.
 * @throws EnvError in the words of the reference plugins.
 */
export function parseCniArgs(text: string, known: Readonly<Record<string, ArgCheck>>): CniArgs {
  const pairs = new Map<string, string>()
  if (text === '') return pairs
  const unknown: string[] = []
  let ignoreUnknown = false
  for (const pair of text.split(';')) {
    const [key = '', value, ...rest] = pair.split('=')
    if (value === undefined || rest.length > 0) throw argsError(`invalid pair ${quote(pair)}`)
    const check = Object.hasOwn(known, key) ? known[key] : undefined
    if (key === 'IgnoreUnknown') ignoreUnknown = parseFlag(pair, value)
    else if (check === undefined) unknown.push(pair)
    else pairs.set(key, checked(pair, value, check))
  }
  if (unknown.length > 0 && !ignoreUnknown) {
    throw argsError(`unknown args [${unknown.map(quote).join(' ')}]`)
  }
  return pairs
}

function checked(pair: string, value: string, check: ArgCheck): string {
  const wrong = check(value)
  if (wrong !== undefined) throw argsError(`error parsing value of pair ${quote(pair)}: ${wrong}`)
  return value
}

function parseFlag(pair: string, value: string): boolean {
  const text = value.toLowerCase()
  if (text === '1' || text === 'true') return true
  if (text === '0' || text === 'false') return false
  const wrong = `boolean unmarshal error: invalid input ${value}`
  throw argsError(`error parsing value of pair ${quote(pair)}: ${wrong}`)
}

function argsError(message: string): EnvError {
  return new EnvError(['CNI_ARGS'], `ARGS: ${message}`)
}

/** Go's %q, near enough for what an environment variable holds. */
function quote(text: string): string {
  return JSON.stringify(text)
}
