import { readFileSync } from '#fs'
import type { Dns } from '../cni/protocol/result.ts'

/** Reads a resolv.conf(5) file for a result's `dns`. Throws what `readFileSync` throws. */
export function readResolvConf(path: string): Dns {
  return parseResolvConf(readFileSync(path, 'utf8'))
}

/**
 * Reads resolv.conf(5) text as upstream does: `search` and `options` lines add up, of a repeated
 * `domain` the last counts, unknown keywords and lines without a value are skipped.
 */
export function parseResolvConf(text: string): Dns {
  const nameservers: string[] = []
  const search: string[] = []
  const options: string[] = []
  let domain: string | undefined
  for (const line of text.split('\n')) {
    const [keyword = '', ...values] = line.trim().split(/\s+/)
    const [value] = values
    if (value === undefined || /^[#;]/.test(keyword)) continue
    if (keyword === 'nameserver') nameservers.push(value)
    else if (keyword === 'domain') domain = value
    else if (keyword === 'search') search.push(...values)
    else if (keyword === 'options') options.push(...values)
  }
  return {
    ...(nameservers.length > 0 && { nameservers }),
    ...(domain !== undefined && { domain }),
    ...(search.length > 0 && { search }),
    ...(options.length > 0 && { options }),
  }
}
