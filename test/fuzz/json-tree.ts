/** JSON as a text has it: with keys that come twice, and values that no parser would give back. */
export type JsonTree =
  | { readonly kind: 'object'; readonly entries: [key: string, value: JsonTree][] }
  | { readonly kind: 'array'; readonly items: JsonTree[] }
  /** Whatever stands there, not only JSON. */
  | { readonly kind: 'raw'; readonly text: string }

export function toTree(value: unknown): JsonTree {
  if (Array.isArray(value)) return { kind: 'array', items: value.map(toTree) }
  if (typeof value !== 'object' || value === null) {
    return { kind: 'raw', text: JSON.stringify(value) }
  }
  return { kind: 'object', entries: Object.entries(value).map(([key, v]) => [key, toTree(v)]) }
}

export function toText(tree: JsonTree): string {
  if (tree.kind === 'raw') return tree.text
  if (tree.kind === 'array') return `[${tree.items.map(toText).join(',')}]`
  const entries = tree.entries.map(([key, value]) => `${JSON.stringify(key)}:${toText(value)}`)
  return `{${entries.join(',')}}`
}

/** A place in a tree that holds a value. */
export interface Place {
  readonly get: () => JsonTree
  readonly set: (value: JsonTree) => void
  /** The entry's place in an object, if it is in one. */
  readonly entry?: { readonly of: [string, JsonTree][]; readonly at: number }
  readonly remove: () => void
}

/** All places below a tree's root, in the order of the text. */
export function placesOf(tree: JsonTree): Place[] {
  if (tree.kind === 'raw') return []
  if (tree.kind === 'array') {
    return tree.items.flatMap((item, at) => [
      {
        get: () => tree.items[at] ?? item,
        set: (value: JsonTree) => void (tree.items[at] = value),
        remove: () => void tree.items.splice(at, 1),
      },
      ...placesOf(item),
    ])
  }
  return tree.entries.flatMap(([key, value], at) => [
    {
      get: () => tree.entries[at]?.[1] ?? value,
      set: (other: JsonTree) => void (tree.entries[at] = [key, other]),
      entry: { of: tree.entries, at },
      remove: () => void tree.entries.splice(at, 1),
    },
    ...placesOf(value),
  ])
}
