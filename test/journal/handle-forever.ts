import { openSqliteJournal } from '../../src/journal/sqlite.js'
import { completeEvents, sampleAppend } from '../../src/testing/journal-samples.js'

// Run by running-crash.test.ts, which kills it: is at work with some events, says which, and never ends.

const KEY = 'chat:1:main'
const quiet = () => {}
const journal = await openSqliteJournal({
  path: process.argv[2] ?? '',
  maxPendingWrites: 1_000,
  retentionMs: 3_600_000,
  idempotencyWindowMs: 60_000,
  log: { debug: quiet, info: quiet, warn: console.error, error: console.error },
})
const before = await journal.pending()
const requests = ['handled', 'merged', 'waits for another try', 'answered', 'waiting'].map((text) =>
  sampleAppend(KEY, text),
)
if (before.length === 0) for (const request of requests) await journal.append(request)
const [handled, merged, again, answered] = (await journal.pending()).map(({ event }) => event.id)
await Promise.all([journal.begin([handled!]), journal.begin([merged!])])
journal.begun([again!])
journal.released([again!])
if (before.length === 0) {
  journal.begun([answered!])
  await completeEvents(journal, KEY, [answered!])
}
process.stdout.write(`${JSON.stringify(before.map(({ crashes }) => crashes))}\n`)
if (process.argv[3] === 'fault') process.kill(process.pid, 'SIGSEGV')
setInterval(quiet, 1_000)
