import { DecodeError } from './errors.ts'
import { canonicalKeys } from './keys.ts'
import type { NetConf } from './net-conf.ts'

/** One interface of one container, of the network that a configuration is of. */
export interface ListedAttachment {
  readonly containerId: string
  readonly ifname: string
}

/** libcni sends both; the second is what the specification first called it. */
const names = ['cni.dev/valid-attachments', 'cni.dev/attachments'] as const
const item = { containerID: {}, ifname: {} }

/**
 * The attachments that a runtime knows, for GC: what is not among them is stale. Undefined when it
 * sent no list, which says nothing about any of them (cni.md G1-G3). `null` is how libcni sends an
 * empty one.
 * @throws DecodeError as `parseNetConf` does.
 */
export function listedAttachments(conf: NetConf): ListedAttachment[] | undefined {
  const present = Object.keys(conf).map((key) => key.toLowerCase())
  if (!names.some((name) => present.includes(name))) return undefined
  const read = canonicalKeys(conf, { [names[0]]: item, [names[1]]: item }) as NetConf
  const name = names.find((name) => read[name] !== undefined)
  if (name === undefined) return []
  const list = read[name]
  if (!Array.isArray(list)) throw wrongType(name, 'must be array')
  return list.map((entry: unknown) => readEntry(entry, name))
}

function readEntry(entry: unknown, name: string): ListedAttachment {
  if (typeof entry !== 'object' || entry === null) throw wrongType(name, 'must hold objects')
  const { containerID, ifname } = entry as Readonly<Record<string, unknown>>
  if (typeof containerID !== 'string' || typeof ifname !== 'string') {
    throw wrongType(name, 'must hold objects with the texts containerID and ifname')
  }
  return { containerId: containerID, ifname }
}

function wrongType(name: string, what: string): DecodeError {
  return new DecodeError(`error unmarshall network config: key "${name}" ${what}`)
}
