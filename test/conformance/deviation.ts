import type { Facts } from './rows.ts'

/** How a reference plugin differs from a rule that heddle follows. */
export interface Deviation {
  readonly row: string
  /** Titles of subjects, or a maker for all of its plugins. */
  readonly of: readonly string[]
  /** What it does instead, in words. */
  readonly instead: string
  /** Why heddle does not do the same. */
  readonly why: string
  /** What the case sees, over the rule's facts. */
  readonly observed: Facts
}

/** Both makers of the reference plugins. */
export const both: readonly string[] = ['Debian', '1.9.1']

/** Plugins of both makers. */
export function of(...plugins: readonly string[]): string[] {
  return both.flatMap((maker) => plugins.map((plugin) => `${maker} ${plugin}`))
}
