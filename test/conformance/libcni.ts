import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type Host, hostFile } from '../../scripts/lab/lab.ts'
import type { Execution, Outcome } from './exec.ts'
import { type GoResult, readGoResult } from './go-result.ts'
import { cachedAttachments, forget, readCache, writeCache } from './libcni-cache.ts'

/** A plugin's configuration within a list. */
export interface PluginConf {
  readonly type: string
  readonly capabilities?: Readonly<Record<string, boolean>>
  readonly [key: string]: unknown
}

/** A network as a `.conflist` file describes it. */
export interface NetworkList {
  readonly name: string
  readonly cniVersion: string
  readonly disableCheck?: boolean
  readonly disableGC?: boolean
  readonly plugins: readonly PluginConf[]
}

/** A container's interface, as the runtime names it. */
export interface Attachment {
  readonly containerId: string
  readonly netns: string
  readonly ifname: string
  readonly args?: readonly (readonly [string, string])[]
  readonly capabilityArgs?: Readonly<Record<string, unknown>>
}

/** A container runtime on a host: where it looks for plugins, and where it remembers results. */
export interface Runtime {
  readonly host: Host
  /** Folders of CNI_PATH. */
  readonly path: readonly string[]
  /** As the host sees it. */
  readonly cache: string
  /** Its own environment, which its plugins inherit. */
  readonly env: Readonly<Record<string, string>>
  readonly execute: (host: Host, execution: Execution) => Promise<Outcome>
}

/** What libcni makes of a plugin that failed. */
export class PluginError extends Error {
  override readonly name = 'PluginError'
  readonly code: number
  readonly details: string | undefined

  constructor(msg: string, code = 0, details?: string) {
    super(msg)
    this.code = code
    this.details = details
  }
}

/** ADD of every plugin in order, each with the result before it; the last one is kept and returned. */
export async function addNetworkList(
  runtime: Runtime,
  list: NetworkList,
  attachment: Attachment,
): Promise<GoResult | undefined> {
  let result: GoResult | undefined
  for (const plugin of list.plugins) {
    const conf = confFor(list, plugin, { prevResult: result, attachment })
    const { stdout } = await call(runtime, 'ADD', { plugin, conf, attachment })
    result = readGoResult(stdout, list.cniVersion)
  }
  if (result) writeCache(runtime, list, attachment, result)
  return result
}

/** CHECK of every plugin in order, with the final result of ADD. */
export async function checkNetworkList(
  runtime: Runtime,
  list: NetworkList,
  attachment: Attachment,
): Promise<void> {
  if (!isAtLeast(list.cniVersion, '0.4.0')) {
    const text = `configuration version "${list.cniVersion}" does not support CHECK command`
    throw new PluginError(text)
  }
  if (list.disableCheck) return
  const prevResult = readCache(runtime, list, attachment)?.result
  for (const plugin of list.plugins) {
    const conf = confFor(list, plugin, { prevResult, attachment })
    await call(runtime, 'CHECK', { plugin, conf, attachment })
  }
}

/** DEL of every plugin in reverse, with the final result of ADD from 0.4.0 on; stops at the first error. */
export async function delNetworkList(
  runtime: Runtime,
  list: NetworkList,
  attachment: Attachment,
): Promise<void> {
  const knowsResult = isAtLeast(list.cniVersion, '0.4.0')
  const prevResult = knowsResult ? readCache(runtime, list, attachment)?.result : undefined
  for (const plugin of list.plugins.toReversed()) {
    const conf = confFor(list, plugin, { prevResult, attachment })
    await call(runtime, 'DEL', { plugin, conf, attachment })
  }
  forget(runtime, list, attachment)
}

/** An attachment in a runtime's list of what it still has. */
export interface Valid {
  readonly containerID: string
  readonly ifname: string
}

/**
 * DEL of every attachment the runtime remembers and does not list, then GC of every plugin; goes on
 * after errors and throws them together. `valid` undefined is what cnitool sends: nothing. An empty
 * list is a nil slice in Go, and goes out as `null` if the caller says so.
 */
export async function gcNetworkList(
  runtime: Runtime,
  list: NetworkList,
  valid?: readonly Valid[] | null,
): Promise<void> {
  if (list.disableGC) return
  const errors: unknown[] = []
  for (const cached of cachedAttachments(runtime, list)) {
    const keep = (valid ?? []).some(
      (one) => one.containerID === cached.containerId && one.ifname === cached.ifname,
    )
    if (keep) continue
    await delNetworkList(runtime, list, cached).catch((error: unknown) => errors.push(error))
  }
  if (isAtLeast(list.cniVersion, '1.1.0')) {
    const lists =
      valid === undefined
        ? {}
        : { 'cni.dev/valid-attachments': valid, 'cni.dev/attachments': valid }
    for (const plugin of list.plugins) {
      const conf = inject(plugin, { name: list.name, cniVersion: list.cniVersion, ...lists })
      await call(runtime, 'GC', { plugin, conf }).catch((error: unknown) => errors.push(error))
    }
  }
  if (errors.length > 0) throw new AggregateError(errors, errors.map(String).join('\n'))
}

/** STATUS of every plugin in order; the first error is thrown as it is. */
export async function statusNetworkList(runtime: Runtime, list: NetworkList): Promise<void> {
  if (!isAtLeast(list.cniVersion, '1.1.0')) return
  for (const plugin of list.plugins) {
    const conf = inject(plugin, { name: list.name, cniVersion: list.cniVersion })
    await call(runtime, 'STATUS', { plugin, conf })
  }
}

/** Asks every plugin for its versions, throws if one does not speak the list's; its capabilities. */
export async function validateNetworkList(runtime: Runtime, list: NetworkList): Promise<string[]> {
  for (const { type } of list.plugins) {
    const versions = await supportedVersions(runtime, type)
    if (!versions.includes(list.cniVersion)) {
      throw new PluginError(`plugin ${type} does not support config version "${list.cniVersion}"`)
    }
  }
  const all = list.plugins.flatMap((plugin) => Object.entries(plugin.capabilities ?? {}))
  return [...new Set(all.filter(([, enabled]) => enabled).map(([name]) => name))]
}

/** The versions a plugin says it speaks, asked for with the dummies that libcni sends. */
export async function supportedVersions(
  runtime: Runtime,
  type: string,
): Promise<readonly string[]> {
  const path = findInPath(runtime, type)
  const env = environment(
    runtime,
    'VERSION',
    { containerId: '', netns: 'dummy', ifname: 'dummy' },
    'dummy',
  )
  const outcome = await runtime.execute(runtime.host, {
    path,
    env,
    stdin: '{"cniVersion":"1.1.0"}',
  })
  try {
    refuseFailure(outcome)
  } catch (error) {
    if (error instanceof PluginError && error.message === 'unknown CNI_COMMAND: VERSION')
      return ['0.1.0']
    throw error
  }
  const { cniVersion, supportedVersions: versions } = JSON.parse(outcome.stdout) as {
    cniVersion?: string
    supportedVersions?: string[]
  }
  if (!cniVersion) throw new PluginError('decoding version info: missing field cniVersion')
  if (versions?.length) return versions
  if (cniVersion === '0.2.0') return ['0.1.0', '0.2.0']
  throw new PluginError('decoding version info: missing field supportedVersions')
}

interface Start {
  readonly plugin: PluginConf
  readonly conf: string
  /** GC and STATUS are about none, and have these variables empty. */
  readonly attachment?: Attachment
}

const nobody: Attachment = { containerId: '', netns: '', ifname: '' }

async function call(runtime: Runtime, command: string, start: Start): Promise<Outcome> {
  const { plugin, conf, attachment = nobody } = start
  const path = findInPath(runtime, plugin.type)
  const env = environment(runtime, command, attachment, runtime.path.join(':'))
  const outcome = await runtime.execute(runtime.host, { path, env, stdin: conf })
  refuseFailure(outcome)
  return outcome
}

function refuseFailure({ exit, stdout, stderr }: Outcome): void {
  if (exit === 0) return
  if (stdout === '') {
    const said = stderr === '' ? `with no error message: exit ${exit}` : JSON.stringify(stderr)
    throw new PluginError(`netplugin failed${stderr === '' ? ' ' : ': '}${said}`)
  }
  let error: { code?: number; msg?: string; details?: string }
  try {
    error = JSON.parse(stdout) as typeof error
  } catch {
    const text = `netplugin failed but error parsing its diagnostic message ${JSON.stringify(stdout)}`
    throw new PluginError(text)
  }
  throw new PluginError(error.msg ?? '', error.code, error.details)
}

/** The variables that libcni always sets, empty or not. */
export function environment(
  runtime: Pick<Runtime, 'env'>,
  command: string,
  { containerId, netns, ifname, args = [] }: Attachment,
  path: string,
): Record<string, string> {
  return {
    ...runtime.env,
    CNI_COMMAND: command,
    CNI_CONTAINERID: containerId,
    CNI_NETNS: netns,
    CNI_ARGS: args.map((pair) => pair.join('=')).join(';'),
    CNI_IFNAME: ifname,
    CNI_PATH: path,
  }
}

function findInPath({ host, path }: Runtime, type: string): string {
  for (const folder of path) {
    const file = hostFile(host, join(folder, type))
    if (existsSync(file) && statSync(file).isFile()) return join(folder, type)
  }
  throw new PluginError(`failed to find plugin "${type}" in path [${path.join(' ')}]`)
}

/** The text a plugin of a list is given. */
export function confFor(
  { name, cniVersion }: Pick<NetworkList, 'name' | 'cniVersion'>,
  plugin: PluginConf,
  { prevResult, attachment }: { prevResult?: object | undefined; attachment?: Attachment },
): string {
  const runtimeConfig = Object.fromEntries(
    Object.entries(attachment?.capabilityArgs ?? {}).filter(
      ([capability]) => plugin.capabilities?.[capability],
    ),
  )
  return inject(plugin, {
    name,
    cniVersion,
    ...(prevResult ? { prevResult } : {}),
    ...(Object.keys(runtimeConfig).length > 0 ? { runtimeConfig } : {}),
  })
}

/**
 * Go writes objects that it read without a type with their keys sorted, and escapes for HTML. A result
 * is of such a type from 1.0.0 on; an older one is read without when runtimeConfig is put in after it.
 */
function inject(plugin: PluginConf, more: Readonly<Record<string, unknown>>): string {
  const all: Record<string, unknown> = { ...plugin, ...more }
  const isTyped = String(all['cniVersion']) < '1.0.0' && !('runtimeConfig' in more)
  const keys = Object.keys(all)
    .filter((key) => all[key] !== undefined)
    .toSorted()
  const fields = keys.map((key) => {
    const value = key === 'prevResult' && isTyped ? all[key] : sorted(all[key])
    return `${JSON.stringify(key)}:${JSON.stringify(value)}`
  })
  const escapes: Record<string, string> = { '<': '\\u003c', '>': '\\u003e', '&': '\\u0026' }
  return `{${fields.join(',')}}`.replaceAll(/[<>&]/g, (one) => escapes[one] ?? one)
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, one]) => [key, sorted(one)]))
}

function isAtLeast(version: string, least: string): boolean {
  return version.localeCompare(least, 'en', { numeric: true }) >= 0
}
