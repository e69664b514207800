/**
 * Reads what was recorded of a cluster's leases and finds every subnet that two hosts held at one
 * time. A host holds what the store says is its, and what its daemon says is its, be that right or
 * not. Times are ms on one clock.
 */
import { parseLeaseKey } from '../../conf/lease.ts'
import { type ByFamily, valuesOf } from '../../ip/by-family.ts'
import { formatPrefix, type Prefix, prefixesOverlap } from '../../ip/prefix.ts'

/** All leases that a store had at one moment: their keys, and who holds each. */
export interface StoreList {
  readonly at: number
  readonly revision: number
  readonly holders: Readonly<Record<string, string>>
}

/** A later write of one lease's key; without a holder the key is gone. */
export interface StoreWrite {
  readonly at: number
  readonly revision: number
  readonly key: string
  readonly holder?: string
}

/** One stretch of a store's history. Putting back an older copy begins another one. */
export interface StoreHistory {
  readonly list: StoreList
  readonly writes: readonly StoreWrite[]
}

/** What a daemon said of itself at a moment: this lease is its own until then, if it hears nothing else. */
export interface Belief {
  readonly at: number
  readonly holder: string
  /** A lease's key; undefined: none. */
  readonly key: string | undefined
  readonly until: number
}

export interface History {
  readonly stores: readonly StoreHistory[]
  readonly beliefs: readonly Belief[]
  /** When the recording ended. */
  readonly end: number
}

/** Two hosts held overlapping subnets. `subnet` is the smaller one of both. */
export interface Sharing {
  readonly subnet: string
  readonly holders: readonly [string, string]
  readonly from: number
  readonly until: number
}

interface Hold {
  readonly holder: string
  readonly subnets: ByFamily<Prefix>
  readonly from: number
  readonly until: number
}

/** Every subnet with two holders, each stretch of time once, the earliest first. */
export function findSharing(history: History): Sharing[] {
  const holds = [...holdsInStores(history), ...holdsOfDaemons(history)]
  const found = holds.flatMap((one, index) =>
    holds.slice(index + 1).flatMap((other) => sharedBy(one, other)),
  )
  return merge(found)
}

/** The longest time that one subnet had two holders, ms; 0 if none ever had. */
export function longestSharing(sharings: readonly Sharing[]): number {
  return Math.max(0, ...sharings.map(({ from, until }) => until - from))
}

function holdsInStores({ stores, end }: History): Hold[] {
  return stores.flatMap((store, index) => holdsInStore(store, stores[index + 1]?.list.at ?? end))
}

function holdsInStore({ list, writes }: StoreHistory, end: number): Hold[] {
  const holds: Hold[] = []
  const open = new Map<string, { holder: string; from: number }>()
  const close = (key: string, until: number): void => {
    const hold = open.get(key)
    open.delete(key)
    if (hold) holds.push(...holdOf(key, { ...hold, until }))
  }
  for (const [key, holder] of Object.entries(list.holders)) open.set(key, { holder, from: list.at })
  for (const { at, key, holder } of inOrder(writes)) {
    if (open.get(key)?.holder === holder) continue
    close(key, at)
    if (holder !== undefined) open.set(key, { holder, from: at })
  }
  for (const key of open.keys()) close(key, end)
  return holds
}

/** Revisions tell the order of writes; one is no later than the arrival of any that follow it. */
function inOrder(writes: readonly StoreWrite[]): StoreWrite[] {
  let latest = Number.POSITIVE_INFINITY
  return writes
    .toSorted((a, b) => b.revision - a.revision)
    .map((write) => {
      latest = Math.min(latest, write.at)
      return { ...write, at: latest }
    })
    .reverse()
}

/** A belief holds until its time is over, or the same daemon says otherwise. */
function holdsOfDaemons({ beliefs, end }: History): Hold[] {
  const byHolder = Map.groupBy(beliefs, ({ holder }) => holder)
  return [...byHolder.values()].flatMap((said) =>
    said
      .toSorted((a, b) => a.at - b.at)
      .flatMap(({ at, holder, key, until }, index, all) => {
        const next = all[index + 1]?.at ?? end
        return key === undefined
          ? []
          : holdOf(key, { holder, from: at, until: Math.min(until, next) })
      }),
  )
}

function holdOf(key: string, hold: Omit<Hold, 'subnets'>): Hold[] {
  const subnets = parseLeaseKey(key)
  // A key that names no subnet is nobody's subnet.
  return subnets ? [{ ...hold, subnets }] : []
}

function sharedBy(one: Hold, other: Hold): Sharing[] {
  const from = Math.max(one.from, other.from)
  const until = Math.min(one.until, other.until)
  if (one.holder === other.holder || from >= until) return []
  const holders =
    one.holder < other.holder
      ? ([one.holder, other.holder] as const)
      : ([other.holder, one.holder] as const)
  return valuesOf(one.subnets).flatMap((a) =>
    valuesOf(other.subnets)
      .filter((b) => prefixesOverlap(a, b))
      .map((b) => ({ subnet: formatPrefix(a.length > b.length ? a : b), holders, from, until })),
  )
}

/** Joins what the same two share without a gap, be it said by the store or by themselves. */
function merge(found: readonly Sharing[]): Sharing[] {
  const merged: Sharing[] = []
  for (const one of found.toSorted((a, b) => a.from - b.from)) {
    const at = merged.findIndex((last) => isSame(last, one) && last.until >= one.from)
    const last = merged[at]
    if (last) merged[at] = { ...last, until: Math.max(last.until, one.until) }
    else merged.push(one)
  }
  return merged
}

function isSame(a: Sharing, b: Sharing): boolean {
  return a.subnet === b.subnet && a.holders.join(' ') === b.holders.join(' ')
}
