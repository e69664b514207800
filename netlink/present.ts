type OptionalKey<T> = { [K in keyof T]: undefined extends T[K] ? K : never }[keyof T]

/** T with the keys that may be undefined made keys that may be absent. */
export type Present<T> = Omit<T, OptionalKey<T>> & {
  [K in OptionalKey<T>]?: Exclude<T[K], undefined>
}

/** The same values without those that are undefined: what the kernel did not say has no key. */
export function present<T extends object>(values: T): Present<T> {
  const kept: Partial<T> = {}
  for (const key in values) {
    if (values[key] !== undefined) kept[key] = values[key]
  }
  return kept as Present<T>
}
