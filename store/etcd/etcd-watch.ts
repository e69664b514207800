import { setTimeout as sleep } from 'node:timers/promises'
import { type Entry, type Revision, StoreError, type StoreEvent } from '../store.ts'
import type { EtcdChannel } from './etcd-channel.ts'
import {
  EVENT_DELETE,
  type KeyValue,
  keyRange,
  methods,
  prefixRange,
  type WatchResponse,
} from './etcd-messages.ts'

const MIN_PAUSE_MS = 100
const MAX_PAUSE_MS = 5000

export interface WatchStart {
  readonly prefix: string
  readonly from: Revision
  /** The cluster that `from` belongs to, if known. */
  readonly clusterId: string | undefined
  /** The newest change under the prefix up to `from`, if known. */
  readonly last: Change | undefined
}

/** What became of a key at a revision. */
export interface Change {
  readonly key: string
  readonly revision: Revision
  /** Undefined: it was deleted. */
  readonly value: string | undefined
}

/** `Store.watch` for etcd. `signal` aborts when the store is closed, too. */
export async function* watchKeys(
  channel: EtcdChannel,
  start: WatchStart,
  signal: AbortSignal,
): AsyncGenerator<StoreEvent> {
  const place: Place = {
    ...start,
    position: start.from,
    isResumed: false,
    failures: 0,
    denials: 0,
  }
  while (!signal.aborted) {
    try {
      for await (const event of follow(channel, place, signal)) {
        yield event
        if (event.type === 'resync') return
        if (signal.aborted) return
      }
    } catch (error) {
      if (error instanceof StoreError && error.reason === 'closed') return
      if (!mayPass(error, place)) throw error
      if (place.denials > 0) channel.forgetToken()
    }
    place.isResumed = true
    await pause(Math.min(MIN_PAUSE_MS * 2 ** place.failures, MAX_PAUSE_MS), signal)
    place.failures += 1
  }
}

/** Where a watch has got to. */
interface Place {
  readonly prefix: string
  position: Revision
  clusterId: string | undefined
  last: Change | undefined
  /** Whether the connection was lost since the beginning. */
  isResumed: boolean
  /** In a row, as `denials`. */
  failures: number
  denials: number
}

/** Whether waiting, or a new token, can help. */
function mayPass(error: unknown, place: Place): boolean {
  if (!(error instanceof StoreError)) return false
  if (error.reason !== 'denied') return error.reason === 'unavailable' || error.reason === 'full'
  // etcd 3.4 takes someone whose token has run out for someone who may not read.
  place.denials += 1
  return place.denials === 1
}

/** One call of `Watch`. Moves `place` on; ends when the call does, throws when it fails. */
async function* follow(
  channel: EtcdChannel,
  place: Place,
  signal: AbortSignal,
): AsyncGenerator<StoreEvent> {
  if (place.isResumed && (await isForgotten(channel, place.last))) yield { type: 'resync' }
  const create = {
    ...prefixRange(place.prefix),
    startRevision: place.position + 1,
    // Notices of progress move us on while nothing happens under the prefix, so that a compaction
    // in the meantime does not cost a resync.
    progressNotify: true,
  }
  for await (const response of channel.stream(methods.watch, { create }, signal)) {
    if (isElsewhere(response, place)) yield { type: 'resync' }
    if (response.canceled) throw refusal(channel.name, response)
    place.failures = 0
    place.denials = 0
    for (const { type, kv = {} } of response.events ?? []) {
      const isDelete = type === EVENT_DELETE
      const value = isDelete ? undefined : (kv.value ?? '')
      place.last = { key: kv.key ?? '', revision: kv.modRevision ?? 0, value }
      yield isDelete ? deletion(kv) : { type: 'put', entry: entryOf(kv) }
    }
    advance(place, response)
  }
}

/**
 * Whether the history we stand in is gone: compacted, another cluster's, or put back from a copy. A
 * server that only lags behind looks like the last; listing again then is harmless.
 */
function isElsewhere({ header, compactRevision }: WatchResponse, place: Place): boolean {
  const clusterId = String(header?.clusterId)
  place.clusterId ??= clusterId
  if (clusterId !== place.clusterId) return true
  return (compactRevision ?? 0) > 0 || (header?.revision ?? 0) < place.position
}

/**
 * Whether the history has another past now: a cluster put back from a copy keeps its id, and its
 * revision may have run past ours again by the time we are back. The last change we know of is
 * younger than the copy, or nothing of ours was lost.
 */
async function isForgotten(channel: EtcdChannel, last: Change | undefined): Promise<boolean> {
  if (!last) return false
  const { key, revision, value } = last
  const at = async (when: { revision?: Revision }) =>
    (await channel.call(methods.range, { ...keyRange(key), ...when })).kvs?.[0]
  // In another past somebody else may have written the same key at the very same revision.
  const isSame = (kv: KeyValue | undefined): boolean =>
    kv ? kv.modRevision === revision && (kv.value ?? '') === value : value === undefined
  try {
    return !isSame(await at({ revision }))
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    if (/future revision/.test(error.message)) return true
    if (!/has been compacted/.test(error.message)) throw error
  }
  // What it was then is not known any more, but what it is now may rule it out.
  const now = await at({})
  return (now?.modRevision ?? 0) <= revision && !isSame(now)
}

function advance(place: Place, { created, events, header }: WatchResponse): void {
  const last = events?.at(-1)?.kv?.modRevision
  if (last !== undefined) place.position = last
  // The header of the first answer tells the server's newest revision, with events still to come.
  else if (!created) place.position = header?.revision ?? place.position
}

function refusal(store: string, { cancelReason = 'no reason given' }: WatchResponse): StoreError {
  const reason = /permission denied|auth token|user name/.test(cancelReason)
  return new StoreError(reason ? 'denied' : 'unavailable', store, `Watch ended: ${cancelReason}`)
}

/** An absent number or text is 0 or empty, as proto3 has it. */
export function entryOf({ key = '', value = '', modRevision = 0, lease = 0n }: KeyValue): Entry {
  return { key, value, revision: modRevision, leased: lease !== 0n }
}

function deletion({ key = '', modRevision = 0 }: KeyValue): StoreEvent {
  return { type: 'delete', key, revision: modRevision }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal })
  } catch {
    // Aborted, which the caller sees at the signal itself.
  }
}
