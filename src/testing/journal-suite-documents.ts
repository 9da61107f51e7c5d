import assert from 'node:assert/strict'
import type { DocumentRecord } from '../journal/documents.js'
import { sampleEntry } from './journal-samples.js'
import type { DefineJournalTest } from './journal-suite.js'

const document = (id: string, changes: Partial<DocumentRecord> = {}): DocumentRecord => ({
  kind: 'schedule',
  id,
  subject: null,
  at: 1_000,
  expiresAt: null,
  body: `{"id":"${id}"}`,
  ...changes,
})

/** What is neither event, session nor delivery. */
export function documentTests(within: DefineJournalTest): void {
  within(
    'keeps documents over a restart, each replaced by a newer one',
    async ({ journal, harness, reopen }) => {
      await journal.saveDocuments([document('a'), document('b', { subject: 's', expiresAt: 5_000_000 })])
      await journal.saveDocuments([document('a', { body: '{"text":"quote \\" \u{1f600}"}', at: 7 })])
      const again = harness.durable ? await reopen() : journal
      const a = document('a', { body: '{"text":"quote \\" \u{1f600}"}', at: 7 })
      assert.deepEqual(await again.document('schedule', 'a'), a)
      assert.deepEqual(
        await again.document('schedule', 'b'),
        document('b', { subject: 's', expiresAt: 5_000_000 }),
      )
      assert.equal(await again.document('schedule', 'c'), null)
      assert.equal(await again.document('device', 'a'), null)
    },
  )

  within('lists a kind newest first, in pages, and by subject', async ({ journal }) => {
    const records = Array.from({ length: 7 }, (_, n) =>
      document(`d${n}`, { at: Math.floor(n / 2), subject: n % 2 === 0 ? 'even' : 'odd' }),
    )
    await journal.saveDocuments([...records, document('other', { kind: 'device', at: 99 })])
    const ids = (found: readonly DocumentRecord[]) => found.map(({ id }) => id)
    assert.deepEqual(ids(await journal.documents({ kind: 'schedule', limit: 100 })), [
      ...['d6', 'd5', 'd4', 'd3', 'd2', 'd1', 'd0'],
    ])
    const first = await journal.documents({ kind: 'schedule', limit: 3 })
    assert.deepEqual(ids(first), ['d6', 'd5', 'd4'])
    const second = await journal.documents({ kind: 'schedule', limit: 10, before: first[2]! })
    assert.deepEqual(ids(second), ['d3', 'd2', 'd1', 'd0'])
    assert.deepEqual(ids(await journal.documents({ kind: 'schedule', subject: 'odd', limit: 2 })), [
      'd5',
      'd3',
    ])
    assert.deepEqual(await journal.documents({ kind: 'nothing', limit: 10 }), [])
  })

  within('lists more than one read looks at', async ({ journal }) => {
    const records = Array.from({ length: 1_203 }, (_, n) => document(`d${n}`, { at: n }))
    await journal.saveDocuments(records)
    const found = await journal.documents({ kind: 'schedule', limit: Number.POSITIVE_INFINITY })
    assert.deepEqual(found, records.reverse())
  })

  within('logs entries in the commit of a document, and none where there is none', async ({ journal }) => {
    const entry = sampleEntry('cron.added', null, 'x')
    await journal.saveDocuments([document('a')], [entry])
    assert.equal(await journal.removeDocument('schedule', 'b', [entry]), false)
    assert.equal(await journal.removeDocument('schedule', 'a', [entry]), true)
    assert.equal(await journal.removeDocument('schedule', 'a', [entry]), false)
    assert.equal(await journal.document('schedule', 'a'), null)
    assert.deepEqual(await journal.replay(0, journal.head, 10), [
      { seq: 1, ...entry },
      { seq: 2, ...entry },
    ])
  })

  within('removes what has expired, and nothing else', async ({ journal, harness, clock }) => {
    const soon = document('soon', { expiresAt: clock.now + 10 })
    const later = document('later', { expiresAt: clock.now + 11 })
    await journal.saveDocuments([soon, later, document('never')])
    clock.now += 10
    await harness.maintain(journal)
    const left = await journal.documents({ kind: 'schedule', limit: 10 })
    assert.deepEqual(left.map(({ id }) => id).sort(), ['later', 'never'])
  })
}
