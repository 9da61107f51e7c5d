import { closeSync, fsyncSync, mkdirSync, openSync, realpathSync, type Stats, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { Database } from 'better-sqlite3'
import { failpoint } from '#failpoint'
import { continueAfter } from './ids.js'
import { JournalError } from './journal-error.js'
import { APPLICATION_ID, migrate, SCHEMA_VERSION } from './schema.js'
import { openDurable, sealLog } from './sqlite-connection.js'
import { Sqlite } from './sqlite-driver.js'
import { errorCode, isDamage, isFull, isIoError } from './sqlite-errors.js'
import { acquireLock, createPrivateFile, type JournalLock } from './sqlite-lock.js'

/** A larger file is not read through at start: that would take longer than a start may (about 1 s a 256 MiB). */
const CHECK_MAX_BYTES = 64 * 1024 * 1024

const BUSY_TIMEOUT_MS = 1_000

const RESTORE = 'Move it away or restore a backup; it was not changed.'
const DISK = 'Check the disk and its mount, and start again.'
const PERMISSIONS = 'Fix the permissions or the path.'

export interface JournalFile {
  /** Without symbolic links. */
  readonly path: string
  readonly lock: JournalLock
  /** Keeps the file checked and its log in place until the others are open. To be closed then. */
  readonly db: Database
  readonly epoch: string
  readonly seq: number
  /** The highest position of an entry that retention has removed. */
  readonly purged: number
}

/**
 * Claims, checks, and where needed makes or migrates the database. Throws `JournalError`; what was there is then as it was.
 */
export function openJournalFile(requested: string): JournalFile {
  const path = settlePath(requested)
  checkKind(path)
  const lock = acquireLock(path)
  let db: Database | undefined
  try {
    failpoint('open.locked')
    makeFile(path)
    failpoint('open.made')
    const isNew = verifyUntouched(path)
    db = openDurable(path, { timeout: BUSY_TIMEOUT_MS })
    // Settled by the first write, even one that is taken back.
    if (isNew) db.pragma('auto_vacuum = INCREMENTAL')
    checkWritable(db)
    migrate(db)
    useLog(path, db)
    failpoint('open.logged')
    keepLog(path, db)
    failpoint('open.sealed')
    const newest = newestId(db)
    if (newest !== null) continueAfter(newest)
    const meta = db.prepare<unknown[], string | number>('SELECT value FROM meta WHERE name = ?').pluck()
    const number = (name: string) => Number(meta.get(name) ?? 0)
    return { path, lock, db, epoch: String(meta.get('epoch')), seq: number('seq'), purged: number('purged') }
  } catch (error) {
    db?.close()
    lock.release()
    throw openError(path, error)
  }
}

/** Makes the folder; resolves links, so that two names of one file share its lock. */
export function settlePath(requested: string): string {
  const path = resolve(requested.trim())
  const folder = dirname(path)
  try {
    const made = mkdirSync(folder, { recursive: true, mode: 0o700 })
    if (made !== undefined) syncFolder(dirname(made))
    return statOf(path) === undefined ? join(realpathSync(folder), basename(path)) : realpathSync(path)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new JournalError(path, `its folder cannot be used: ${reason}`, PERMISSIONS, { cause: error })
  }
}

/** So that a power cut right after the first start does not take the folder. */
export function syncFolder(folder: string): void {
  // Windows opens no folders.
  if (process.platform === 'win32') return
  const descriptor = openSync(folder, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

function statOf(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false })
}

function checkKind(path: string): void {
  const stats = statOf(path)
  if (stats === undefined || stats.isFile()) return
  throw new JournalError(path, `it is ${stats.isDirectory() ? 'a folder' : 'no regular file'}`, PERMISSIONS)
}

function makeFile(path: string): void {
  const size = statOf(path)?.size
  const log = statOf(`${path}-wal`)
  // SQLite deletes the log of an empty database, and what is in there was acknowledged.
  if (!size && log !== undefined && log.size > 0) {
    const problem = `the file is ${size === 0 ? 'empty' : 'missing'}, but its log ${path}-wal is there`
    throw new JournalError(path, problem, 'Put back the file that belongs to it, or move the log away too.')
  }
  if (size === undefined) createPrivateFile(path)
}

/** A connection that can write leaves its mark on a file even if it is not ours: it puts the log in place as it closes. */
function verifyUntouched(path: string): boolean {
  try {
    return verify(path, true)
  } catch (error) {
    // Whoever wrote last was cut off, as we may be while we make the tables, and only a writer may take that back.
    if (errorCode(error) === 'SQLITE_READONLY_ROLLBACK') return verify(path, false)
    throw error
  }
}

/** Throws if the file is none that this program may use. Returns whether it is still empty. */
function verify(path: string, readonly: boolean): boolean {
  const db = new Sqlite(path, { readonly, fileMustExist: true, timeout: BUSY_TIMEOUT_MS })
  try {
    const read = (name: string) => db.pragma(name, { simple: true }) as number
    const application = read('application_id')
    const version = read('user_version')
    const tables = db.prepare('SELECT count(*) FROM sqlite_master').pluck().get() as number
    if (application === 0 && version === 0 && tables === 0) return true
    if (application !== APPLICATION_ID) {
      const remedy = 'Give the journal another path; this file was not changed.'
      throw new JournalError(path, 'it is the database of another program', remedy)
    }
    if (version > SCHEMA_VERSION) {
      const problem = `its schema is version ${version}, and this program knows versions up to ${SCHEMA_VERSION}`
      throw new JournalError(path, problem, 'Upgrade the program, or restore a backup of the older version.')
    }
    if (read('page_count') * read('page_size') <= CHECK_MAX_BYTES) {
      const found = db.pragma('quick_check(1)', { simple: true })
      if (found !== 'ok') {
        const text = String(found).replace(/\s+/g, ' ')
        throw new JournalError(path, `it is damaged: ${text}`, RESTORE)
      }
    }
    return false
  } finally {
    db.close()
  }
}

/** Not every file system can share the log's index between connections. */
function useLog(path: string, db: Database): void {
  const mode = db.pragma('journal_mode = WAL', { simple: true })
  if (mode === 'wal') return
  throw new JournalError(path, 'its file system cannot keep a write-ahead log', 'Put it on a local disk.')
}

/**
 * What a predecessor wrote last need not be on the disk: it may have died before it asked for that, or the disk refused.
 * Whoever reads it from here on must be able to rely on it.
 */
function keepLog(path: string, db: Database): void {
  db.exec('BEGIN IMMEDIATE')
  try {
    sealLog(path)
  } finally {
    db.exec('ROLLBACK')
  }
}

/** Sessions remember their last event after retention has removed it. */
function newestId(db: Database): string | null {
  const newest = (sql: string) => db.prepare<unknown[], string | null>(sql).pluck().get() ?? null
  return newest('SELECT max(id) FROM inbox') ?? newest('SELECT max(last_event) FROM sessions')
}

/** SQLite opens a file that it may not write for reading only, without a word: only a write tells. */
function checkWritable(db: Database): void {
  const version = db.pragma('user_version', { simple: true }) as number
  db.exec(`BEGIN IMMEDIATE; PRAGMA user_version = ${version}; ROLLBACK`)
}

function openError(path: string, error: unknown): JournalError {
  if (error instanceof JournalError) return error
  const code = errorCode(error)
  const cause = { cause: error }
  const message = error instanceof Error ? error.message : String(error)
  if (code.startsWith('SQLITE_NOTADB')) {
    return new JournalError(path, 'it is not a database, or its beginning is damaged', RESTORE, cause)
  }
  if (isDamage(code)) return new JournalError(path, `it is damaged: ${message}`, RESTORE, cause)
  if (isFull(code)) {
    return new JournalError(path, 'the disk is full', 'Free some space and start again.', cause)
  }
  if (isIoError(code)) {
    return new JournalError(path, `the disk failed: ${message} (${code})`, DISK, cause)
  }
  if (code.startsWith('SQLITE_BUSY')) {
    return new JournalError(path, 'another program holds it', 'Stop that program and start again.', cause)
  }
  if (/^(SQLITE_(CANTOPEN|READONLY|PERM|AUTH)|EACCES|EPERM|EROFS)/.test(code)) {
    return new JournalError(path, `it cannot be read and written: ${message}`, PERMISSIONS, cause)
  }
  return new JournalError(path, `it cannot be opened: ${message} (${code})`, RESTORE, cause)
}
