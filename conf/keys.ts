/** Known keys of a JSON object, nested; arrays stand for their items. */
export interface KeyTree {
  readonly [key: string]: KeyTree
}

/**
 * Spells known keys as the schema does, whatever their case: every Go plugin matches keys so, and
 * callers send `HostPort` or `Subnet`. An exact spelling wins over another one beside it; among
 * several others the last wins. A known key that is `null` counts as absent, as Go decodes it.
 * Unknown keys stay as they are. Objects come back without a prototype, so that no key is special.
 */
export function canonicalKeys(value: unknown, tree: KeyTree): unknown {
  if (Array.isArray(value)) return value.map((item) => canonicalKeys(item, tree))
  if (typeof value !== 'object' || value === null) return value
  const out: Record<string, unknown> = Object.create(null)
  for (const [key, item] of Object.entries(value)) {
    // Mostly a key is spelt right, and the table of all spellings is not needed.
    const known = Object.hasOwn(tree, key) ? key : spellings(tree).get(key.toLowerCase())
    if (known === undefined) out[key] = item
    else if (item !== null && (key === known || !Object.hasOwn(value, known))) {
      out[known] = canonicalKeys(item, tree[known] ?? {})
    }
  }
  return out
}

const cache = new WeakMap<KeyTree, ReadonlyMap<string, string>>()

function spellings(tree: KeyTree): ReadonlyMap<string, string> {
  let map = cache.get(tree)
  if (!map) {
    map = new Map(Object.keys(tree).map((key) => [key.toLowerCase(), key]))
    cache.set(tree, map)
  }
  return map
}
