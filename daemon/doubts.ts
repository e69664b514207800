import type { Address, Family } from '../ip/address.ts'
import { valuesOf } from '../ip/by-family.ts'
import { type Prefix, prefixContains } from '../ip/prefix.ts'
import type { Entry } from './backend/kernel-state.ts'
import type { Finding } from './kernel-event.ts'
import type { Lease } from './lease.ts'

export type EntryKind = Entry['kind']

/** More ways than that to look after one by one are all of them. */
const MAX_PATHS = 64

/**
 * What the kernel's events have cast doubt on and nobody has looked at yet. The last event about an
 * entry counts: when changes of ours follow each other quickly, the earlier ones' events come when
 * something else is wanted already.
 */
export class Doubts {
  readonly #entries = new Map<string, EntryKind>()
  #paths = new Map<string, Prefix | Family>()
  #isWhole = false

  /** Whether there is anything to look at. */
  get any(): boolean {
    return this.#isWhole || this.#entries.size > 0 || this.#paths.size > 0
  }

  /** Whether everything has to be looked at. */
  get isWhole(): boolean {
    return this.#isWhole
  }

  /** The tables with entries in doubt. */
  get kinds(): ReadonlySet<EntryKind> {
    return new Set(this.#entries.values())
  }

  /** Where packets may take another way; a family means to anywhere. */
  get paths(): readonly (Prefix | Family)[] {
    return [...this.#paths.values()]
  }

  has(id: string): boolean {
    return this.#entries.has(id)
  }

  take(finding: Finding): void {
    switch (finding.kind) {
      case 'nothing':
        return
      case 'link':
        this.#isWhole = true
        return
      case 'paths':
        this.#takePath(finding.to)
        return
      case 'entry':
        if (finding.isRight) this.#entries.delete(finding.id)
        else this.#entries.set(finding.id, finding.of)
    }
  }

  /** Entries of this identity have to be looked at, whatever was heard. */
  add(id: string, of: EntryKind): void {
    this.#entries.set(id, of)
  }

  clear(): void {
    this.#entries.clear()
    this.#paths.clear()
    this.#isWhole = false
  }

  #takePath(to: Prefix | Family): void {
    const key =
      typeof to === 'number' ? `${to}` : `${to.address.family} ${to.address.value}/${to.length}`
    this.#paths.set(key, to)
    if (this.#paths.size <= MAX_PATHS) return
    this.#paths = new Map([
      ['4', 4],
      ['6', 6],
    ])
  }
}

/** The leases of peers whose packets may take one of these ways. */
export function leasesOn(
  ways: readonly (Prefix | Family)[],
  leases: ReadonlyMap<string, Lease>,
): Map<string, Lease> {
  const isOn = (address: Address): boolean =>
    ways.some((way) =>
      typeof way === 'number' ? way === address.family : prefixContains(way, address),
    )
  return new Map([...leases].filter(([, { attrs }]) => valuesOf(attrs.publicIP).some(isOn)))
}
