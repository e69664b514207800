import { readdirSync, readIfThere } from '#fs'
import type { ListedAttachment } from '../../conf/attachment-list.ts'

/**
 * The containers that an ADD is at work on just now, by the environments of all processes: what is
 * half made may not be in a runtime's list yet. A process that cannot be looked at does not count.
 */
export function runningAdds(proc = '/proc'): ListedAttachment[] {
  const found: ListedAttachment[] = []
  for (const name of readdirSync(proc)) {
    if (!/^\d+$/.test(name)) continue
    const environment = readEnvironment(`${proc}/${name}/environ`)
    if (environment.get('CNI_COMMAND') !== 'ADD') continue
    const containerId = environment.get('CNI_CONTAINERID')
    const ifname = environment.get('CNI_IFNAME')
    if (containerId && ifname) found.push({ containerId, ifname })
  }
  return found
}

function readEnvironment(path: string): ReadonlyMap<string, string> {
  const pairs = new Map<string, string>()
  let text: string | undefined
  try {
    text = readIfThere(path)
  } catch {
    // It has ended (ESRCH), or is another user's.
  }
  for (const pair of text?.split('\0') ?? []) {
    if (!pair.startsWith('CNI_')) continue
    const at = pair.indexOf('=')
    pairs.set(pair.slice(0, at), pair.slice(at + 1))
  }
  return pairs
}
