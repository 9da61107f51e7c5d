import { openSqliteJournal } from '../../src/journal/sqlite.js'

// Run by failpoints-retention.test.ts, in whose middle it dies: one round of retention, at once.

const quiet = () => {}
const journal = await openSqliteJournal({
  path: process.argv[2] ?? '',
  maxPendingWrites: 1_000,
  retentionMs: 60_000,
  idempotencyWindowMs: 60_000,
  maxMessages: process.argv[3] === undefined ? undefined : Number(process.argv[3]),
  log: { debug: quiet, info: quiet, warn: console.error, error: console.error },
})
await journal.maintain()
await journal.close()
