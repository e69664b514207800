import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { hostFile } from '../../scripts/lab/lab.ts'
import type { GoResult } from './go-result.ts'
import type { Attachment, NetworkList, Runtime } from './libcni.ts'

/** An attachment as a runtime remembers it. */
export interface Cached extends Attachment {
  readonly networkName: string
  readonly result: GoResult
}

function cacheFile(
  { host, cache }: Runtime,
  { name }: NetworkList,
  { containerId, ifname }: Attachment,
) {
  return hostFile(host, join(cache, `${name}-${containerId}-${ifname}`))
}

/** Remembers an attachment's result, in the form that libcni gives its files. */
export function writeCache(
  runtime: Runtime,
  list: NetworkList,
  attachment: Attachment,
  result: GoResult,
): void {
  mkdirSync(hostFile(runtime.host, runtime.cache), { recursive: true, mode: 0o700 })
  const text = JSON.stringify({
    kind: 'cniCacheV1',
    containerId: attachment.containerId,
    config: Buffer.from(JSON.stringify(list)).toString('base64'),
    ifName: attachment.ifname,
    networkName: list.name,
    netns: attachment.netns,
    cniArgs: attachment.args ?? null,
    capabilityArgs: attachment.capabilityArgs ?? null,
    result,
  })
  writeFileSync(cacheFile(runtime, list, attachment), text, { mode: 0o600 })
}

/** What a runtime remembers of an attachment. */
export function readCache(
  runtime: Runtime,
  list: NetworkList,
  attachment: Attachment,
): Cached | undefined {
  const file = cacheFile(runtime, list, attachment)
  return existsSync(file) ? readCacheFile(file) : undefined
}

function readCacheFile(file: string): Cached {
  const raw = JSON.parse(readFileSync(file, 'utf8')) as {
    containerId: string
    ifName: string
    netns: string
    networkName: string
    cniArgs: [string, string][] | null
    capabilityArgs: Record<string, unknown> | null
    result: GoResult
  }
  const { containerId, ifName, netns, networkName, cniArgs, capabilityArgs, result } = raw
  const own = { containerId, netns, ifname: ifName, networkName, result }
  return { ...own, args: cniArgs ?? [], capabilityArgs: capabilityArgs ?? {} }
}

/** All that a runtime remembers of a network. */
export function cachedAttachments({ host, cache }: Runtime, { name }: NetworkList): Cached[] {
  const folder = hostFile(host, cache)
  if (!existsSync(folder)) return []
  const all = readdirSync(folder).map((file) => readCacheFile(join(folder, file)))
  return all.filter(({ networkName }) => networkName === name)
}

/** Forgets an attachment. */
export function forget(runtime: Runtime, list: NetworkList, attachment: Attachment): void {
  rmSync(cacheFile(runtime, list, attachment), { force: true })
}
