/** The verbs of CNI spec 1.1.0 that need an invocation; VERSION needs none. */
export const commands = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS'] as const
export type Command = (typeof commands)[number]

/** What the runtime asks, read from the environment (CNI spec 1.1.0, section 2 "Parameters"). */
export interface Invocation {
  readonly command: Command
  /** Empty for GC and STATUS. */
  readonly containerId: string
  /** Empty for GC and STATUS, and for a DEL whose namespace is gone. */
  readonly netns: string
  /** Empty for GC and STATUS. */
  readonly ifname: string
  /** Folders to look for delegates in, in order. */
  readonly path: readonly string[]
  /** CNI_ARGS as given; `parseCniArgs` reads it. */
  readonly args: string
  /** CNI_NETNS_OVERRIDE: the container may share the plugin's own namespace. */
  readonly netnsOverride: boolean
}

/** An environment variable is missing or cannot be used. `names` says which. */
export class EnvError extends Error {
  override readonly name = 'EnvError'
  readonly names: readonly string[]
  readonly details: string | undefined

  constructor(names: readonly string[], message: string, details?: string) {
    super(message)
    this.names = names
    this.details = details
  }
}

export type Environment = Readonly<Record<string, string | undefined>>

interface Variable {
  readonly name: string
  readonly requiredFor: readonly Command[]
  readonly check?: (text: string) => void
}

/** In the order they are looked at; the first invalid one ends the reading (cni.md E2-E9). */
const variables: readonly Variable[] = [
  { name: 'CNI_CONTAINERID', requiredFor: ['ADD', 'DEL', 'CHECK'], check: checkContainerId },
  { name: 'CNI_NETNS', requiredFor: ['ADD', 'CHECK'] },
  { name: 'CNI_IFNAME', requiredFor: ['ADD', 'DEL', 'CHECK'], check: checkInterfaceName },
  { name: 'CNI_PATH', requiredFor: commands },
]

export function isCommand(text: string): text is Command {
  return (commands as readonly string[]).includes(text)
}

/** Reads the variables of one verb. @throws EnvError naming what is missing or invalid. */
export function readInvocation(command: Command, env: Environment): Invocation {
  const text = (name: string) => env[name] ?? ''
  requireVariables(command, text)
  const attaches = command === 'ADD' || command === 'DEL' || command === 'CHECK'
  return {
    command,
    containerId: attaches ? text('CNI_CONTAINERID') : '',
    netns: attaches ? text('CNI_NETNS') : '',
    ifname: attaches ? text('CNI_IFNAME') : '',
    path: text('CNI_PATH')
      .split(':')
      .filter((folder) => folder !== ''),
    args: text('CNI_ARGS'),
    netnsOverride: ['1', 'true'].includes(text('CNI_NETNS_OVERRIDE').toLowerCase()),
  }
}

function requireVariables(command: Command, text: (name: string) => string): void {
  const missing: string[] = []
  for (const { name, requiredFor, check } of variables) {
    if (!requiredFor.includes(command)) continue
    if (text(name) === '') missing.push(name)
    else check?.(text(name))
  }
  if (missing.length === 0) return
  throw new EnvError(missing, `required env variables [${missing.join(',')}] missing`)
}

/** Container ids and network names share this form (CNI spec 1.1.0, sections 1 and 2). */
export function isValidName(text: string): boolean {
  return isPlain(text) && isAlphanumeric(text.charCodeAt(0))
}

/** Whether text has none but these characters: `A-Z`, `a-z`, `0-9`, `_`, `.`, `-`; and has some. */
function isPlain(text: string): boolean {
  // A regular expression would cost every start its compilation.
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (!isAlphanumeric(code) && code !== 0x5f && code !== 0x2e && code !== 0x2d) return false
  }
  return text !== ''
}

function isAlphanumeric(code: number): boolean {
  if (code >= 0x30 && code <= 0x39) return true
  const lower = code | 0x20
  return lower >= 0x61 && lower <= 0x7a
}

function checkContainerId(text: string): void {
  if (isValidName(text)) return
  throw new EnvError(['CNI_CONTAINERID'], 'invalid characters in containerID', text)
}

/**
 * Says what is wrong with a device's name, by the kernel's own rules (net/core/dev.c,
 * dev_valid_name) and in the words of the reference plugins; undefined for a good one.
 */
export function interfaceNameFault(
  text: string,
): { message: string; details?: string } | undefined {
  const plain = isPlain(text)
  if ((plain ? text.length : new TextEncoder().encode(text).length) > 15) {
    const details = 'interface name should be less than 16 characters'
    return { message: 'interface name is too long', details }
  }
  if (text === '.' || text === '..') return { message: 'interface name is . or ..' }
  if (!plain && /[/:\s\u0085]/.test(text)) {
    return { message: 'interface name contains / or : or whitespace characters' }
  }
  // The kernel takes `br%d` for a pattern, makes br0 of it, and the next time br1.
  if (!plain && text.includes('%')) return { message: 'interface name contains %' }
  return undefined
}

function checkInterfaceName(text: string): void {
  const fault = interfaceNameFault(text)
  if (fault) throw new EnvError(['CNI_IFNAME'], fault.message, fault.details)
}
