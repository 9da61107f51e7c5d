import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { MIGRATIONS, SCHEMA_VERSION } from '../../src/journal/schema.js'
import { Sqlite } from '../../src/journal/sqlite-driver.js'
import {
  completeEvents,
  sampleAppend,
  sampleDelivery,
  sampleError,
  sampleSession,
  sampleTrace,
} from '../../src/testing/journal-samples.js'
import { openTestJournal, temporaryFolder } from './helpers.js'

/** Written by the first released journal: sessions, and events in each state an event can have. */
const VERSION_1 = new URL('../../../test/journal/version-1.db.gz', import.meta.url)
const KEY = 'chat:1:main'

async function versionOne(t: Test): Promise<string> {
  const path = join(await temporaryFolder(t), 'journal.db')
  writeFileSync(path, gunzipSync(readFileSync(VERSION_1)))
  return path
}

function versionOf(path: string): unknown {
  const db = new Sqlite(path, { readonly: true })
  try {
    return db.pragma('user_version', { simple: true })
  } finally {
    db.close()
  }
}

t.test('never changes a step that was released', async (t) => {
  const digests = MIGRATIONS.map((step) => createHash('sha256').update(step).digest('hex').slice(0, 16))
  t.strictSame(
    digests,
    [
      'e37c96b0313b79b7',
      'bd925644b7d20fd4',
      'fcfaba777d34b688',
      '386d8f4ba9dbc2c8',
      '83b0cd1e736c115a',
      '821b977896348f71',
    ],
    'a new shape is a new step',
  )
})

t.test('takes over everything from a journal of the first version', async (t) => {
  const path = await versionOne(t)
  t.equal(versionOf(path), 1)
  const now = () => 1_010_000
  const journal = await openTestJournal(t, path, { now })
  t.equal(journal.epoch, 'd5b3b57090516097465b1182')
  t.equal(journal.head, 11)
  const settings = { title: 'Old', agent: 'x', metadata: { a: 1 } }
  t.strictSame(await journal.session(KEY), sampleSession(KEY, settings))
  t.strictSame(await journal.pausedSessions(), ['chat:2:main'])
  t.equal((await journal.session('chat:2:main'))?.resetSeq, 10)
  t.equal((await journal.history(KEY, { limit: 100 })).length, 7)
  const waiting = await journal.pending()
  t.strictSame(
    waiting.map(({ event }) => [event.id, event.seq]),
    [6, 7, 8].map((n) => [`evt_00000000${n}`, n + 3]),
  )
  t.equal((await journal.findDuplicate(KEY, 'w'))?.eventId, 'evt_000000006')
  const outcomes = await Promise.all([1, 2, 3, 4, 5].map((n) => journal.outcome(`run_00000000${n}`)))
  t.strictSame(
    outcomes.map((outcome) => outcome?.status),
    ['completed', 'failed', 'failed', 'aborted', 'failed'],
  )
  t.ok(outcomes.every((outcome) => outcome?.mergedInto === null))
  t.match(await journal.deadLetters({ limit: 10 }), [
    { event: { id: 'evt_000000002', payload: { content: 'dead' } }, attempts: 3, mergedInto: null },
    { event: { id: 'evt_000000003' }, attempts: 2, mergedInto: null },
  ])
  t.strictSame(await journal.deadLetterStats(), { count: 2, oldestAt: 1_000_000 })
})

t.test('keeps in a migrated journal what the first version could not', async (t) => {
  const path = await versionOne(t)
  const first = await openTestJournal(t, path)
  await first.saveSession(sampleSession(KEY, { queueMode: 'interrupt' }), [])
  const added = sampleAppend(KEY, 'one more')
  await first.append(added)
  const { id, runId } = added.event
  const failed = { status: 'failed', error: sampleError, mergedInto: runId } as const
  t.ok(await completeEvents(first, KEY, [id, 'evt_000000006'], failed))
  t.ok(await first.revive('evt_000000002'))
  const delivery = sampleDelivery('to be said', sampleTrace)
  await first.enqueue([delivery])
  const traced = sampleAppend(KEY, 'traced', sampleTrace)
  await first.append(traced)
  await first.close()
  t.equal(versionOf(path), SCHEMA_VERSION)
  const again = await openTestJournal(t, path)
  t.equal((await again.session(KEY))?.queueMode, 'interrupt')
  t.equal((await again.outcome('run_000000006'))?.mergedInto, runId)
  t.equal((await again.deadLetterStats()).count, 3)
  t.match(await again.delivery(delivery.id), delivery)
  t.match(
    (await again.pending()).filter(({ event }) => event.traceparent !== undefined),
    [{ event: traced.event }],
    'what was there before belongs to no trace',
  )
  t.strictSame(await again.peers(), [])
  const terms = [{ words: ['one', 'more'], prefix: false }]
  t.match(await again.search({ terms, limit: 5 }), { hits: [{ sessionKey: KEY }], next: null })
})
