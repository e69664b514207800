/** Lines that say what differs between two configurations, key by key. */
export function describeChanges(before: string | undefined, after: string): string[] {
  const [old, wanted] = [flatten(before), flatten(after)]
  const keys = [...new Set([...old.keys(), ...wanted.keys()])].toSorted()
  const lines = keys.flatMap((key) => {
    const [was, is] = [old.get(key), wanted.get(key)]
    if (was === is) return []
    if (was === undefined) return [`+ ${key}: ${is}`]
    return [is === undefined ? `- ${key}: ${was}` : `~ ${key}: ${was} -> ${is}`]
  })
  return lines.length > 0 ? lines : ['nothing changes']
}

/** Each value by its path; nothing for a text that is no JSON object. */
function flatten(text: string | undefined): ReadonlyMap<string, string> {
  const values = new Map<string, string>()
  const add = (path: string, value: unknown): void => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      values.set(path, JSON.stringify(value))
      return
    }
    for (const [key, item] of Object.entries(value)) add(path ? `${path}.${key}` : key, item)
  }
  try {
    add('', JSON.parse(text ?? '{}'))
  } catch {
    // What stands in the store cannot be read: all of the new one is new.
  }
  return values
}
