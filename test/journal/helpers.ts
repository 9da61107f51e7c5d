import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { JournalOptions, SqliteJournalOptions } from '../../src/journal/options.js'
import { openSqliteJournal } from '../../src/journal/sqlite.js'

export interface Logged {
  readonly level: string
  readonly fields: object
  readonly message: string
}

/** A log that remembers. */
export function memoryLog() {
  const lines: Logged[] = []
  const level = (name: string) => (fields: object, message: string) => {
    lines.push({ level: name, fields, message })
  }
  return { lines, debug: level('debug'), info: level('info'), warn: level('warn'), error: level('error') }
}

export const journalOptions = (): JournalOptions => ({
  maxPendingWrites: 10_000,
  retentionMs: 3_600_000,
  idempotencyWindowMs: 60_000,
  log: memoryLog(),
})

/** A folder that is gone when the test ends. */
export async function temporaryFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'lurkbot-journal-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A journal that is closed when the test ends. */
export async function openTestJournal(t: Test, path: string, options: Partial<SqliteJournalOptions> = {}) {
  const journal = await openSqliteJournal({ ...journalOptions(), path, ...options })
  t.teardown(() => journal.close())
  return journal
}
