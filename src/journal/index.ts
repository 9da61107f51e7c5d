import type { Config } from '../config/schema.js'
import type { Journal } from './journal.js'
import { JournalError } from './journal-error.js'
import type { JournalOptions, SqliteJournalOptions } from './options.js'

export type * from './documents.js'
export * from './ids.js'
export type * from './journal.js'
export { JournalError } from './journal-error.js'
export type { JournalOptions, SqliteJournalOptions } from './options.js'
export type * from './outbox.js'
export type * from './peers.js'
export type * from './search.js'
export type * from './session-list.js'

/** The `journal` section of the configuration, its path filled in, and what the process brings. */
export type OpenJournalOptions = Omit<Config['journal'], 'search'> &
  Pick<JournalOptions, 'log' | 'now' | 'maxMessages' | 'search' | 'observeCommit'> &
  Pick<SqliteJournalOptions, 'onFatal'>

/** Opens the journal that the configuration asks for. Throws `JournalError` when its file cannot be used. */
export async function openJournal(options: OpenJournalOptions): Promise<Journal> {
  const { type, path, ...rest } = options
  if (type === 'memory') {
    const { createMemoryJournal } = await import('./memory.js')
    return createMemoryJournal(rest)
  }
  if (path === undefined) throw new JournalError('', 'it has no path', 'Set `journal.path`.')
  const { openSqliteJournal } = await import('./sqlite.js')
  return openSqliteJournal({ ...rest, path })
}
