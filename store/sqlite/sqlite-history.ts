import type { DatabaseSync, SQLOutputValue } from 'node:sqlite'
import type { Entry, Revision, StoreEvent } from '../store.ts'
import type { MachineClock } from './sqlite-clock.ts'

/** A watch reads this many events at a time. */
const PAGE_LENGTH = 500
/** Smaller steps of the wall clock are left to pass as ordinary time. */
const CLOCK_STEP_MS = 2000

export interface Meta {
  readonly clusterId: string
  readonly revision: Revision
  readonly compacted: Revision
}

type Row = Record<string, SQLOutputValue>

export function readMeta(db: DatabaseSync): Meta {
  const row = db.prepare('SELECT clusterId, revision, compacted FROM meta').get()
  if (!row) throw new RangeError('table meta is empty')
  return {
    clusterId: String(row['clusterId']),
    revision: Number(row['revision']),
    compacted: Number(row['compacted']),
  }
}

export function readEntry(db: DatabaseSync, key: string): Entry | undefined {
  const row = db.prepare('SELECT * FROM entry WHERE key = ?').get(key)
  return row && entryOf(row)
}

/** U+10FFFF is no character, so no key goes on with it: the bound is the end of the prefix. */
const UNDER_PREFIX = 'key >= $prefix AND key < $prefix || char(0x10ffff)'

export function readEntries(db: DatabaseSync, prefix: string): Entry[] {
  const query = db.prepare(`SELECT * FROM entry WHERE ${UNDER_PREFIX} ORDER BY key`)
  return query.all({ $prefix: prefix }).map(entryOf)
}

function entryOf(row: Row): Entry {
  const expires = row['expires']
  return {
    key: String(row['key']),
    value: String(row['value']),
    revision: Number(row['revision']),
    leased: expires !== null,
    ...(expires !== null && { expiresAt: Number(expires) }),
  }
}

/** The next events after a position, and the position after them. */
export function readEvents(
  db: DatabaseSync,
  prefix: string,
  after: Revision,
): { events: StoreEvent[]; position: Revision } {
  const { revision, compacted } = readMeta(db)
  if (after === revision) return { events: [], position: after }
  // Ahead of the newest: the file was put back from a copy and has lost what we have seen.
  if (after < compacted || after > revision) {
    return { events: [{ type: 'resync' }], position: revision }
  }
  const position = Math.min(revision, after + PAGE_LENGTH)
  const query = db.prepare(
    `SELECT * FROM event WHERE revision > $after AND revision <= $position AND ${UNDER_PREFIX}
     ORDER BY revision`,
  )
  const rows = query.all({ $prefix: prefix, $after: after, $position: position })
  return { events: rows.map(eventOf), position }
}

function eventOf(row: Row): StoreEvent {
  return row['value'] === null
    ? { type: 'delete', key: String(row['key']), revision: Number(row['revision']) }
    : { type: 'put', entry: entryOf(row) }
}

/** Writes a value and the event that tells of it. Part of the caller's transaction. */
export function recordPut(
  db: DatabaseSync,
  write: { key: string; value: string; ttlSeconds: number | undefined; nowMs: number },
): Entry {
  const { key, value, ttlSeconds, nowMs } = write
  const ttl = ttlSeconds === undefined ? null : ttlSeconds * 1000
  const expires = ttl === null ? null : nowMs + ttl
  const revision = nextRevision(db)
  db.prepare('INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?)').run(
    key,
    value,
    revision,
    ttl,
    expires,
  )
  db.prepare('INSERT INTO event VALUES (?, ?, ?, ?)').run(revision, key, value, expires)
  return entryOf({ key, value, revision, expires })
}

/** Deletes a key and writes the event that tells of it. Part of the caller's transaction. */
export function recordDelete(db: DatabaseSync, key: string): void {
  const revision = nextRevision(db)
  db.prepare('DELETE FROM entry WHERE key = ?').run(key)
  db.prepare('INSERT INTO event VALUES (?, ?, NULL, NULL)').run(revision, key)
}

function nextRevision(db: DatabaseSync): Revision {
  const row = db.prepare('UPDATE meta SET revision = revision + 1 RETURNING revision').get()
  return Number(row?.['revision'])
}

/** Forgets all but the newest events. Part of the caller's transaction. */
export function compact(db: DatabaseSync, historyLength: number): void {
  const { revision, compacted } = readMeta(db)
  const keepAfter = revision - historyLength
  if (keepAfter <= compacted) return
  db.prepare('DELETE FROM event WHERE revision <= ?').run(keepAfter)
  db.prepare('UPDATE meta SET compacted = ?').run(keepAfter)
}

/** Whether time alone calls for a write: something has expired, or the clock was set. */
export function needsUpkeep(db: DatabaseSync, clock: MachineClock): boolean {
  const next = nextExpiry(db)
  return (next !== undefined && next <= clock.wallMs()) || clockStep(db, clock) !== undefined
}

/** When the next key expires, in wall-clock milliseconds. */
export function nextExpiry(db: DatabaseSync): number | undefined {
  const row = db.prepare('SELECT min(expires) AS next FROM entry WHERE expires IS NOT NULL').get()
  return typeof row?.['next'] === 'number' ? row['next'] : undefined
}

/** Deletes what has expired. Part of the caller's transaction, after `settleClock`. */
export function expireDue(db: DatabaseSync, nowMs: number): void {
  const due = db.prepare('SELECT key FROM entry WHERE expires <= ? ORDER BY expires, key')
  for (const row of due.all(nowMs)) recordDelete(db, String(row['key']))
}

/**
 * Keeps a time to live a span of time when somebody sets the wall clock: while the machine is up,
 * all expiries move along with it. Over a reboot only the wall clock is there to go by; should it
 * have gone back, no key lives longer than its whole time to live from now.
 * Part of the caller's transaction.
 */
export function settleClock(db: DatabaseSync, clock: MachineClock): void {
  const step = clockStep(db, clock)
  if (step === undefined) return
  if (step === 'boot') {
    db.prepare('UPDATE entry SET expires = min(expires, ? + ttl)').run(clock.wallMs())
  } else {
    db.prepare('UPDATE entry SET expires = expires + ?').run(step)
    db.prepare('UPDATE event SET expires = expires + ?').run(step)
  }
  db.prepare('UPDATE meta SET bootId = ?, clockOffset = ?').run(clock.bootId, offsetOf(clock))
}

/** How far the wall clock was set, in ms, since the file last took note; `boot` after a reboot. */
function clockStep(db: DatabaseSync, clock: MachineClock): number | 'boot' | undefined {
  const row = db.prepare('SELECT bootId, clockOffset FROM meta').get()
  if (row?.['bootId'] !== clock.bootId) return 'boot'
  const step = offsetOf(clock) - Number(row['clockOffset'])
  return Math.abs(step) > CLOCK_STEP_MS ? step : undefined
}

function offsetOf(clock: MachineClock): number {
  return Math.round(clock.wallMs() - clock.bootMs())
}
