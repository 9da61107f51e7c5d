import {
  chownSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { dirname } from 'node:path'
import type { Database } from 'better-sqlite3'
import { openDurable } from './sqlite-connection.js'
import { Sqlite } from './sqlite-driver.js'
import { syncFolder } from './sqlite-file.js'
import { createPrivateFile } from './sqlite-lock.js'

/** Pages of one step of a copy: some milliseconds. */
const STEP_PAGES = 1_000

export interface CopyOptions {
  readonly signal?: AbortSignal
  /** Told how much is done, from 0 to 1. */
  readonly onProgress?: (done: number) => void
}

/**
 * Copies a database as it is at one moment, into a new file, while others write to it. What `look` reads is of that moment, too.
 * A reader keeps the log of the one who writes from beginning anew: it grows by what is written meanwhile.
 */
export async function copyDatabase<T>(
  from: string,
  to: string,
  look: (db: Database) => T,
  { signal, onProgress }: CopyOptions = {},
): Promise<T> {
  const source = new Sqlite(from, { readonly: true, fileMustExist: true, timeout: 2_000 })
  try {
    // Without a transaction around it, a copy begins again with each commit of another connection, and might never end.
    source.exec('BEGIN')
    const seen = look(source)
    createPrivateFile(to)
    await source.backup(to, {
      progress: ({ totalPages, remainingPages }) => {
        signal?.throwIfAborted()
        onProgress?.(1 - remainingPages / Math.max(totalPages, 1))
        return STEP_PAGES
      },
    })
    onProgress?.(1)
    return seen
  } finally {
    source.close()
  }
}

/** Makes a copy whole in itself and brings it to the disk; `work` may change it before. */
export function sealDatabase(path: string, work: (db: Database) => void = () => {}): void {
  const db = openDurable(path)
  try {
    work(db)
    db.pragma('journal_mode = DELETE')
  } finally {
    db.close()
  }
  syncFile(path)
}

function syncFile(path: string): void {
  const file = openSync(path, 'r+')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** Removes what is there of an unfinished file, and what SQLite keeps beside it. */
export function removeDraft(draft: string): void {
  for (const suffix of ['', '-journal', '-wal', '-shm']) rmSync(`${draft}${suffix}`, { force: true })
}

/** Gives a finished file its name. @throws EEXIST rather than take the place of another */
export function publishFile(draft: string, path: string): void {
  if (tryLink(draft, path)) rmSync(draft)
  else {
    // A rename takes the place of whatever is there, so the name is taken first.
    closeSync(openSync(path, 'wx', 0o600))
    try {
      renameSync(draft, path)
    } catch (error) {
      rmSync(path)
      throw error
    }
  }
  syncFolder(dirname(path))
}

/** A second name for a file, or a copy on the disk where the file system knows no second names. @throws EEXIST */
function keepAs(path: string, other: string): void {
  if (tryLink(path, other)) return
  copyFileSync(path, other, constants.COPYFILE_EXCL)
  syncFile(other)
}

/** Whether the file has that second name now; not every file system, such as exFAT, knows them. @throws EEXIST */
function tryLink(path: string, other: string): boolean {
  try {
    linkSync(path, other)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw error
    return false
  }
}

/**
 * Puts the database `next` in the place of the journal and keeps the one that was there under a name of its own, which is
 * returned; null: there was none. The caller holds the journal's lock.
 *
 * A log belongs to one database and would be played into whichever has its name, so it goes before the new one comes.
 */
export function replaceJournal(path: string, next: string): string | null {
  const aside = existsSync(path) ? keepAside(path) : null
  // The name of what is kept comes before the name that it had goes.
  if (aside !== null) syncFolder(dirname(path))
  for (const suffix of ['-wal', '-shm', '-journal', '.running']) rmSync(`${path}${suffix}`, { force: true })
  renameSync(next, path)
  syncFolder(dirname(path))
  return aside
}

/** What an administrator makes in the folder of the gateway's user is that user's. */
export function giveToOwner(folder: string, ...paths: string[]): void {
  if (process.getuid?.() !== 0) return
  const { uid, gid } = statSync(folder)
  for (const path of paths) chownSync(path, uid, gid)
}

function keepAside(path: string): string {
  putLogInPlace(path)
  const stamp = new Date().toISOString().replace(/[-:]|\.\d+/g, '')
  for (let count = 1; ; count++) {
    const aside = `${path}.before-${stamp}${count === 1 ? '' : `-${count}`}`
    if (existsSync(`${aside}-wal`)) continue
    try {
      keepAs(path, aside)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue
      throw error
    }
    // So that it can be opened under its new name.
    if ((statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0)
      keepAs(`${path}-wal`, `${aside}-wal`)
    return aside
  }
}

/** So that there is one file of it, and no moment in which it stands there without its newest part. */
function putLogInPlace(path: string): void {
  if ((statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) === 0) return
  try {
    const db = openDurable(path)
    try {
      db.pragma('wal_checkpoint(TRUNCATE)')
    } finally {
      db.close()
    }
  } catch {
    // Too damaged for that: the log is kept beside it.
  }
}
