import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs'
import type { Database, Statement } from 'better-sqlite3'
import { Sqlite } from './sqlite-driver.js'
import { DamageError, errorCode, isDamage } from './sqlite-errors.js'
import { SqliteMaintenance } from './sqlite-maintenance.js'
import { SqliteStore } from './sqlite-store.js'

const CACHE_KIB = 32 * 1024
/** The log is cut back to this after a burst or a long reader made it longer. */
const LOG_MAX_BYTES = 64 * 1024 * 1024
const BUSY_TIMEOUT_MS = 2_000
/** Whoever else has the file open keeps it open: waiting does not help. */
const ALONE_TIMEOUT_MS = 100
const SEAL_CHUNK_BYTES = 1024 * 1024

/** How many pages the write-ahead log has, and how many of them are in the database. */
export interface LogState {
  readonly busy: number
  readonly log: number
  readonly checkpointed: number
}

/** A connection that writes, and what was prepared on it. */
export interface WriterConnection {
  readonly db: Database
  readonly store: SqliteStore
  readonly maintenance: SqliteMaintenance
  readonly begin: Statement
  readonly commit: Statement
  readonly rollback: Statement
  readonly logState: Statement<unknown[], LogState>
  readonly checkpoint: Statement<unknown[], LogState>
}

/** Closes the connection where its preparation fails: left open, it would keep its lock on the file. */
function prepared<T>(db: Database, prepare: () => T): T {
  try {
    return prepare()
  } catch (error) {
    db.close()
    throw error
  }
}

/** A connection whose commits and checkpoints are on the disk when they return. */
export function openDurable(path: string, { timeout = BUSY_TIMEOUT_MS, alone = false } = {}): Database {
  const db = new Sqlite(path, { fileMustExist: true, timeout })
  return prepared(db, () => {
    // First: only before the file is read does it mean that nobody else may have it open.
    if (alone) db.pragma('locking_mode = EXCLUSIVE')
    db.pragma('synchronous = FULL')
    // On macOS fsync alone leaves the data in the drive's cache.
    db.pragma('fullfsync = ON')
    db.pragma('checkpoint_fullfsync = ON')
    return db
  })
}

export function openWriter(path: string): WriterConnection {
  const db = openDurable(path)
  return prepared(db, () => {
    // One that SQLite does by itself keeps its failure to itself.
    db.pragma('wal_autocheckpoint = 0')
    db.pragma(`journal_size_limit = ${LOG_MAX_BYTES}`)
    db.pragma(`cache_size = -${CACHE_KIB}`)
    db.pragma('temp_store = MEMORY')
    return {
      db,
      store: new SqliteStore(db),
      maintenance: new SqliteMaintenance(db),
      begin: db.prepare('BEGIN IMMEDIATE'),
      commit: db.prepare('COMMIT'),
      rollback: db.prepare('ROLLBACK'),
      logState: db.prepare('PRAGMA wal_checkpoint(NOOP)'),
      checkpoint: db.prepare('PRAGMA wal_checkpoint(PASSIVE)'),
    }
  })
}

/**
 * Brings the log to the disk as it can be read, and throws if it cannot. An fsync alone would not: what one that failed has
 * dropped can still be read but is never written again, so each byte is written again. Nobody may write to it meanwhile.
 */
export function sealLog(path: string): void {
  const file = openSync(`${path}-wal`, 'r+')
  try {
    const chunk = Buffer.allocUnsafe(SEAL_CHUNK_BYTES)
    for (let at = 0; ; ) {
      const size = readSync(file, chunk, 0, chunk.length, at)
      if (size === 0) break
      for (let from = 0; from < size; ) from += writeSync(file, chunk, from, size - from, at + from)
      at += size
    }
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/**
 * Writes the whole log into the database, whatever of it was said to be there, and empties it. Only who is alone reads the
 * log from its beginning: throws `SQLITE_BUSY` while any other connection is open, this program's included.
 */
export function rewriteFromLog(path: string): void {
  const db = openDurable(path, { alone: true, timeout: ALONE_TIMEOUT_MS })
  try {
    db.prepare("SELECT value FROM meta WHERE name = 'seq'").get()
    sealLog(path)
    db.pragma('wal_checkpoint(TRUNCATE)')
  } finally {
    db.close()
  }
}

/** Throws `DamageError`; or what keeps it from reading the file to its end. */
export function checkFile(path: string): void {
  const db = new Sqlite(path, { readonly: true, fileMustExist: true, timeout: BUSY_TIMEOUT_MS })
  try {
    const found = String(db.pragma('quick_check(1)', { simple: true }))
    if (found !== 'ok') throw new DamageError(`the file is damaged: ${found.replace(/\s+/g, ' ')}`)
  } catch (error) {
    // So damaged that it cannot even be checked: the list of its tables is gone.
    if (isDamage(errorCode(error))) throw new DamageError(`the file is damaged: ${(error as Error).message}`)
    throw error
  } finally {
    db.close()
  }
}

/** Closes a connection whose log is not to be trusted with less than a start: the last to close must not put it in place. */
export function closeLeavingLog(db: Database, path: string): void {
  const reader = new Sqlite(path, { readonly: true, fileMustExist: true })
  try {
    reader.prepare("SELECT value FROM meta WHERE name = 'seq'").get()
    db.close()
  } finally {
    reader.close()
  }
}
