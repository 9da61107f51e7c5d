import type { Journal } from '../../src/journal/journal.js'
import { openSqliteJournal } from '../../src/journal/sqlite.js'
import {
  completeEvents,
  sampleAppend,
  sampleMessage,
  sampleSession,
} from '../../src/testing/journal-samples.js'

// Run by sqlite-crash.test.ts, which kills it: appends, and tells each acknowledgement on its standard output.

async function send(journal: Journal, sessionKey: string): Promise<never> {
  await journal.saveSession(sampleSession(sessionKey), [])
  for (let n = 0; ; n++) {
    const request = sampleAppend(sessionKey, `${n}`)
    const { seq } = await journal.append(request)
    process.stdout.write(`append ${seq} ${request.event.id} ${sessionKey}\n`)
    if (n % 3 !== 0) continue
    const entries = [sampleMessage(sessionKey, `answer to ${n}`)]
    await completeEvents(journal, sessionKey, [request.event.id], { entries })
    process.stdout.write(`complete ${seq} ${request.event.id} ${sessionKey}\n`)
  }
}

const quiet = () => {}
const journal = await openSqliteJournal({
  path: process.argv[2] ?? '',
  maxPendingWrites: 1_000,
  retentionMs: 3_600_000,
  idempotencyWindowMs: 60_000,
  log: { debug: quiet, info: quiet, warn: console.error, error: console.error },
})
await Promise.all(Array.from({ length: 16 }, (_, n) => send(journal, `chat:${n}:main`)))
