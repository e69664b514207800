import { randomUUID } from 'node:crypto'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { StoreError, type StoreErrorReason } from '../store.ts'

/** `PRAGMA user_version` of the files this code reads and writes. */
const FORMAT = 1
/** `PRAGMA application_id`, "hedd": tells our file from any other SQLite database. */
const APPLICATION = 0x68656464
const BUSY_TIMEOUT_MS = 5000

/*
 * `event` holds exactly the revisions `compacted` + 1 to `revision`; a null value is a delete.
 * `expires` is wall-clock milliseconds, kept right by `settleClock`.
 */
const SCHEMA = `
  CREATE TABLE meta (
    clusterId TEXT NOT NULL,
    revision INTEGER NOT NULL,
    compacted INTEGER NOT NULL,
    bootId TEXT NOT NULL,
    clockOffset INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE entry (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    revision INTEGER NOT NULL,
    ttl INTEGER,
    expires INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX entryByExpiry ON entry (expires) WHERE expires IS NOT NULL;
  CREATE TABLE event (
    revision INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    value TEXT,
    expires INTEGER
  ) STRICT;
  PRAGMA application_id = ${APPLICATION};
  PRAGMA user_version = ${FORMAT};
`

/**
 * Opens the database, making file (0600), folder (0700) and tables where they are missing. The
 * caller closes it. Throws `StoreError`: `unsupported` for a newer format or another program's
 * database, and then nothing in the file has been changed.
 */
export function openDatabase(path: string): DatabaseSync {
  const store = storeName(path)
  let db: DatabaseSync | undefined
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    createFile(path)
    db = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS })
    prepareDatabase(db, store)
    return db
  } catch (error) {
    db?.close()
    throw sqliteError(error, store)
  }
}

/**
 * SQLite would make the file world-readable; -wal and -shm take its mode. A -wal left by a deleted
 * file of this name is SQLite's to remove, under its locks: here it could be another process's.
 */
function createFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return
    throw error
  }
}

export function storeName(path: string): string {
  return `sqlite:${path}`
}

function prepareDatabase(db: DatabaseSync, store: string): void {
  // Looks before `journal_mode` is set, which would write to a file that is not ours.
  const isNew = checkInOneRead(db, store)
  retryWhileBusy(() => db.exec('PRAGMA journal_mode = WAL'))
  db.exec('PRAGMA synchronous = FULL')
  if (!isNew) return
  db.exec('BEGIN IMMEDIATE')
  try {
    // Another process may have made the tables since.
    if (checkFormat(db, store)) createTables(db)
    db.exec('COMMIT')
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}

/** Another process may be making the tables: what is looked at must all be of one moment. */
function checkInOneRead(db: DatabaseSync, store: string): boolean {
  db.exec('BEGIN')
  try {
    return checkFormat(db, store)
  } finally {
    db.exec('COMMIT')
  }
}

/** Whether the database is empty. Throws if it is not empty and not ours. */
function checkFormat(db: DatabaseSync, store: string): boolean {
  const format = pragma(db, 'user_version')
  const application = pragma(db, 'application_id')
  if (application === APPLICATION && format === FORMAT) return false
  if (application === APPLICATION) {
    const text = `${store} has format ${format}, this version of heddle knows up to ${FORMAT}`
    throw new StoreError('unsupported', store, text)
  }
  const tables = db.prepare('SELECT count(*) AS count FROM sqlite_schema').get()?.['count']
  if (application === 0 && format === 0 && tables === 0) return true
  throw new StoreError('unsupported', store, `${store} is a database of another program`)
}

function pragma(db: DatabaseSync, name: 'user_version' | 'application_id'): number {
  return Number(db.prepare(`PRAGMA ${name}`).get()?.[name])
}

function createTables(db: DatabaseSync): void {
  db.exec(SCHEMA)
  // Starting at the time of day keeps revisions of a replaced file from being taken for new ones.
  const first = Date.now()
  db.prepare('INSERT INTO meta VALUES (?, ?, ?, ?, ?)').run(randomUUID(), first, first, '', 0)
}

/** Changing to WAL does not wait for other connections, whatever the busy timeout is. */
function retryWhileBusy(body: () => void): void {
  const deadline = Date.now() + BUSY_TIMEOUT_MS
  for (;;) {
    try {
      return body()
    } catch (error) {
      if (sqliteCode(error) !== SQLITE_BUSY || Date.now() > deadline) throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
    }
  }
}

const SQLITE_BUSY = 5

/** The primary result code (sqlite.org/rescode.html); undefined for any other error. */
function sqliteCode(error: unknown): number | undefined {
  const code = error instanceof Error && 'errcode' in error ? error.errcode : undefined
  return typeof code === 'number' ? code & 0xff : undefined
}

const reasons: Readonly<Record<number, readonly [StoreErrorReason, string]>> = {
  3: ['denied', 'may not be opened'],
  5: ['unavailable', 'is locked by another process'],
  8: ['denied', 'is read-only'],
  10: ['unavailable', 'cannot be read or written'],
  11: ['corrupt', 'is damaged'],
  13: ['full', 'has no space left on its disk'],
  14: ['denied', 'cannot be opened'],
  26: ['corrupt', 'is not a database'],
}

const fileReasons: Readonly<Record<string, readonly [StoreErrorReason, string]>> = {
  EACCES: ['denied', 'may not be opened'],
  EPERM: ['denied', 'may not be opened'],
  EROFS: ['denied', 'is on a read-only file system'],
  ENOSPC: ['full', 'has no space left on its disk'],
}

/** Says what a failure means for the store, with the original as its cause. */
export function sqliteError(error: unknown, store: string): StoreError {
  if (error instanceof StoreError) return error
  const text = error instanceof Error ? error.message : String(error)
  const file = error instanceof Error && 'code' in error ? String(error.code) : ''
  const [reason, what] = reasons[sqliteCode(error) ?? -1] ??
    fileReasons[file] ?? ['unavailable', 'does not work']
  return new StoreError(reason, store, `${store} ${what}: ${text}`, error)
}
