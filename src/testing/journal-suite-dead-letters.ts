import assert from 'node:assert/strict'
import type { AppendRequest, Journal } from '../journal/journal.js'
import { completeEvents, sampleAppend, sampleError, sampleSession } from './journal-samples.js'
import type { DefineJournalTest } from './journal-suite.js'

const KEY = 'chat:1:main'

async function fail(journal: Journal, sessionKey: string, text: string): Promise<AppendRequest['event']> {
  const request = sampleAppend(sessionKey, text)
  await journal.append(request)
  const outcome = { status: 'failed', error: sampleError, attempts: 3 } as const
  assert.equal(await completeEvents(journal, sessionKey, [request.event.id], outcome), true)
  return request.event
}

/** Events whose handling failed for good. */
export function deadLetterTests(within: DefineJournalTest): void {
  within('keeps a failed event whole as a dead letter', async ({ journal, clock }) => {
    const event = await fail(journal, KEY, 'one')
    const letter = { event: { ...event, seq: 1 }, error: sampleError, attempts: 3, diedAt: clock.now }
    assert.deepEqual(await journal.deadLetter(event.id), letter)
    assert.deepEqual(await journal.deadLetters({ limit: 10 }), [letter])
    assert.deepEqual(await journal.pending(), [])
    assert.equal(await journal.deadLetter('evt_nothing'), null)
    assert.equal(await journal.deadLetter('nonsense'), null)
  })

  within('says something of a failure that came without a reason', async ({ journal }) => {
    const request = sampleAppend(KEY, 'one')
    await journal.append(request)
    await completeEvents(journal, KEY, [request.event.id], { status: 'failed', error: null })
    assert.equal((await journal.deadLetter(request.event.id))?.error.code, 'INTERNAL_ERROR')
  })

  within('lists dead letters in order, by session and condition, in pages', async ({ journal }) => {
    const keys = ['a', 'b', 'a', 'c', 'b', 'a']
    for (const [n, key] of keys.entries()) await fail(journal, key, `${n}`)
    const list = async (options: Omit<Parameters<Journal['deadLetters']>[0], 'limit'>, limit = 10) =>
      (await journal.deadLetters({ ...options, limit })).map(({ event }) => event.seq)
    assert.deepEqual(await list({}), [1, 2, 3, 4, 5, 6])
    assert.deepEqual(await list({}, 2), [1, 2])
    assert.deepEqual(await list({ after: 2 }, 2), [3, 4])
    assert.deepEqual(await list({ sessionKey: 'a' }), [1, 3, 6])
    assert.deepEqual(await list({ sessionKey: 'a', after: 1 }, 1), [3])
    assert.deepEqual(await list({ accept: (key) => key !== 'a' }), [2, 4, 5])
    assert.deepEqual(await list({ after: 6 }), [])
  })

  within('makes a dead letter wait again, in its old place, to be handled anew', async ({ journal }) => {
    const event = await fail(journal, KEY, 'one')
    const next = sampleAppend(KEY, 'two')
    await journal.append(next)
    assert.equal(await journal.revive(event.id), true)
    assert.equal(await journal.revive(event.id), false)
    assert.deepEqual(
      (await journal.pending()).map(({ id }) => id),
      [event.id, next.event.id],
    )
    const outcome = await journal.outcome(event.runId)
    assert.deepEqual([outcome?.status, outcome?.error], ['pending', null])
    assert.deepEqual(await journal.deadLetters({ limit: 10 }), [])
    assert.equal(await completeEvents(journal, KEY, [event.id]), true)
    assert.equal((await journal.outcome(event.runId))?.status, 'completed')
  })

  within('forgets a dead letter on request, not that it failed', async ({ journal }) => {
    const event = await fail(journal, KEY, 'one')
    assert.equal(await journal.discard(event.id), true)
    assert.equal(await journal.discard(event.id), false)
    assert.equal(await journal.revive(event.id), false)
    assert.equal(await journal.deadLetter(event.id), null)
    assert.deepEqual(await journal.pending(), [])
    assert.equal((await journal.outcome(event.runId))?.status, 'failed')
  })

  within('revives and discards nothing but dead letters', async ({ journal }) => {
    const { event, entries } = sampleAppend(KEY, 'waiting')
    await journal.append({ event, entries })
    for (const id of [event.id, 'evt_nothing', 'nonsense']) {
      assert.equal(await journal.revive(id), false)
      assert.equal(await journal.discard(id), false)
    }
    assert.equal((await journal.pending()).length, 1)
  })

  within('deletes the dead letters of a session with it', async ({ journal }) => {
    await journal.saveSession(sampleSession(KEY), [])
    const event = await fail(journal, KEY, 'one')
    const other = await fail(journal, 'chat:2:main', 'two')
    await journal.deleteSession(KEY, [])
    assert.equal(await journal.deadLetter(event.id), null)
    assert.equal((await journal.deadLetter(other.id))?.event.seq, 2)
  })
}
