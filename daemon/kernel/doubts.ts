import { type Address, addressBits, type Family } from '../../ip/address.ts'
import { valuesOf } from '../../ip/by-family.ts'
import type { Prefix } from '../../ip/prefix.ts'
import type { Entry } from '../backend/kernel-state.ts'
import type { Lease } from '../lease/lease.ts'
import type { Finding } from './kernel-event.ts'

export type EntryKind = Entry['kind']

/** More ways than that to look after one by one are all of them. */
const MAX_PATHS = 10_000

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
  const bitsOf = ({ family, value }: Address, length: number): string =>
    `${family} ${value >> BigInt(addressBits(family) - length)}`
  const byLength = new Map<number, Set<string>>()
  for (const way of ways) {
    const { address, length } = typeof way === 'number' ? everywhere(way) : way
    const known = byLength.get(length) ?? new Set()
    byLength.set(length, known.add(bitsOf(address, length)))
  }
  const isOn = (address: Address): boolean =>
    [...byLength].some(
      ([length, known]) =>
        length <= addressBits(address.family) && known.has(bitsOf(address, length)),
    )
  return new Map([...leases].filter(([, { attrs }]) => valuesOf(attrs.publicIP).some(isOn)))
}

function everywhere(family: Family): Prefix {
  return { address: { family, value: 0n }, length: 0 }
}
