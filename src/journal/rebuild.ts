import { existsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import type { Database } from 'better-sqlite3'
import { type BackupReport, copyError } from './backup.js'
import { isOfSearch } from './inspect.js'
import { inspectApart } from './inspect-apart.js'
import { JournalError } from './journal-error.js'
import { canRebuild } from './journal-problems.js'
import { giveToOwner, removeDraft, replaceJournal, sealDatabase } from './replace-file.js'
import { MIGRATIONS, migrate } from './schema.js'
import { openDurable } from './sqlite-connection.js'
import { Sqlite } from './sqlite-driver.js'
import { settlePath } from './sqlite-file.js'
import { acquireLock, createPrivateFile } from './sqlite-lock.js'

/** Rows between two looks at whether to go on. */
const STEP_ROWS = 100

/**
 * Makes the journal anew from its tables, in a new file; indexes come from them, and the gateway fills that of words again. The
 * damaged one is kept as it is under another name. Nothing is lost: where a table is damaged it refuses. No gateway may use it.
 * @throws JournalError, and then the journal is as it was
 */
export async function rebuildJournal(
  requested: string,
  signal?: AbortSignal,
): Promise<BackupReport & { readonly aside: string | null }> {
  const path = settlePath(requested)
  if (!existsSync(path)) throw new JournalError(path, 'it is not there', 'There is nothing to repair.')
  const lock = acquireLock(path)
  const draft = `${path}.${process.pid}.part`
  try {
    const { problems } = await inspectApart(path, 'full', signal)
    const lost = problems.find((problem) => !canRebuild([problem]))
    if (lost !== undefined) {
      const remedy = 'It was not changed.'
      throw new JournalError(path, `it cannot be repaired without loss: ${lost.message}`, remedy)
    }
    const copied = await copyTables(path, draft, signal)
    sealDatabase(draft)
    const made = await inspectApart(draft, 'full', signal)
    if (made.problems.length > 0 || made.facts === null) {
      throw new JournalError(path, 'what was made anew is not whole', 'It was not changed; restore a backup.')
    }
    const rows = Object.values(made.facts.counts).reduce((sum, count) => sum + count, 0)
    if (rows !== copied) {
      throw new JournalError(path, 'rows were lost on the way', 'It was not changed; restore a backup.')
    }
    const bytes = statSync(draft).size
    giveToOwner(dirname(path), draft, `${path}.lock`)
    signal?.throwIfAborted()
    return { file: path, bytes, facts: made.facts, aside: replaceJournal(path, draft) }
  } catch (error) {
    throw copyError(path, path, error, signal)
  } finally {
    removeDraft(draft)
    lock.release()
  }
}

const COUNTED = new Set(['entries', 'inbox', 'sessions', 'outbox', 'documents'])

/** Returns how many rows of the counted tables it copied. */
async function copyTables(from: string, to: string, signal?: AbortSignal): Promise<number> {
  const source = new Sqlite(from, { readonly: true, fileMustExist: true })
  try {
    createPrivateFile(to)
    const target = openDurable(to)
    try {
      target.pragma('auto_vacuum = INCREMENTAL')
      migrate(target, MIGRATIONS.slice(0, source.pragma('user_version', { simple: true }) as number))
      target.exec('BEGIN')
      const copied = await copyAll(source, target, signal)
      target.exec('COMMIT')
      return copied
    } finally {
      target.close()
    }
  } finally {
    source.close()
  }
}

async function copyAll(source: Database, target: Database, signal?: AbortSignal): Promise<number> {
  const tables = target
    .prepare<unknown[], string>("SELECT name FROM sqlite_master WHERE type = 'table'")
    .pluck()
    .all()
    .filter((name) => !isOfSearch(name) && name !== 'search_removed')
  let copied = 0
  target.exec('DELETE FROM meta')
  for (const table of tables) {
    const rows = await copyTable(source, target, table, signal)
    if (COUNTED.has(table)) copied += rows
  }
  target.exec("UPDATE meta SET value = 0 WHERE name = 'indexed'")
  return copied
}

async function copyTable(
  source: Database,
  target: Database,
  table: string,
  signal?: AbortSignal,
): Promise<number> {
  // The indexes are what may be wrong.
  const read = source.prepare<unknown[], unknown[]>(`SELECT * FROM ${table} NOT INDEXED`).raw().safeIntegers()
  const places = read.columns().map(() => '?')
  const columns = read.columns().map(({ name }) => name)
  const write = target.prepare(`INSERT INTO ${table} (${columns.join(', ')}) VALUES (${places.join(', ')})`)
  let rows = 0
  for (const row of read.iterate()) {
    if (rows % STEP_ROWS === 0) await setImmediate(undefined, { signal })
    write.run(row)
    rows += 1
  }
  return rows
}
