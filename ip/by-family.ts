import type { Family } from './address.ts'

/** One value for each address family in use: the way to write IPv4 and IPv6 as one code path. */
export interface ByFamily<T> {
  readonly 4?: T
  readonly 6?: T
}

export const families: readonly Family[] = [4, 6]

/** Makes a value for each family; a family for which `make` gives undefined stays absent. */
export function byFamily<T>(make: (family: Family) => T | undefined): ByFamily<T> {
  const values: { 4?: T; 6?: T } = {}
  for (const family of families) {
    const value = make(family)
    if (value !== undefined) values[family] = value
  }
  return values
}

/** The families that have a value, IPv4 first. */
export function familiesOf(values: ByFamily<unknown>): Family[] {
  return families.filter((family) => values[family] !== undefined)
}

/** The values that are there, IPv4 first. */
export function valuesOf<T>(values: ByFamily<T>): T[] {
  return families.flatMap((family) => {
    const value = values[family]
    return value === undefined ? [] : [value]
  })
}
