import { closeSync, openSync } from 'node:fs'
import type { Database } from 'better-sqlite3'
import { JournalError } from './journal-error.js'
import { Sqlite } from './sqlite-driver.js'
import { errorCode } from './sqlite-errors.js'

/** Covers the moment in which another opener reads the holder's pid, and a predecessor that is just leaving. */
const BUSY_TIMEOUT_MS = 250

export interface JournalLock {
  /** Calling it twice is fine. */
  release(): void
}

/** Makes an empty file that only its owner may read. One that exists is not even opened: see `acquireLock`. */
export function createPrivateFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error
  }
}

/**
 * Claims the journal at `path` for this process, by a transaction held open on `<path>.lock`: the system ends it with the
 * process, however that dies. The file stays, with the holder's pid in it. Nothing but SQLite may open the journal's files
 * while they are in use, since closing any descriptor of a file drops the process's POSIX locks on it.
 */
export function acquireLock(path: string): JournalLock {
  const lockPath = `${path}.lock`
  let db: Database | undefined
  try {
    createPrivateFile(lockPath)
    db = new Sqlite(lockPath, { timeout: BUSY_TIMEOUT_MS })
    db.pragma('synchronous = OFF')
    db.exec('BEGIN IMMEDIATE')
    recordHolder(db)
  } catch (error) {
    const holder = db === undefined ? '' : readHolder(db)
    db?.close()
    throw lockError(path, lockPath, holder, error)
  }
  const held = db
  return { release: () => void held.close() }
}

/** Readers see only what is committed, so the claim is renewed after the pid is. Whoever comes between holds it instead. */
function recordHolder(db: Database): void {
  try {
    db.exec('CREATE TABLE IF NOT EXISTS holder (one INTEGER PRIMARY KEY, pid INTEGER)')
    db.prepare('INSERT OR REPLACE INTO holder (one, pid) VALUES (1, ?)').run(process.pid)
    db.exec('COMMIT')
  } catch (error) {
    // A full disk is no reason not to hold the lock: only the other one's message is poorer.
    if (!errorCode(error).startsWith('SQLITE_FULL')) throw error
    if (db.inTransaction) db.exec('ROLLBACK')
  }
  db.exec('BEGIN IMMEDIATE')
}

function readHolder(db: Database): string {
  try {
    return ` (pid ${db.prepare('SELECT pid FROM holder').pluck().get()})`
  } catch {
    return ''
  }
}

function lockError(path: string, lockPath: string, holder: string, error: unknown): JournalError {
  const code = errorCode(error)
  const cause = { cause: error }
  if (code.startsWith('SQLITE_BUSY')) {
    const remedy = 'Stop that one first, or give this one another path.'
    return new JournalError(path, `it is in use by another process${holder}`, remedy, cause)
  }
  if (code.startsWith('SQLITE_NOTADB') || code.startsWith('SQLITE_CORRUPT')) {
    const remedy = 'It holds nothing of value: check that no gateway uses it, then delete it.'
    return new JournalError(path, `its lock file ${lockPath} is damaged`, remedy, cause)
  }
  const remedy = 'Fix the permissions, the space on the disk or the path.'
  const reason = error instanceof Error ? error.message : String(error)
  return new JournalError(path, `its lock file ${lockPath} cannot be written: ${reason}`, remedy, cause)
}
