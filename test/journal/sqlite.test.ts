import { statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { GroupedJournal } from '../../src/journal/grouped-journal.js'
import { openSqliteJournal } from '../../src/journal/sqlite.js'
import {
  completeEvents,
  sampleAppend,
  sampleEntry,
  sampleError,
  sampleSession,
} from '../../src/testing/journal-samples.js'
import { journalSuite } from '../../src/testing/journal-suite.js'
import { openTestJournal, temporaryFolder } from './helpers.js'
import { comparesWithModel } from './histories.js'

t.test('behaves as every journal does', async (t) => {
  journalSuite(
    (name, body) => t.test(name, () => body()),
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'lurkbot-journal-'))
      return {
        durable: true,
        open: (options) => openSqliteJournal({ ...options, path: join(folder, 'journal.db') }),
        maintain: (journal) => (journal as GroupedJournal).maintain(),
        close: () => rm(folder, { recursive: true, force: true }),
      }
    },
  )
})

t.test('does what a simple model does, whatever the history', async (t) => {
  const folder = await temporaryFolder(t)
  await comparesWithModel({
    durable: true,
    runs: 25,
    open: (options, history) => openSqliteJournal({ ...options, path: join(folder, `${history}.db`) }),
  })
})

t.test('keeps its log bounded under load, and gives back the space of what it removed', async (t) => {
  const path = join(await temporaryFolder(t), 'journal.db')
  const clock = { now: 1_000 }
  const journal = await openTestJournal(t, path, { now: () => clock.now })
  const entry = sampleEntry('agent.completed', null, 'x'.repeat(200_000))
  let largest = 0
  for (let round = 0; round < 20; round++) {
    const requests = Array.from({ length: 15 }, () => ({ ...sampleAppend('a', ''), entries: [entry] }))
    await Promise.all([
      ...requests.map((request) => journal.append(request)),
      journal.replay(0, journal.head, 20),
    ])
    largest = Math.max(largest, statSync(`${path}-wal`).size)
  }
  t.ok(largest < 32 * 1024 * 1024, `${largest} bytes`)
  const full = statSync(path).size
  t.ok(full > 40 * 1024 * 1024, `${full} bytes`)
  clock.now += 3_600_001
  await journal.maintain()
  await journal.maintain()
  t.ok(statSync(path).size < 8 * 1024 * 1024, `${statSync(path).size} bytes`)
  t.equal((await journal.pending()).length, 300)
})

t.test('reads and deletes a long session in bounded steps', async (t) => {
  const path = join(await temporaryFolder(t), 'journal.db')
  const journal = await openTestJournal(t, path, { now: () => 1_000_000_000 })
  await journal.saveSession(sampleSession('a'), [])
  const other = sampleEntry('session.message', 'b', '', 1_000_000_000)
  await Promise.all(Array.from({ length: 5 }, () => journal.append(sampleAppend('a', 'first'))))
  await journal.append({ ...sampleAppend('b', ''), entries: [other] })
  await Promise.all(Array.from({ length: 6_000 }, () => journal.append(sampleAppend('a', 'later'))))
  // The sixth position is no message of the session, so that all the newer ones have to be passed.
  const beginning = await journal.history('a', { limit: 2, before: 6 })
  t.strictSame(
    beginning.map(({ seq }) => seq),
    [4, 5],
  )
  t.equal((await journal.history('a', { limit: 10_000 })).length, 6_005)
  t.ok(await journal.deleteSession('a', []))
  t.strictSame(await journal.history('a', { limit: 1 }), [])
  await journal.maintain()
  t.strictSame(await journal.replay(0, journal.head, 10), [{ seq: 6, ...other }])
})

t.test('counts more dead letters than it looks at in one go', async (t) => {
  const journal = await openTestJournal(t, join(await temporaryFolder(t), 'journal.db'), { now: () => 5_000 })
  const requests = Array.from({ length: 5_001 }, () => sampleAppend('a', 'text'))
  await Promise.all(requests.map((request) => journal.append(request)))
  const ids = requests.map(({ event }) => event.id)
  t.ok(await completeEvents(journal, 'a', ids, { status: 'failed', error: sampleError }))
  t.strictSame(await journal.deadLetterStats(), { count: 5_001, oldestAt: 5_000 })
})
